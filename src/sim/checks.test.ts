// Each check can fail: what it forbids is told to the shadow, and the broken promise is named.

import { describe, expect, test } from 'vitest';
import { DEFAULTS, type RaftConfig } from '../raft/config.ts';
import type { Input } from '../raft/io.ts';
import type { Message } from '../raft/messages.ts';
import type { ProgressReport, RaftReport } from '../raft/report.ts';
import type { TraceEvent, TraceState } from '../raft/trace.ts';
import type { Configuration, Entry, NodeId, PersistentState } from '../raft/types.ts';
import { NO_DATA, ORIGIN } from '../raft/types.ts';
import { checkElections, idleTime, isCalm, messagesMax } from './calm.ts';
import { Judge } from './judge.ts';
import { quorumsMeet } from './quorums.ts';
import { recoveryFault } from './recovery-check.ts';
import { Matches, outgrown } from './samples.ts';
import { Shadow } from './shadow.ts';
import { chain, ShadowLog } from './shadow-log.ts';
import { drawPlan } from './swarm.ts';
import { World } from './world.ts';

const voters = (...ids: NodeId[]): Configuration => ({
  voters: ids,
  outgoing: [],
  learners: [],
  learnersNext: [],
});
const THREE = voters(1, 2, 3);

function entry(index: number, term: number, config: Configuration | null = null): Entry {
  const kind = config === null ? 'command' : 'config';
  return { term, index, kind, data: NO_DATA, session: 0, sequence: 0, config };
}

const CALM: TraceState = {
  role: 'follower',
  term: 1,
  votedFor: 0,
  leader: 1,
  commitIndex: 0,
  stableIndex: 0,
  appliedIndex: 0,
  last: ORIGIN,
};

/** Three nodes with the same entries on their disks, and the first one leading term 1. */
class Forger {
  readonly world = new World();
  readonly judge = new Judge(this.world);
  readonly shadow = new Shadow(this.judge);
  readonly config: RaftConfig = { ...DEFAULTS, id: 1, random: () => 0 };

  constructor(entries: Entry[] = []) {
    const state: PersistentState = {
      hardState: { currentTerm: 0, votedFor: 0, commitIndex: 0 },
      snapshot: { last: ORIGIN, config: THREE, configIndex: 0 },
      entries: [],
    };
    for (const id of [1, 2, 3]) {
      const node = this.shadow.node(id);
      const cursors = { commitIndex: 0, appliedIndex: 0 };
      node.begins({ ...this.config, id }, state, cursors);
      node.term = 1;
      let hash = 0;
      for (const e of entries) {
        hash = chain(hash, e);
        node.handed.push(e.term, hash);
        node.durable.push(e.term, hash);
      }
    }
    this.shadow.node(1).isLeader = true;
  }

  get broken(): string | null {
    return this.judge.violation?.property ?? null;
  }

  step(id: NodeId, was: Partial<TraceState>, now: Partial<TraceState>, input: Input): void {
    const before = { ...CALM, ...was };
    const event: TraceEvent = {
      version: 1,
      node: id,
      step: 1,
      input: input.kind,
      from: input.kind === 'receive' ? input.message.from : 0,
      rules: [],
      halt: null,
      was: before,
      now: { ...before, ...now },
    };
    const core = { report: () => this.report(id), entryAt: () => undefined };
    this.shadow.step(event, input, core);
  }

  report(id: NodeId, change: Partial<RaftReport> = {}): RaftReport {
    const { lastIndex, lastTerm } = this.shadow.node(id).handed;
    return {
      id,
      role: 'leader',
      currentTerm: 1,
      votedFor: 1,
      leader: 1,
      commitIndex: 0,
      appliedIndex: 0,
      stableIndex: lastIndex,
      last: { term: lastTerm, index: lastIndex },
      compacted: ORIGIN,
      snapshotIndex: 0,
      config: THREE,
      configIndex: 0,
      uncommittedBytes: 0,
      pendingReads: 0,
      transferTarget: 0,
      progress: [],
      ...change,
    };
  }
}

function receive(message: Message): Input {
  return { kind: 'receive', message };
}

const tick: Input = { kind: 'tick' };
const REQUEST = { kind: 'voteRequest', preVote: false, transfer: false, last: ORIGIN } as const;

