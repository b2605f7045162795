// The order of effects, on a scripted core: what is handed in when, what leaves before what.

import { describe, expect, test } from 'vitest';
import { encode, Outcome, ReadOutcome } from '../../test/support/driver-cluster.ts';
import { FakeDisk, FakeStore } from '../../test/support/fake-store.ts';
import { FakeTransport } from '../../test/support/fake-transport.ts';
import { JournalMachine } from '../../test/support/journal-machine.ts';
import { command, message, noop, ScriptedCore } from '../../test/support/scripted-core.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import { DEFAULTS } from '../raft/config.ts';
import type { Receipt } from '../raft/io.ts';
import type { LogId } from '../raft/types.ts';
import { Driver } from './driver.ts';
import type { DriverLimits } from './driver-types.ts';
import type { ApplyBatch } from './machine.ts';

const TICK_MS = 10;

/** Takes a number of turns for each batch with a command of this name. */
class SlowMachine extends JournalMachine {
  readonly #turns: number;
  #left = 0;
  #batch: ApplyBatch | null = null;

  constructor(turns: number) {
    super();
    this.#turns = turns;
  }

  begin(batch: ApplyBatch): unknown[] | null {
    if (this.#batch !== null) throw new Error('a batch begins before the end of another');
    if (!batch.commands.some(({ data }) => String.fromCharCode(...data) === 'slow')) {
      return this.apply(batch);
    }
    this.#batch = batch;
    this.#left = this.#turns;
    return null;
  }

  resume(): unknown[] | null {
    this.#left -= 1;
    if (this.#left > 0) return null;
    const batch = this.#batch!;
    this.#batch = null;
    return this.apply(batch);
  }

  override snapshot() {
    if (this.#batch !== null) throw new Error('a snapshot in the middle of a batch');
    return super.snapshot();
  }
}

async function setup(limits: Partial<DriverLimits> = {}, machine = new JournalMachine()) {
  const clock = new VirtualClock();
  const core = new ScriptedCore();
  const store = new FakeStore(1, new FakeDisk());
  const transport = new FakeTransport();
  const driver = new Driver({
    raft: { ...DEFAULTS, id: 1, random: () => 0, electionTicks: 20 },
    tickMs: TICK_MS,
    clock,
    store,
    transport,
    machine,
    initialConfig: { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [] },
    limits,
    createCore: () => core,
  });
  await driver.start();
  await clock.settle();
  return { clock, core, store, transport, machine, driver };
}

const rounds = (transport: FakeTransport) =>
  transport.sent.map(m => (m.kind === 'append' ? m.round : -1));

const placed = (batch: number, index: number): Receipt => ({
  batch,
  first: { term: 1, index },
  refusal: null,
});

describe('persisting and sending', () => {
  test('messages leave in one send() while the write is still under way', async () => {
    const { clock, core, store, transport, driver } = await setup();
    store.held = true;
    core.say({ entries: [noop(1)], messages: [message(1)] });
    core.say({ messages: [message(2)] });
    driver.campaign();
    await clock.settle();
    expect(store.waiting).toBe(1);
    expect(transport.sends.map(messages => messages.length)).toEqual([2]);
  });

  test('afterPersist leaves only once the write is done, and the core is told', async () => {
    const { clock, core, store, transport, driver } = await setup();
    store.held = true;
    const number = core.say({ entries: [noop(1)], afterPersist: [message(1)] });
    driver.campaign();
    await clock.settle();
    expect(transport.sent).toEqual([]);
    expect(core.of('persisted')).toEqual([]);
    store.release();
    await clock.settle();
    expect(rounds(transport)).toEqual([1]);
    expect(core.of('persisted')).toEqual([{ kind: 'persisted', ready: number }]);
  });

  test('afterPersist of a Ready with nothing to write waits for the earlier ones', async () => {
    const { clock, core, store, transport, driver } = await setup();
    store.held = true;
    core.say({ entries: [noop(1)], afterPersist: [message(1)] });
    core.say({ afterPersist: [message(2)] });
    core.say({ entries: [noop(2)], afterPersist: [message(3)] });
    driver.campaign();
    await clock.settle();
    expect(transport.sent).toEqual([]);
    store.release(1);
    await clock.settle();
    expect(rounds(transport)).toEqual([1, 2]);
    store.release(1);
    await clock.settle();
    expect(rounds(transport)).toEqual([1, 2, 3]);
  });

  test('afterPersist leaves at once when nothing is being written', async () => {
    const { clock, core, transport, driver } = await setup();
    core.say({ afterPersist: [message(1)] });
    driver.campaign();
    await clock.settle();
    expect(rounds(transport)).toEqual([1]);
  });

  test('a write that takes long is visible in the report', async () => {
    const { clock, core, store, driver } = await setup();
    store.held = true;
    core.say({ entries: [noop(1)] });
    driver.campaign();
    await clock.advance(500);
    expect(driver.report()).toMatchObject({ persistsInFlight: 1, stalled: true });
    expect(driver.report().persistOldestMs).toBeGreaterThanOrEqual(490);
  });
});

describe('a failing write', () => {
  test('stops the node: nothing is sent, no completion is told, waiting is over', async () => {
    const { clock, core, store, transport, machine, driver } = await setup();
    store.held = true;
    core.onStep = input => {
      if (input.kind !== 'propose') return;
      core.say({ entries: [command(1, 'a')], receipts: [placed(input.batch, 1)] });
      core.say({ afterPersist: [message(1)] });
    };
    const [outcome, read] = [new Outcome(), new ReadOutcome()];
    driver.propose(encode('a'), outcome);
    driver.read(read);
    await clock.settle();
    store.fail();
    store.release();
    const error = await driver.closed;
    expect(error).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(outcome.error).toMatchObject({ code: 'STOPPED', outcome: 'unknown' });
    expect(read.error).toMatchObject({ code: 'STOPPED' });
    expect(transport.sent).toEqual([]);
    expect(core.of('persisted')).toEqual([]);
    expect([transport.closed, machine.closed]).toEqual([true, true]);
    expect(driver.report().state).toBe('failed');
  });

  test('lets no later call in: it is refused as not applied', async () => {
    const { clock, core, store, driver } = await setup();
    store.fail();
    core.say({ entries: [noop(1)] });
    driver.campaign();
    await clock.settle();
    const [outcome, read] = [new Outcome(), new ReadOutcome()];
    driver.propose(encode('a'), outcome);
    driver.read(read);
    expect(outcome.error).toMatchObject({ code: 'STOPPED', outcome: 'not-applied' });
    expect(read.error).toMatchObject({ code: 'STOPPED' });
  });
});

describe('a core that halts', () => {
  const halt = { leader: 2, term: 7, acknowledged: 9, last: { term: 6, index: 4 } };

  test('stops the node with what it has lost, and condemns its data', async () => {
    const { clock, core, store, transport, driver } = await setup();
    core.say({ messages: [message(1)] });
    core.say({ halt: { kind: 'lostEntries', ...halt } });
    const outcome = new Outcome();
    driver.propose(encode('x'), outcome);
    await clock.settle();
    const error = await driver.closed;
    expect(error).toMatchObject({ code: 'STORAGE_LOST', outcome: 'unknown' });
    expect(error!.message).toContain('acknowledged entries up to 9 to leader 2 in term 7');
    expect(error!.message).toContain('its log ends at 4');
    expect(error!.message).toContain('add it anew with an empty data directory');
    expect(transport.sent).toEqual([]);
    expect(outcome.error?.code).toBe('STOPPED');
    expect(store.disk.condemned).toBe(error!.text);
  });

  test('because a term has two leaders stops the node and leaves its data alone', async () => {
    const { clock, core, store, driver } = await setup();
    core.say({ halt: { kind: 'twoLeaders', leader: 2, other: 3, term: 7 } });
    driver.campaign();
    await clock.settle();
    const error = await driver.closed;
    expect(error!.message).toMatch(/^TWO_LEADERS: nodes 3 and 2 both lead term 7/);
    expect(store.disk.condemned).toBe(null);
  });
});

test('an exception of the state machine stops the node', async () => {
  const { clock, core, machine, driver } = await setup();
  machine.onApply = () => {
    throw new Error('division by zero');
  };
  core.say({ committed: [command(1, 'a')] });
  driver.campaign();
  await clock.settle();
  const error = await driver.closed;
  expect(error).toMatchObject({ code: 'MACHINE_FAILED' });
  expect(error?.message).toContain('division by zero');
  expect(core.of('applied')).toEqual([]);
});

describe('ticks', () => {
  test('that change nothing cost no turn; what comes of one is taken in its turn', async () => {
    const { clock, core, transport } = await setup();
    core.takes = 0;
    await clock.advance(10 * TICK_MS);
    expect(core.takes).toBe(0);
    core.onStep = () => core.say({ messages: [message(1)] });
    await clock.advance(TICK_MS);
    expect(rounds(transport)).toEqual([1]);
  });

  test('come once per tick length', async () => {
    const { clock, core } = await setup();
    await clock.advance(10 * TICK_MS);
    expect(core.of('tick').length).toBe(10);
  });

  test('are never more than three at once after a pause of the event loop', async () => {
    const { clock, core, driver } = await setup();
    clock.skip(100 * TICK_MS);
    await clock.advance(0);
    expect(core.of('tick').length).toBe(3);
    expect(driver.report().ticksSkipped).toBe(97);
  });
});

describe('proposals of one turn', () => {
  test('are one input with one batch number, answered by place', async () => {
    const { clock, core, machine, driver } = await setup();
    core.onStep = input => {
      if (input.kind !== 'propose') return;
      const entries = input.proposals.map((_, i) => command(i + 1, `c${i}`));
      core.say({ entries, receipts: [placed(input.batch, 1)] });
      core.say({ committed: entries });
    };
    const outcomes = Array.from({ length: 50 }, () => new Outcome());
    for (const outcome of outcomes) driver.propose(encode('x'), outcome);
    await clock.settle();
    expect(core.of('propose').length).toBe(1);
    expect(machine.batches.length).toBe(1);
    expect(outcomes.map(({ index }) => index)).toEqual(outcomes.map((_, i) => i + 1));
    expect(outcomes[49]).toMatchObject({ result: 'c49#50', answers: 1 });
  });

  test('beyond the bound are refused as overloaded, and room is made by answers', async () => {
    const { clock, core, driver } = await setup({ pendingMax: 2 });
    const outcomes = [new Outcome(), new Outcome(), new Outcome()];
    for (const outcome of outcomes) driver.propose(encode('x'), outcome);
    expect(outcomes[2]?.error).toMatchObject({ code: 'OVERLOADED', outcome: 'not-applied' });
    await clock.settle();
    const { batch } = core.of('propose')[0]!;
    const committed = [command(1, 'x'), command(2, 'x')];
    core.say({ receipts: [placed(batch, 1)], committed });
    driver.campaign();
    await clock.settle();
    expect(driver.report()).toMatchObject({ pendingProposals: 0, pendingBytes: 0 });
  });

  test('that are larger than an entry may be are refused before they reach the core', async () => {
    const { clock, core, driver } = await setup();
    const outcome = new Outcome();
    driver.propose(new Uint8Array(DEFAULTS.entryBytesMax + 1), outcome);
    await clock.settle();
    expect(outcome.error).toMatchObject({ code: 'TOO_LARGE', outcome: 'not-applied' });
    expect(core.of('propose')).toEqual([]);
  });

  test('wait for a leader that is out of reach instead of being lost', async () => {
    const { clock, core, transport, driver } = await setup();
    Object.assign(core, { leader: 2, isLeader: false });
    transport.events?.unreachable(2);
    const outcome = new Outcome();
    driver.propose(encode('x'), outcome);
    await clock.advance(100);
    expect(core.of('propose')).toEqual([]);
    transport.events?.receive([{ ...message(1), from: 2, to: 1 }]);
    await clock.advance(2 * TICK_MS);
    expect(core.of('propose').length).toBe(1);
    expect(outcome.done).toBe(false);
  });
});

describe('applying', () => {
  test('joins what a turn committed into one batch', async () => {
    const { clock, core, machine, driver } = await setup();
    core.say({ committed: [command(1, 'a'), noop(2)] });
    core.say({ committed: [command(3, 'b')] });
    driver.campaign();
    await clock.settle();
    expect(machine.batches).toEqual([['a', 'b']]);
    expect(machine.applied).toEqual({ term: 1, index: 3 });
    expect(core.of('applied')).toEqual([{ kind: 'applied', index: 3 }]);
  });

  test('of a long backlog is cut into slices with turns between them', async () => {
    const { clock, core, machine, driver } = await setup({ applyEntriesMax: 10, applySliceMs: 5 });
    machine.onApply = () => clock.skip(1);
    const committed = Array.from({ length: 35 }, (_, i) => command(i + 1, `${i}`));
    core.say({ committed });
    let turns = 0;
    driver.campaign();
    const inner = clock.endOfTurn.bind(clock);
    clock.endOfTurn = run => {
      turns += 1;
      inner(run);
    };
    await clock.settle();
    expect(machine.batches.map(batch => batch.length)).toEqual([10, 10, 10, 5]);
    expect(turns).toBeGreaterThanOrEqual(3);
    expect(machine.commands.length).toBe(35);
  });

  test('of commands of many bytes comes in batches of 32 KiB, or of one command', async () => {
    const { clock, core, machine, driver } = await setup();
    const sizes = [20_000, 12_000, 1000, 70_000, 5, 5];
    const committed = sizes.map((size, i) => command(i + 1, 'x'.repeat(size)));
    core.say({ committed });
    driver.campaign();
    await clock.settle();
    const batches = machine.batches.map(batch => batch.map(data => data.length));
    expect(batches).toEqual([[20_000, 12_000], [1000], [70_000], [5, 5]]);
  });

  test('of a long batch takes its turns, answers once, and holds back what follows', async () => {
    const machine = new SlowMachine(5);
    const { clock, core, driver } = await setup({ snapshotCount: 2 }, machine);
    const outcome = new Outcome();
    driver.propose(encode('slow'), outcome);
    await clock.settle();
    const { batch } = core.of('propose')[0]!;
    core.say({ receipts: [placed(batch, 1)], committed: [command(1, 'slow'), command(2, 'b')] });
    core.say({ committed: [command(3, 'c')] });
    let turns = 0;
    const inner = clock.endOfTurn.bind(clock);
    clock.endOfTurn = run => {
      turns += 1;
      if (turns < 5) expect(machine.applied.index).toBe(0);
      inner(run);
    };
    driver.campaign();
    await clock.settle();
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(machine.commands).toEqual(['slow', 'b', 'c']);
    expect(core.of('applied').map(({ index }) => index)).toEqual([3]);
    expect(outcome.answers).toBe(1);
    expect(driver.report().newestSnapshot?.last.index).toBe(3);
  });

  test('pauses while too much waits for the disk of the machine, and goes on after it', async () => {
    class Backlogged extends JournalMachine {
      backlogBytes = 0;
      release: () => void = () => {};
      override apply(batch: ApplyBatch) {
        this.backlogBytes += 600 * batch.commands.length;
        return super.apply(batch);
      }
      override flush() {
        return new Promise<LogId>(resolve => {
          this.release = () => {
            this.backlogBytes = 0;
            resolve(this.durable);
          };
        });
      }
    }
    const machine = new Backlogged();
    const limits = { machineBacklogBytesMax: 1000, applyEntriesMax: 1 };
    const { clock, core, driver } = await setup(limits, machine);
    core.say({ committed: Array.from({ length: 5 }, (_, i) => command(i + 1, `${i}`)) });
    driver.campaign();
    await clock.settle();
    expect(machine.commands).toEqual(['0', '1']);
    core.say({ committed: [command(6, '5')] });
    driver.campaign();
    await clock.settle();
    expect(machine.commands.length).toBe(2);
    expect(driver.report()).toMatchObject({ state: 'running', applyBacklog: 4 });
    for (const applied of [4, 6]) {
      machine.release();
      await clock.settle();
      expect(machine.commands.length).toBe(applied);
    }
    machine.release();
  });

  test('a snapshot that is due waits for the end of a long batch', async () => {
    const machine = new SlowMachine(5);
    const { clock, core, driver } = await setup({ snapshotCount: 2, applyEntriesMax: 2 }, machine);
    core.say({ committed: [command(1, 'a'), command(2, 'b'), command(3, 'slow')] });
    driver.campaign();
    await clock.settle();
    expect(driver.report().state).toBe('running');
    expect(driver.report().newestSnapshot?.last.index).toBe(3);
  });

  test('a long batch is given up by a node that stops, and nobody waits for it', async () => {
    const machine = new SlowMachine(1_000_000);
    const { clock, core, driver } = await setup({}, machine);
    const outcome = new Outcome();
    driver.propose(encode('slow'), outcome);
    await clock.settle();
    const { batch } = core.of('propose')[0]!;
    core.say({ receipts: [placed(batch, 1)], committed: [command(1, 'slow')] });
    driver.campaign();
    for (let i = 0; i < 20; i++) await clock.turn();
    await driver.stop();
    expect(machine.closed).toBe(true);
    expect(machine.applied.index).toBe(0);
    expect(outcome.error).toMatchObject({ code: 'STOPPED', outcome: 'unknown' });
  });

  test('of a snapshot waits until the log has recorded it, and holds back what follows', async () => {
    const { clock, core, store, machine, driver } = await setup();
    const config = core.report().config;
    const meta = { last: { term: 1, index: 10 }, config, configIndex: 0 };
    const other = new JournalMachine();
    other.applied = meta.last;
    other.commands = ['from', 'the', 'snapshot'];
    const writer = await store.receiveSnapshot(2, meta);
    for await (const piece of other.snapshot().content()) await writer.write(piece);
    await writer.finish();
    store.held = true;
    core.say({ snapshot: meta, committed: [command(11, 'after')] });
    driver.campaign();
    await clock.settle();
    expect(machine.commands).toEqual([]);
    store.release();
    await clock.settle();
    expect(machine.commands).toEqual(['from', 'the', 'snapshot', 'after']);
    expect(core.of('applied').map(({ index }) => index)).toEqual([10, 11]);
  });
});

describe('a received snapshot', () => {
  const meta = { last: { term: 1, index: 5 }, config: new ScriptedCore().report().config };
  const chunk = (offset: number, text: string, done: boolean) => {
    const data = encode(text);
    return { from: 2, meta: { ...meta, configIndex: 0 }, offset, data, done };
  };

  test('is written in order, each chunk reported', async () => {
    const { clock, core, store, driver } = await setup();
    core.say({ snapshotWrites: [chunk(0, 'ab', false)] });
    core.say({ snapshotWrites: [chunk(2, 'cd', true)] });
    driver.campaign();
    await clock.settle();
    const told = core.of('snapshotWritten').map(({ next, done, ok }) => ({ next, done, ok }));
    expect(told).toEqual([
      { next: 2, done: false, ok: true },
      { next: 4, done: true, ok: true },
    ]);
    expect(Buffer.from(store.disk.files.get(5)!.bytes).toString()).toBe('abcd');
  });

  test('begins anew at offset 0', async () => {
    const { clock, core, store, driver } = await setup();
    core.say({ snapshotWrites: [chunk(0, 'xx', false)] });
    core.say({ snapshotWrites: [chunk(0, 'ab', false), chunk(2, 'cd', true)] });
    driver.campaign();
    await clock.settle();
    expect(Buffer.from(store.disk.files.get(5)!.bytes).toString()).toBe('abcd');
  });

  test('with a gap is reported as unusable', async () => {
    const { clock, core, driver } = await setup();
    core.say({ snapshotWrites: [chunk(7, 'ab', true)] });
    driver.campaign();
    await clock.settle();
    expect(core.of('snapshotWritten')).toMatchObject([{ ok: false }]);
  });
});

describe('reads', () => {
  const numbers = (core: ScriptedCore) => core.of('readIndex').map(({ read }) => read);

  test('of one turn share one question', async () => {
    const { clock, core, driver } = await setup();
    const reads = [new ReadOutcome(), new ReadOutcome(), new ReadOutcome()];
    for (const read of reads) driver.read(read);
    await clock.settle();
    expect(numbers(core).length).toBe(1);
    core.say({ reads: [{ read: numbers(core)[0]!, index: 0 }] });
    driver.campaign();
    await clock.settle();
    expect(reads.map(({ answers }) => answers)).toEqual([1, 1, 1]);
  });

  test('that come during a question wait for the next one', async () => {
    const { clock, core, driver } = await setup();
    const [early, late] = [new ReadOutcome(), new ReadOutcome()];
    driver.read(early);
    await clock.settle();
    driver.read(late);
    await clock.settle();
    expect(numbers(core).length).toBe(1);
    core.say({ reads: [{ read: numbers(core)[0]!, index: 0 }] });
    driver.campaign();
    await clock.settle();
    expect([early.done, late.done]).toEqual([true, false]);
    expect(new Set(numbers(core)).size).toBe(2);
  });

  test('wait until their index is applied', async () => {
    const { clock, core, machine, driver } = await setup();
    const read = new ReadOutcome();
    let seen: string[] = [];
    read.onReady = () => {
      seen = [...machine.commands];
    };
    driver.read(read);
    await clock.settle();
    core.say({ reads: [{ read: numbers(core)[0]!, index: 2 }], committed: [command(1, 'a')] });
    driver.campaign();
    await clock.settle();
    expect(read.done).toBe(false);
    core.say({ committed: [command(2, 'b')] });
    driver.campaign();
    await clock.settle();
    expect(seen).toEqual(['a', 'b']);
  });

  test('are asked again under a fresh number when the leader can not tell', async () => {
    const { clock, core, driver } = await setup();
    const read = new ReadOutcome();
    driver.read(read);
    await clock.settle();
    const [first] = numbers(core);
    core.say({ reads: [{ read: first!, index: null }] });
    driver.campaign();
    await clock.advance(3 * TICK_MS);
    expect(numbers(core).length).toBe(2);
    core.say({ reads: [{ read: first!, index: 0 }] });
    driver.campaign();
    await clock.settle();
    expect(read.done).toBe(false);
    core.say({ reads: [{ read: numbers(core)[1]!, index: 0 }] });
    driver.campaign();
    await clock.settle();
    expect(read.done).toBe(true);
  });

  test('without any answer are repeated, and fail after the request timeout', async () => {
    const { clock, core, driver } = await setup({ requestTimeoutMs: 1000 });
    const read = new ReadOutcome();
    driver.read(read);
    await clock.advance(950);
    expect(read.done).toBe(false);
    expect(numbers(core).length).toBeGreaterThan(3);
    await clock.advance(200);
    expect(read).toMatchObject({ error: { code: 'TIMEOUT' }, answers: 1 });
    expect(driver.report().pendingReads).toBe(0);
  });

  test('beyond the bound are refused', async () => {
    const { driver } = await setup({ pendingMax: 1 });
    const [first, second] = [new ReadOutcome(), new ReadOutcome()];
    driver.read(first);
    driver.read(second);
    expect(second.error).toMatchObject({ code: 'OVERLOADED' });
    expect(first.done).toBe(false);
  });
});

describe('the end', () => {
  test('stop() answers all that waits and closes everything', async () => {
    const { clock, transport, machine, driver } = await setup();
    const [sent, unsent] = [new Outcome(), new Outcome()];
    driver.propose(encode('a'), sent);
    await clock.settle();
    driver.propose(encode('b'), unsent);
    await driver.stop();
    expect(sent.error).toMatchObject({ code: 'STOPPED', outcome: 'unknown' });
    expect(unsent.error).toMatchObject({ code: 'STOPPED', outcome: 'not-applied' });
    expect([transport.closed, machine.closed]).toEqual([true, true]);
    expect(await driver.closed).toBe(null);
  });

  test('kill() leaves storage as it is and does nothing more', async () => {
    const { clock, core, store, machine, driver } = await setup();
    core.say({ entries: [noop(1)] });
    store.held = true;
    driver.campaign();
    await clock.settle();
    driver.kill();
    store.release();
    const before = core.inputs.length;
    await clock.advance(500);
    expect(core.inputs.length).toBe(before);
    expect(machine.closed).toBe(false);
  });
});
