// One simulation, from seed to result.

import type { TraceEvent } from '../raft/trace.ts';
import { AppliedTable } from './applied.ts';
import { type CalmParts, checkElections, idleTime, isCalm } from './calm.ts';
import { Clients } from './clients.ts';
import { Cluster } from './cluster.ts';
import { Faults } from './faults.ts';
import { Judge } from './judge.ts';
import { Liveness } from './liveness.ts';
import { Operator } from './operator.ts';
import { Prng } from './prng.ts';
import { drawSchedule } from './schedule.ts';
import { Shadow } from './shadow.ts';
import { SimNetwork } from './sim-network.ts';
import { workloadFor } from './stacks.ts';
import { drawPlan } from './swarm.ts';
import { TraceRing } from './trace-ring.ts';
import { Traffic } from './traffic.ts';
import type { Plan, SimResult, SimStats, SimulateOptions } from './types.ts';
import type { CreateWorkload, Workload } from './workload.ts';
import { World } from './world.ts';

const TRACE_MAX = 400;

/** Runs one seed. Resolves whatever happens: a violation is a result, too. */
export function simulate(options: SimulateOptions): Promise<SimResult> {
  return simulateWorkload(options, workloadFor(options.stack ?? 'core'));
}

/** As simulate(), with a workload, and so a state machine, of the caller's. */
export async function simulateWorkload(
  options: SimulateOptions,
  createWorkload: CreateWorkload,
): Promise<SimResult> {
  const simulation = new Simulation(options, createWorkload);
  await simulation.run();
  return simulation.result();
}

class Simulation {
  readonly #options: SimulateOptions;
  readonly #plan: Plan;
  readonly #world = new World();
  readonly #judge: Judge;
  readonly #shadow: Shadow;
  readonly #applied: AppliedTable;
  readonly #network: SimNetwork;
  readonly #workload: Workload;
  readonly #cluster: Cluster;
  readonly #operator: Operator;
  readonly #faults: Faults;
  readonly #clients: Clients;
  readonly #trace: TraceRing;
  readonly #calm: CalmParts;
  readonly #traffic = new Traffic();

