// `kontiki status`: how the cluster is, in one sentence and a table; also when it has no leader.

import { buildCommand } from '@stricli/core';
import { viewCluster } from './cluster-view.ts';
import type { CliContext } from './context.ts';
import { reachSteps } from './failure.ts';
import { CliError } from './report.ts';
import { type ClientFlags, clientAliases, clientFlags, runClientCommand } from './session.ts';
import {
  assess,
  formatStatus,
  HEALTH_EXIT,
  jsonStatus,
  nobodyReport,
  plainStatus,
} from './status-report.ts';

async function status(this: CliContext, flags: ClientFlags): Promise<void> {
  await runClientCommand(this, flags, async session => {
    const view = await viewCluster(session);
    if ('asked' in view) throw new CliError(nobodyReport(view, reachSteps(session)));
    const assessment = assess(view);
    switch (session.format) {
      case 'json':
        session.printJson(jsonStatus(view, assessment));
        break;
      case 'plain':
        session.print(plainStatus(view, assessment));
        break;
      case 'table':
        session.print(formatStatus(view, assessment, session.style));
    }
    return HEALTH_EXIT[assessment.health];
  });
}

export const statusCommand = buildCommand<ClientFlags, [], CliContext>({
  func: status,
  parameters: { flags: clientFlags, aliases: clientAliases },
  docs: {
    brief: 'Show how the cluster is',
    fullDescription: [
      'Asks one server who the members are, then every member how it is, at most a second each.',
      'Exit codes: 0 healthy, 1 degraded, 2 unavailable (no leader), 3 nobody could be asked.',
    ].join('\n'),
  },
});