describe('A-06, votes', () => {
  const vote = (last: { term: number; index: number }) => {
    const f = new Forger();
    const log = { term: 2, last: { term: 1, index: 5 }, leader: 0 };
    const request = { ...REQUEST, from: 3, to: 2, term: 2, last };
    f.shadow.node(2).term = 2;
    f.step(2, log, { votedFor: 3 }, receive(request));
    return f;
  };

  test('a vote for a shorter log, or one that ends in an older term, is seen', () => {
    expect(vote({ term: 1, index: 4 }).broken).toBe('A-06');
    expect(vote({ term: 0, index: 9 }).broken).toBe('A-06');
  });

  test('a vote for a log that is as good is looked at and not forbidden', () => {
    const f = vote({ term: 1, index: 5 });
    expect(f.judge.checks['A-06']).toBe(1);
    expect(f.broken).not.toBe('A-06');
  });
});

describe('A-11, leaders', () => {
  const elected = (f: Forger, id: NodeId, term: number) => {
    f.shadow.node(id).term = term;
    const now = { ...CALM, role: 'leader', term, leader: id } as const;
    const event = { node: id, was: { ...now, role: 'candidate' }, now, rules: [], halt: null };
    const core = { report: () => f.report(id), entryAt: () => undefined };
    for (const voter of [1, 2, 3]) f.shadow.voteDurable(voter, term, id);
    f.shadow.step(event as never, { kind: 'persisted', ready: 1 }, core);
  };
  /** Node 1 commits entry 1 of term 1 in this term; node 2 has another one of term 2 there. */
  const diverged = (term: number) => {
    const f = new Forger();
    f.shadow.node(1).handed.push(1, chain(0, entry(1, 1)));
    f.shadow.node(2).handed.push(2, chain(0, entry(1, 2)));
    f.shadow.node(1).term = term;
    f.shadow.noteCommit(f.shadow.node(1), 1);
    return f;
  };

  test('a leader without what was committed in an earlier term is seen', () => {
    const f = diverged(4);
    elected(f, 2, 5);
    expect(f.broken).toBe('A-11');
  });

  test('a leader that learns late of its votes may lack what a later term committed', () => {
    const f = diverged(6);
    elected(f, 2, 5);
    expect(f.broken).not.toBe('A-11');
  });
});

describe('A-17, matches', () => {
  const entries = [entry(1, 1), entry(2, 1)];
  const progress = (matchIndex: number, nextIndex = matchIndex + 1): ProgressReport => ({
    id: 2,
    state: 'replicate',
    matchIndex,
    nextIndex,
    inflightMessages: 0,
    inflightBytes: 0,
    ticksSinceContact: 0,
    learner: false,
  });
  const sample = (f: Forger, p: ProgressReport) => {
    const report = f.report(1, { progress: [p] });
    f.shadow.node(1).sample(f.report(1), report);
  };

  test('a match of what the follower had on disk, before that went back in time, is none', () => {
    const f = new Forger(entries);
    f.shadow.node(2).durable.truncate(2);
    f.shadow.node(2).lostUpTo = 2;
    sample(f, progress(2));
    expect(f.broken).toBe(null);
    f.shadow.node(2).lostUpTo = 1;
    sample(f, progress(2));
    expect(f.broken).toBe('A-17');
  });

  test('a match beyond what the follower has on disk is seen', () => {
    const f = new Forger(entries);
    f.shadow.node(2).durable.truncate(2);
    sample(f, progress(2));
    expect(f.broken).toBe('A-17');
  });

  test('a match where the logs differ is seen', () => {
    const f = new Forger(entries);
    const { durable } = f.shadow.node(2);
    durable.truncate(2);
    durable.push(1, 99);
    sample(f, progress(2));
    expect(f.broken).toBe('A-17');
  });

  test('a match that falls within a term is seen', () => {
    const f = new Forger(entries);
    const node = (id: NodeId) => f.shadow.node(id);
    const matches = new Matches();
    expect(matches.fault(f.report(1, { progress: [progress(2)] }), node(1), node)).toBe(null);
    expect(matches.fault(f.report(1, { progress: [progress(1)] }), node(1), node)).toMatch(/was 2/);
  });

  test('a match begins anew where the configuration is another one', () => {
    const f = new Forger(entries);
    const node = (id: NodeId) => f.shadow.node(id);
    const matches = new Matches();
    const later = { progress: [progress(0)], configIndex: 4 };
    expect(matches.fault(f.report(1, { progress: [progress(2)] }), node(1), node)).toBe(null);
    expect(matches.fault(f.report(1, later), node(1), node)).toBe(null);
  });
});