  constructor(options: SimulateOptions, createWorkload: CreateWorkload) {
    this.#options = options;
    const { seed } = options;
    const plan = drawPlan(options);
    this.#plan = plan;
    this.#judge = new Judge(this.#world, options.properties ?? null);
    this.#shadow = new Shadow(this.#judge);
    this.#applied = new AppliedTable(this.#judge);
    const [world, judge, shadow, applied] = [this.#world, this.#judge, this.#shadow, this.#applied];
    this.#trace = new TraceRing(options.traceMax ?? TRACE_MAX);
    this.#network = this.#createNetwork();
    const { keys, readShare } = plan;
    this.#workload = createWorkload({ seed, judge, applied, keys, readShare });
    const workload = this.#workload;
    const common = { world, seed, plan, judge, shadow };
    const cluster = new Cluster({
      ...common,
      applied,
      network: this.#network,
      workload,
      onTrace: event => this.#traced(event),
    });
    this.#cluster = cluster;
    this.#operator = new Operator({ ...common, cluster });
    this.#faults = new Faults({
      ...common,
      cluster,
      network: this.#network,
      operator: this.#operator,
      flood: (member, count, chance) => this.#clients.flood(member, count, chance),
    });
    const counts = () => ({ elections: shadow.elections, messages: this.#traffic.messages });
    this.#calm = { world, plan, judge, counts };
    const only = setOf(options.only?.operations);
    this.#clients = new Clients({ ...common, cluster, applied, workload, only });
  }

  async run(): Promise<void> {
    try {
      await this.#phases();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#judge.fail('A-53', 0, `the run threw: ${text}`);
    }
  }

  async #phases(): Promise<void> {
    const { seed } = this.#options;
    const [world, plan, cluster] = [this.#world, this.#plan, this.#cluster];
    const schedule = drawSchedule(seed, plan);
    this.#workload.begin?.({ world, seed, plan, cluster });
    for (const member of cluster.members) cluster.start(member);
    if (isCalm(plan)) await idleTime(this.#calm);
    this.#clients.start();
    this.#operator.start();
    this.#faults.start(schedule, setOf(this.#options.only?.faults));
    this.#probeLater(Prng.stream(seed, 'probes'));
    await world.runUntil(world.now + plan.durationMs * 1000);
    if (this.#judge.violation !== null) return;
    if (isCalm(plan)) checkElections(this.#calm);
    this.#faults.end();
    this.#operator.ended = true;
    if (plan.liveness && !plan.beyondAtlas) await this.#live();
    this.#clients.stop();
    if (this.#judge.violation === null) this.#checkTraffic();
    if (this.#judge.violation === null) this.#workload.finish();
  }

  async #live(): Promise<void> {
    const { seed } = this.#options;
    const liveness = new Liveness({
      world: this.#world,
      plan: this.#plan,
      judge: this.#judge,
      cluster: this.#cluster,
      network: this.#network,
      shadow: this.#shadow,
      workload: this.#workload,
      chance: Prng.stream(seed, 'liveness'),
      clients: this.#clients,
      operator: this.#operator,
    });
    await liveness.run();
  }

  result(): SimResult {
    const { violation } = this.#judge;
    return {
      ok: violation === null,
      seed: this.#options.seed,
      stack: this.#options.stack ?? 'core',
      plan: this.#plan,
      violation,
      hash: this.#world.hash,
      stats: this.#stats(),
      faults: this.#faults.records,
      operations: this.#clients.called,
      trace: this.#trace.events(),
    };
  }

  #checkTraffic(): void {
    this.#traffic.check(this.#judge, this.#plan, {
      simulatedMs: this.#world.nowMs,
      members: this.#cluster.members.length,
      operations: this.#clients.called.length,
    });
  }

  #createNetwork(): SimNetwork {
    const { seed } = this.#options;
    const [plan, judge, shadow] = [this.#plan, this.#judge, this.#shadow];
    const mood = {
      delayUs: plan.delayMs * 1000,
      lossRate: plan.lossRate,
      duplicateRate: plan.duplicateRate,
      reorderRate: plan.reorderRate,
      corruptRate: plan.corruptRate,
      queueMessagesMax: plan.queueMessagesMax,
      holdsOverRestart: plan.classes.includes('held'),
      takesChanges: true,
      encode: plan.encode,
    };
    return new SimNetwork(this.#world, Prng.stream(seed, 'network'), mood, {
      sent: message => {
        this.#traffic.sent(message);
        shadow.sent(message);
      },
      happened: what => judge.happened(what),
      corruptionUnnoticed: message => {
        judge.fail('corruption', message.to, `changed bytes became a message: ${message.kind}`);
      },
    });
  }

  #traced(event: TraceEvent): void {
    this.#trace.push(this.#world.nowMs, event);
    this.#faults.saw(event);
    this.#options.onTrace?.(this.#world.nowMs, event);
  }

  #probeLater(chance: Prng): void {
    const us = this.#plan.probeEveryMs * 1000 * (0.5 + chance.float());
    this.#world.after(us, 'check', null, () => {
      this.#cluster.probe(chance.pick(this.#cluster.members));
      this.#probeLater(chance);
    });
  }

  #stats(): SimStats {
    const { counts } = this.#clients;
    const { classes } = this.#plan;
    const cluster = this.#cluster;
    const faults = { ...this.#judge.faults };
    for (const name of ['delay', 'tornWrites', 'snapshot'] as const) {
      if (classes.includes(name)) faults[name] = 1;
    }
    return {
      simulatedMs: this.#world.nowMs,
      events: this.#world.events,
      steps: cluster.steps,
      messages: this.#network.delivered,
      committed: this.#shadow.commitIndex,
      elections: this.#shadow.elections,
      ...counts,
      restarts: cluster.restarts,
      snapshotsTaken: cluster.snapshotsTaken,
      snapshotsInstalled: cluster.snapshotsInstalled,
      membershipChanges: this.#operator.changes,
      checks: { ...this.#judge.checks, ...this.#shadow.checks },
      faults,
      marks: this.#judge.marks,
    };
  }
}

function setOf(numbers: readonly number[] | undefined): ReadonlySet<number> | null {
  return numbers === undefined ? null : new Set(numbers);
}
