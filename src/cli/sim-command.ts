// `kontiki sim` as a command. The simulator itself is loaded when the command runs.

import { buildCommand } from '@stricli/core';
import type { CliContext } from './context.ts';
import {
  MINUTES_MAX,
  parseNumbers,
  parsePlan,
  parseSeeds,
  parseTime,
  parseWorkers,
  type SimFlags,
  STACKS,
} from './sim-flags.ts';
import { parseCount } from './values.ts';

function parsed<T>(parse: (text: string) => T, placeholder: string, brief: string) {
  return { kind: 'parsed', parse, optional: true, placeholder, brief } as const;
}

const switchedOff = { kind: 'boolean', default: false, withNegated: false } as const;

export const simCommand = buildCommand<SimFlags, [], CliContext>({
  loader: async () => (await import('./sim.ts')).sim,
  parameters: {
    flags: {
      seed: parsed(parseCount, 'N', 'Run this seed; the last line is the hash of the run'),
      seeds: parsed(parseSeeds, 'A-B', 'Run these seeds'),
      minutes: parsed(text => parseTime(text, MINUTES_MAX), 'M', 'Run seeds for this long [1]'),
      hours: parsed(text => parseTime(text, MINUTES_MAX / 60), 'H', 'The same in hours: a soak'),
      workers: {
        kind: 'parsed',
        parse: parseWorkers,
        default: '1',
        placeholder: 'N',
        brief: 'Processes that share the seeds',
      },
      stack: {
        kind: 'enum',
        values: STACKS,
        default: 'core',
        brief: 'What runs on the nodes: small registers, or the key-value store',
      },
      plan: parsed(parsePlan, 'JSON', "Settings instead of the seed's own, or `usual`"),
      faults: parsed(parseNumbers, 'N,N', 'With --seed: only these of its faults, or none'),
      operations: parsed(parseNumbers, 'N,N', 'With --seed: only these of its operations'),
      shrink: { ...switchedOff, brief: 'With --seed: look for the smallest run that fails alike' },
      twice: {
        ...switchedOff,
        brief: 'Run each seed twice and compare the hashes, not one in 100',
      },
      trace: parsed(String, 'FILE', 'With --seed: write every step of every node as JSON lines'),
      html: parsed(
        String,
        'FILE',
        'With --seed: write the page of a history that is not linearizable',
      ),
      json: { ...switchedOff, brief: 'Print the result as JSON' },
    },
  },
  docs: {
    brief: 'Run clusters in virtual time and try to break them',
    fullDescription: [
      'Runs whole clusters, production code on a virtual clock, network and disk, each decided by a',
      'seed: its size, its settings, its load, its faults. The same seed gives the same run.',
      '',
      '  kontiki sim                          as many seeds as fit into a minute',
      '  kontiki sim --seed 312               one seed, with a report if it breaks something',
      '  kontiki sim --seed 312 --shrink      the smallest run that breaks the same',
      '  kontiki sim --hours 2 --workers 2    a soak',
      '',
      'Exit codes: 0 nothing is broken, 1 an invariant is, 64 usage, 130 interrupted.',
    ].join('\n'),
  },
});