describe('A-27, acknowledgements', () => {
  test('what a newer leader has replaced was durable for the words of the older term', () => {
    const f = new Forger();
    const node = f.shadow.node(2);
    const write = (term: number, written: Entry[]) => {
      node.term = term;
      return node.handOver({ entries: written, hardState: null, snapshot: null });
    };
    const first = write(1, [entry(1, 1), entry(2, 1)]);
    const second = write(2, [entry(1, 2)]);
    expect(node.wasDurable(2, 1), 'not yet').toBe(false);
    first();
    second();
    expect(node.durable.lastIndex).toBe(1);
    expect(node.wasDurable(2, 1)).toBe(true);
    expect(node.wasDurable(2, 2), 'of the newer term it never was').toBe(false);
  });
});

describe('A-18, A-20: who counts', () => {
  test('a change to a configuration whose quorums need not meet the old ones is seen', () => {
    const f = new Forger([entry(1, 1)]);
    const leader = f.shadow.node(1);
    leader.commitIndex = 1;
    const ready = { entries: [entry(2, 1, voters(1, 4, 5))], snapshot: null, committed: [] };
    leader.ready(ready as never, 0);
    expect(f.broken).toBe('A-18');
    expect(f.judge.violation?.message).toMatch(/two quorums/);
  });

  test('quorums meet where one voter changes, and through a joint configuration', () => {
    expect(quorumsMeet(THREE, voters(1, 2, 3, 4))).toBe(true);
    expect(quorumsMeet(THREE, voters(1, 2, 4))).toBe(false);
    const joint = { ...voters(1, 4, 5), outgoing: [1, 2, 3] };
    expect(quorumsMeet(THREE, joint)).toBe(true);
    expect(quorumsMeet(joint, voters(1, 4, 5))).toBe(true);
    expect(quorumsMeet(THREE, voters(1, 4, 5))).toBe(false);
  });

  test('a commit that counts a learner is seen', () => {
    const f = new Forger([entry(1, 1)]);
    f.shadow.node(2).durable.truncate(1);
    const config = { ...voters(1, 2), learners: [3] };
    f.shadow.leaderCommitted(f.shadow.node(1), { term: 1, index: 1, config });
    expect(f.broken).toBe('A-20');
  });

  test('a leader that counts the vote of a removed node is seen', () => {
    const f = new Forger();
    f.shadow.voteDurable(1, 2, 1);
    f.shadow.voteDurable(3, 2, 1);
    f.shadow.node(1).term = 2;
    const now = { role: 'leader', term: 2, votedFor: 1, leader: 1 } as const;
    const core = { report: () => f.report(1, { config: voters(1, 2) }), entryAt: () => undefined };
    const event = {
      node: 1,
      halt: null,
      was: { ...CALM, ...now, role: 'candidate' },
      now: { ...CALM, ...now },
    };
    f.shadow.step(event as never, { kind: 'persisted', ready: 1 }, core);
    expect(f.broken).toBe('A-20');
  });
});

describe('A-21, disturbers', () => {
  const hears = { leader: 1, term: 1 } as const;
  const goes = { term: 2, leader: 0 } as const;

  test('a follower that hears a leader and goes to the term of a removed node is seen', () => {
    const f = new Forger();
    f.step(3, { leader: 0 }, { role: 'candidate', term: 2 }, tick);
    f.judge.violation = null;
    f.step(2, hears, goes, receive({ ...REQUEST, from: 9, to: 2, term: 2 }));
    expect(f.broken).toBe('A-21');
  });

  test('a leader that steps down for the answer of an outsider is seen', () => {
    const f = new Forger();
    f.step(3, { leader: 0 }, { role: 'candidate', term: 2 }, tick);
    f.judge.violation = null;
    const answer = { kind: 'appendRejected', from: 9, to: 1, term: 2, rejected: 0, hint: ORIGIN };
    const message = { ...answer, round: 0 } as Message;
    f.step(1, { ...hears, role: 'leader' }, { ...goes, role: 'follower' }, receive(message));
    expect(f.broken).toBe('A-21');
  });

  test('who has heard nobody for an election timeout may go', () => {
    const f = new Forger();
    f.step(3, { leader: 0 }, { role: 'candidate', term: 2 }, tick);
    for (let i = 0; i < DEFAULTS.electionTicks; i++) f.step(2, hears, {}, tick);
    f.judge.violation = null;
    f.step(2, hears, goes, receive({ ...REQUEST, from: 9, to: 2, term: 2 }));
    expect(f.broken).not.toBe('A-21');
  });
});

