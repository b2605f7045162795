// `kontiki demo`: a whole cluster in one process, with keys to break it. Shows leader changes as they
// happen.

import { jsonLogger, silentLogger } from '../etcd/logger.ts';
import { KontikiError } from '../node/errors.ts';
import type { CliContext } from './context.ts';
import { DemoCluster, type DemoNode } from './demo-cluster.ts';
import { type DemoPorts, demoPorts } from './demo-ports.ts';
import { banner, eventLine, HELP_LINES } from './demo-text.ts';
import { ExitCode } from './exit-codes.ts';
import { readKeys } from './keys.ts';
import { nodeFailureReport } from './node-advice.ts';
import { CliError, reporting } from './report.ts';
import { StopSignals } from './signals.ts';
import { styleFor } from './style.ts';
import { kontikiVersion } from './version.ts';

export interface DemoFlags {
  readonly nodes: number;
  readonly basePort?: number;
  readonly seconds?: number;
  readonly verbose: boolean;
}

const FIRST_LEADER_MS = 30_000;
const LOOK_MS = 20;

export function demo(this: CliContext, flags: DemoFlags): Promise<void> {
  return reporting(this, async () => {
    const { stderr } = this.process;
    const logger = flags.verbose ? jsonLogger('info', line => stderr.write(line)) : silentLogger;
    const signals = new StopSignals(logger);
    const ports = await demoPorts(flags.nodes, flags.basePort);
    const startedAt = performance.now();
    const failed = (node: DemoNode, why: string) => show?.nodeFailed(node, why);
    let show: Demo | null = null;
    const cluster = await start(() => DemoCluster.start(ports.nodes, logger, failed));
    show = new Demo(this, cluster);
    try {
      await Promise.race([show.run(ports, startedAt, flags), signals.first]);
    } finally {
      show.close();
      await cluster.stop();
      signals.close();
    }
    return ExitCode.OK;
  });
}

async function start<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof KontikiError)) throw error;
    throw new CliError(nodeFailureReport("The demo can't start.", error));
  }
}

class Demo {
  readonly #context: CliContext;
  readonly #cluster: DemoCluster;
  readonly #killed: DemoNode[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopKeys: () => void = () => {};
  #leader: DemoNode | null = null;
  #term = 0;
  /** When the last leader went, for how long the election took. */
  #leaderlessAt = 0;
  #busy = false;
  #closed = false;

  constructor(context: CliContext, cluster: DemoCluster) {
    this.#context = context;
    this.#cluster = cluster;
  }

  /** Resolves when the user or --seconds ends it. */
  async run(ports: DemoPorts, startedAt: number, { seconds }: DemoFlags): Promise<void> {
    const electedMs = await this.#firstLeader(startedAt);
    if (this.#closed) return;
    const hasKeys = this.#context.stdin.isTTY === true;
    this.#printBanner(ports, electedMs, hasKeys);
    this.#timers.add(setInterval(() => this.#look(), LOOK_MS));
    await new Promise<void>(resolve => {
      if (hasKeys) this.#stopKeys = readKeys(key => this.#press(key, resolve));
      if (seconds !== undefined) this.#timers.add(setTimeout(resolve, seconds * 1000));
    });
  }

  nodeFailed(node: DemoNode, why: string): void {
    this.#killed.push(node);
    this.#say(`${node.name} has failed: ${why}`);
  }

  close(): void {
    this.#closed = true;
    this.#stopKeys();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #firstLeader(startedAt: number): Promise<number> {
    while (!this.#closed) {
      const { leader, nodes } = this.#cluster;
      if (leader !== null) {
        const electedMs = Math.round(performance.now() - startedAt);
        await Promise.all(nodes.map(node => node.server?.ready));
        this.#leader = leader;
        this.#term = leader.term;
        return electedMs;
      }
      if (performance.now() - startedAt > FIRST_LEADER_MS) throw noLeader();
      await new Promise(resolve => this.#timers.add(setTimeout(resolve, LOOK_MS)));
    }
    return 0;
  }

  #printBanner({ taken }: DemoPorts, electedMs: number, hasKeys: boolean): void {
    const { nodes, dir, canLose } = this.#cluster;
    const { stdout, env } = this.#context.process;
    const facts = { version: kontikiVersion(), dir, nodes, electedMs, term: this.#term };
    const text = banner({ ...facts, canLose, takenPort: taken, hasKeys }, styleFor(stdout, env));
    stdout.write(text);
  }

  #say(text: string, key = ''): void {
    this.#context.process.stdout.write(`${eventLine(new Date(), key, text)}\n`);
  }

  /** Tells of leader changes, whoever caused them. */
  #look(): void {
    const { leader } = this.#cluster;
    if (leader === null) {
      if (this.#leader !== null) this.#leaderless();
      return;
    }
    const { term } = leader;
    if (leader === this.#leader && term === this.#term) return;
    const after =
      this.#leader === null ? ` after ${ms(performance.now() - this.#leaderlessAt)}` : '';
    this.#leader = leader;
    this.#term = term;
    this.#say(`${leader.name} is leader of term ${term}${after}`);
  }

  #leaderless(): void {
    this.#leader = null;
    this.#leaderlessAt = performance.now();
  }

  #press(key: string, quit: () => void): void {
    if (key === 'q') return quit();
    if (key === 'h') for (const line of HELP_LINES) this.#say(line);
    if (key !== 'k' && key !== 'r') return;
    // One at a time: a kill or a start takes a moment.
    if (this.#busy) return;
    this.#busy = true;
    const work = key === 'k' ? this.#kill() : this.#restart();
    work
      .catch((error: unknown) => this.#say(`failed: ${String(error)}`, key))
      .finally(() => {
        this.#busy = false;
      });
  }

  async #kill(): Promise<void> {
    const { leader } = this.#cluster;
    if (leader === null) return this.#say('there is no leader to kill', 'k');
    const { term } = leader;
    this.#killed.push(leader);
    this.#leaderless();
    this.#say(`killed ${leader.name} (leader, term ${term})`, 'k');
    await leader.kill();
    if (this.#cluster.canLose < 0) {
      this.#say('no majority is left: writes wait until r starts a node again');
    }
  }

  async #restart(): Promise<void> {
    const node = this.#killed.shift();
    if (node === undefined) return this.#say('no node is down', 'r');
    await node.start(why => this.nodeFailed(node, why));
    this.#say(`started ${node.name} again from its files`, 'r');
  }
}

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}

function noLeader(): CliError {
  return new CliError({
    headline: 'The demo has found no leader within 30 s.',
    details: [['next', ['kontiki demo --verbose     shows the log of the nodes']]],
    exitCode: ExitCode.UNAVAILABLE,
  });
}