describe('A-31, recoveries', () => {
  const committed = new ShadowLog();
  for (let index = 1; index <= 6; index++) committed.push(1, index);
  const meta = (index: number, term = 1) => ({
    last: { term, index },
    config: THREE,
    configIndex: 0,
  });
  const recovery = (snapshot: number, entries: Entry[], applied: number) => ({
    state: {
      hardState: { currentTerm: 1, votedFor: 0, commitIndex: 0 },
      snapshot: snapshot === 0 ? { ...meta(0), last: ORIGIN } : meta(snapshot),
      entries,
    },
    file: null,
    applied,
  });
  const fault = (r: Parameters<typeof recoveryFault>[0]) => recoveryFault(r, committed);

  test('what fits together is let through', () => {
    expect(fault(recovery(3, [entry(4, 1), entry(5, 1)], 4))).toBe(null);
    expect(fault(recovery(3, [entry(2, 1), entry(3, 1)], 3))).toBe(null);
    expect(fault({ ...recovery(3, [], 3), file: meta(5) })).toBe(null);
  });

  test('a gap, a file or a snapshot of something else, a state too old or too new are seen', () => {
    expect(fault(recovery(3, [entry(5, 1)], 3))).toMatch(/gap/);
    expect(fault({ ...recovery(3, [], 3), file: meta(5, 2) })).toMatch(/file/);
    expect(
      fault({
        ...recovery(3, [], 3),
        state: { ...recovery(3, [], 3).state, snapshot: meta(3, 2) },
      }),
    ).toMatch(/begins/);
    expect(fault(recovery(3, [entry(3, 2)], 3))).toMatch(/its snapshot/);
    expect(fault(recovery(3, [entry(2, 1)], 3))).toMatch(/before its snapshot/);
    expect(fault(recovery(3, [], 2))).toMatch(/missing/);
    expect(fault(recovery(3, [entry(4, 1)], 5))).toMatch(/ends at 4/);
  });

  test('a core that begins with such a story is seen', () => {
    const f = new Forger();
    const { state } = recovery(3, [], 3);
    f.shadow.node(2).begins(f.config, state, { commitIndex: 3, appliedIndex: 3 });
    expect(f.broken).toBe('A-31');
  });
});

describe('A-49, A-50: how much', () => {
  test('what has grown beyond its bound is seen', () => {
    const f = new Forger([entry(1, 1)]);
    const config = { ...f.config, trailingEntries: 2 };
    expect(outgrown(f.report(1), config)).toBe(null);
    const held = { snapshotIndex: 100, compacted: { term: 1, index: 79 } };
    expect(outgrown(f.report(1, held), config)).toMatch(/21 entries are kept/);
    const bytes = { uncommittedBytes: 2 ** 40 };
    expect(outgrown(f.report(1, bytes), config)).toMatch(/not committed/);
    f.shadow.node(1).sample(f.report(1), f.report(1, bytes));
    expect(f.broken).toBe('A-49');
  });

  test('appends without end to a follower are seen', () => {
    const f = new Forger([entry(1, 1)]);
    const places = { id: 2, state: 'replicate', matchIndex: 0, nextIndex: 1 } as const;
    const bytes = { inflightBytes: 0, ticksSinceContact: 0, learner: false };
    const progress = { ...places, ...bytes, inflightMessages: 257 };
    expect(outgrown(f.report(1, { progress: [progress] }), f.config)).toMatch(/257 appends/);
  });

  test('a second election and chatter in an idle time are seen', async () => {
    const f = new Forger();
    const plan = drawPlan({ seed: 1, plan: { classes: [], delayMs: 0.1, syncMs: 0.5 } });
    let messages = 0;
    const parts = { world: f.world, judge: f.judge, plan };
    const counts = () => ({ elections: 1, messages });
    await idleTime({ ...parts, counts });
    expect(f.broken).toBe(null);
    f.world.after(1_000_000 + 10 * plan.electionTicks * plan.tickMs * 1000, 'check', null, () => {
      messages += messagesMax(plan, 3_000_000) + 1;
    });
    await idleTime({ ...parts, counts });
    expect(f.broken).toBe('A-50');
    const g = new Forger();
    checkElections({ ...parts, judge: g.judge, counts: () => ({ elections: 2, messages: 0 }) });
    expect(g.broken).toBe('A-50');
  });

  test('a run with faults, or with a disk slower than an election, is not calm', () => {
    const calm = { classes: [], delayMs: 0.1, syncMs: 0.5, electionTicks: 10, tickMs: 100 };
    expect(isCalm(drawPlan({ seed: 1, plan: calm }))).toBe(true);
    expect(isCalm(drawPlan({ seed: 1, plan: { ...calm, classes: ['crash'] } }))).toBe(false);
    expect(isCalm(drawPlan({ seed: 1, plan: { ...calm, syncMs: 4 } }))).toBe(false);
  });
});
