import { beforeEach, describe, expect, test } from 'vitest';
import { RaftModel } from './raft-model.ts';
import type { SpecConfig, SpecEntry, SpecPlace, SpecRecovered } from './raft-spec-log.ts';
import type { SpecMessage, SpecState } from './raft-spec-types.ts';

const START: SpecPlace = { term: 0, index: 0 };
const config = (voters: number[], outgoing: number[] = []): SpecConfig => ({
  voters,
  outgoing,
  learners: [],
});
const entry = (term: number, index: number, value = 7): SpecEntry => ({
  term,
  index,
  data: Uint8Array.of(value),
  config: null,
});
const change = (term: number, index: number, to: SpecConfig): SpecEntry => ({
  ...entry(term, index),
  config: to,
});

type Of<K extends SpecMessage['kind']> = Extract<SpecMessage, { kind: K }>;
type Envelope = [from: number, to: number, term: number];

const ask = ([from, to, term]: Envelope, last = START, preVote = false): Of<'voteRequest'> => {
  return { kind: 'voteRequest', from, to, term, preVote, last };
};
const vote = ([from, to, term]: Envelope, preVote = false): Of<'voteReply'> => {
  return { kind: 'voteReply', from, to, term, preVote, granted: true };
};
const append = (
  [from, to, term]: Envelope,
  prev: SpecPlace,
  entries: SpecEntry[] = [],
  leaderCommit = 0,
  acknowledged = 0,
): Of<'append'> => {
  return { kind: 'append', from, to, term, prev, entries, leaderCommit, acknowledged };
};
const ack = ([from, to, term]: Envelope, match: number): Of<'appendAccepted'> => {
  return { kind: 'appendAccepted', from, to, term, match };
};

/** What a snapshot of the first entry says, and a log that has it. */
function atEntry1() {
  const founding = config([1, 2, 3]);
  const meta = { last: { term: 1, index: 1 }, config: founding };
  return { meta, found: { config: founding, term: 1, votedFor: 1, entries: [entry(1, 1)] } };
}

/** Three servers that say of themselves what a test tells them to say. */
class Cluster {
  rules: string[] = [];
  readonly model = new RaftModel(({ rule }) => this.rules.push(rule));
  readonly #states = new Map<number, SpecState>();

  constructor(asks = false, servers = [1, 2, 3]) {
    for (const id of servers) {
      this.restart(id, { config: config(servers) }, asks);
    }
  }

  restart(
    id: number,
    found: { config: SpecConfig; term?: number; votedFor?: number; entries?: SpecEntry[] },
    asks = false,
    commitIndex = 0,
  ): void {
    const { term = 0, votedFor = 0, entries = [] } = found;
    const recovered: SpecRecovered = {
      hardState: { currentTerm: term, votedFor },
      snapshot: { last: START, config: found.config },
      entries,
    };
    this.model.restart(id, recovered, commitIndex, asks);
    const last = entries.at(-1) ?? START;
    const places = { commitIndex, stableIndex: last.index, last };
    this.#states.set(id, { role: 'follower', term, votedFor, ...places });
  }

  says(id: number, change: Partial<SpecState>): SpecState {
    const state = { ...this.#states.get(id)!, ...change };
    this.#states.set(id, state);
    return state;
  }

  step(id: number, change: Partial<SpecState> = {}, appended: SpecEntry[] = []): void {
    const last = appended.at(-1);
    this.model.step(id, this.says(id, last === undefined ? change : { last, ...change }), appended);
  }

  receive(m: SpecMessage, change: Partial<SpecState> = {}, appended: SpecEntry[] = []): void {
    const last = appended.at(-1);
    const now = this.says(m.to, last === undefined ? change : { last, ...change });
    this.model.receive(m.to, m, now, appended);
  }

  /** The message leaves and arrives. */
  deliver(m: SpecMessage, change: Partial<SpecState> = {}, appended: SpecEntry[] = []): void {
    this.model.send(m);
    this.receive(m, change, appended);
  }

  /** All that the server has decided goes to its disk, and is done at once. */
  persist(id: number, entries: SpecEntry[] = []): void {
    this.handOver(id, entries);
    this.model.written(id);
  }

  handOver(id: number, entries: SpecEntry[] = []): void {
    const { term, votedFor } = this.#states.get(id)!;
    this.model.write(id, {
      hardState: { currentTerm: term, votedFor },
      entries,
      snapshot: null,
    });
  }

  /** Again and again, up to this term. */
  campaign(id: number, to: number): void {
    for (let term = this.#states.get(id)!.term + 1; term <= to; term++) {
      this.step(id, { role: 'candidate', term, votedFor: id });
      this.persist(id);
    }
  }

  /** The voter has the request, and its vote on disk and under way to the candidate. */
  grant(voter: number, candidate: number, term: number, last = START): void {
    this.deliver(ask([candidate, voter, term], last), {
      role: 'follower',
      term,
      votedFor: candidate,
    });
    this.persist(voter);
    this.model.send(vote([voter, candidate, term]));
  }

  /** Server 1 leads term 1, elected by 2; its first entry is on both disks and acknowledged by 2. */
  lead(): void {
    this.campaign(1, 1);
    this.grant(2, 1, 1);
    this.receive(vote([2, 1, 1]), { role: 'leader' }, [entry(1, 1)]);
    this.persist(1, [entry(1, 1)]);
    this.deliver(append([1, 2, 1], START, [entry(1, 1)]), { last: entry(1, 1) });
    this.persist(2, [entry(1, 1)]);
    this.model.send(ack([2, 1, 1], 1));
  }

  /** ... and committed. */
  commit(): void {
    this.lead();
    this.receive(ack([2, 1, 1], 1), { commitIndex: 1 });
  }
}

let c: Cluster;
beforeEach(() => {
  c = new Cluster();
});

describe('what Raft does is allowed', () => {
  test('stopping for good when the leader tells of a loss', () => {
    c.commit();
    c.model.lose(2, 0);
    c.restart(2, { config: config([1, 2, 3]), term: 1, votedFor: 1 });
    const heartbeat = append([1, 2, 1], entry(1, 1), [], 1, 1);
    c.model.send(heartbeat);
    c.model.halt(2, heartbeat);
    expect(c.rules).toEqual([]);
  });

  test('an election, a replicated entry and its commit', () => {
    c.commit();
    c.deliver(append([1, 2, 1], entry(1, 1), [], 1, 1), { commitIndex: 1 });
    c.model.apply(2, 1, [entry(1, 1)]);
    expect(c.rules).toEqual([]);
  });

  test('a message may be repeated, overtaken and ignored', () => {
    c.commit();
    c.receive(append([1, 2, 1], START, [entry(1, 1)]));
    c.receive(vote([2, 1, 1]));
    c.campaign(3, 2);
    c.deliver(ask([3, 1, 2], START));
    expect(c.rules).toEqual([]);
  });

  test('a restart brings back what is durable, and perhaps some of what was under way', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2)]);
    c.handOver(1, [entry(1, 2)]);
    const founding = config([1, 2, 3]);
    c.restart(1, { config: founding, term: 1, votedFor: 1, entries: [entry(1, 1)] });
    const entries = [entry(1, 1), entry(1, 2)];
    const d = new Cluster();
    d.lead();
    d.step(1, {}, [entry(1, 2)]);
    d.handOver(1, [entry(1, 2)]);
    d.restart(1, { config: founding, term: 1, votedFor: 1, entries });
    expect([...c.rules, ...d.rules]).toEqual([]);
  });

  test('an uncommitted entry gives way to that of a newer leader', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2)]);
    c.campaign(2, 2);
    c.grant(3, 2, 2, entry(1, 1));
    c.receive(vote([3, 2, 2]), { role: 'leader' }, [entry(2, 2)]);
    const news = append([2, 1, 2], entry(1, 1), [entry(2, 2)]);
    const follows = { role: 'follower', term: 2, votedFor: 0, last: entry(2, 2) } as const;
    c.deliver(news, follows);
    expect(c.rules).toEqual([]);
  });

  test('a candidacy after a quorum said that it would vote (9.6)', () => {
    const d = new Cluster(true);
    d.step(1, { role: 'preCandidate' });
    d.deliver(ask([1, 2, 1], START, true));
    d.deliver(vote([2, 1, 1], true), { role: 'candidate', term: 1, votedFor: 1 });
    expect(d.rules).toEqual([]);
  });

  test('a committed prefix is installed elsewhere', () => {
    c.commit();
    const meta = { last: { term: 1, index: 1 }, config: config([1, 2, 3]) };
    const chunk: SpecMessage = { kind: 'snapshot', from: 1, to: 3, term: 1, meta };
    c.deliver(chunk, { term: 1 });
    c.model.installSnapshot(3, meta, c.says(3, { last: meta.last, commitIndex: 1 }));
    const hardState = { currentTerm: 1, votedFor: 0 };
    c.model.write(3, { hardState, entries: [], snapshot: meta });
    c.model.written(3);
    const done = { kind: 'snapshotReply', lastIndex: 1, next: -1 } as const;
    c.deliver({ ...done, from: 3, to: 1, term: 1 });
    expect(c.rules).toEqual([]);
  });

  test('a snapshot that was received whole before a crash tells what is committed after it', () => {
    c.commit();
    const { meta, found } = atEntry1();
    c.deliver({ kind: 'snapshot', from: 1, to: 2, term: 1, meta });
    c.restart(2, found, false, 1);
    expect(c.rules).toEqual([]);
  });

  test('a leader that learns of its votes late lacks what a later one committed', () => {
    const d = new Cluster();
    d.campaign(1, 1);
    d.grant(2, 1, 1);
    d.campaign(3, 2);
    d.grant(2, 3, 2);
    d.receive(vote([2, 3, 2]), { role: 'leader' }, [entry(2, 1)]);
    d.persist(3, [entry(2, 1)]);
    d.deliver(append([3, 2, 2], START, [entry(2, 1)]), { last: entry(2, 1) });
    d.persist(2, [entry(2, 1)]);
    d.deliver(ack([2, 3, 2], 1), { commitIndex: 1 });
    d.receive(vote([2, 1, 1]), { role: 'leader' });
    expect(d.rules).toEqual([]);
  });
});

describe('what Raft must not do is named', () => {
  test('a second vote in one term', () => {
    c.campaign(1, 1);
    c.campaign(3, 1);
    c.grant(2, 1, 1);
    c.deliver(ask([3, 2, 1]), { votedFor: 3 });
    expect(c.rules[0]).toBe('HandleRequestVoteRequest');
  });

  test('a vote for a log that is behind', () => {
    c.lead();
    c.campaign(3, 2);
    c.deliver(ask([3, 2, 2]), { term: 2, votedFor: 3 });
    expect(c.rules).toEqual(['HandleRequestVoteRequest']);
  });

  test('a vote that is due and refused', () => {
    c.campaign(1, 1);
    c.deliver(ask([1, 2, 1]), { term: 1 });
    expect(c.rules).toEqual(['HandleRequestVoteRequest']);
  });

  test('a vote that leaves before it is durable', () => {
    c.campaign(1, 1);
    c.deliver(ask([1, 2, 1]), { term: 1, votedFor: 1 });
    c.handOver(2);
    c.model.send(vote([2, 1, 1]));
    expect(c.rules).toEqual(['Send', 'HandleRequestVoteRequest']);
  });

  test('a vote request that leaves before the term is durable', () => {
    c.step(1, { role: 'candidate', term: 1, votedFor: 1 });
    c.handOver(1);
    c.model.send(ask([1, 2, 1]));
    expect(c.rules).toEqual(['RequestVote']);
  });

  test('a vote request that describes a longer log', () => {
    c.campaign(1, 1);
    c.model.send(ask([1, 2, 1], { term: 1, index: 3 }));
    expect(c.rules).toEqual(['RequestVote']);
  });

  test('leading without a quorum of votes', () => {
    c.campaign(1, 1);
    c.step(1, { role: 'leader' });
    expect(c.rules).toEqual(['BecomeLeader']);
  });

  test('leading with an own vote that is not durable', () => {
    c.step(1, { role: 'candidate', term: 1, votedFor: 1 });
    c.deliver({ ...ask([1, 2, 1]) }, { term: 1, votedFor: 1 });
    c.persist(2);
    c.rules = [];
    c.deliver(vote([2, 1, 1]), { role: 'leader' });
    expect(c.rules).toEqual(['BecomeLeader']);
  });

  test('a candidacy without having asked (9.6)', () => {
    const d = new Cluster(true);
    d.step(1, { role: 'candidate', term: 1, votedFor: 1 });
    expect(d.rules).toEqual(['Timeout']);
  });

  test('a candidacy by an answer to an older question (B17)', () => {
    const d = new Cluster(true);
    d.deliver(vote([2, 1, 1], true));
    d.campaign(3, 1);
    d.rules = [];
    d.receive({ ...ask([3, 1, 1]) }, { term: 1, votedFor: 3 });
    d.step(1, { role: 'preCandidate' });
    d.rules = [];
    d.receive(vote([2, 1, 1], true), { role: 'candidate', term: 2, votedFor: 1 });
    expect(d.rules).toEqual(['Timeout']);
  });

  test('a question that changes term or vote', () => {
    c.deliver(ask([1, 2, 1], START, true), { term: 1, votedFor: 1 });
    expect(c.rules).not.toEqual([]);
  });

  test('saying that it would vote for a log that is behind', () => {
    c.lead();
    c.deliver(ask([3, 2, 2], START, true));
    c.model.send(vote([2, 3, 2], true));
    expect(c.rules).toEqual(['HandleRequestVoteRequest']);
  });

  test('a message that was never sent, or to another server', () => {
    c.receive(ask([1, 2, 1]), {});
    c.model.send(ask([1, 3, 1], START, true));
    c.model.receive(2, ask([1, 3, 1], START, true), c.says(2, {}), []);
    expect(c.rules).toEqual(['Receive', 'Receive']);
  });

  test('a term that comes from nowhere', () => {
    c.step(1, { term: 1 });
    expect(c.rules).not.toEqual([]);
  });

  test('committing without a quorum', () => {
    c.lead();
    c.step(1, { commitIndex: 1 });
    expect(c.rules).toEqual(['AdvanceCommitIndex']);
  });

  test('counting the own copy before it is durable', () => {
    c.campaign(1, 1);
    c.grant(2, 1, 1);
    c.receive(vote([2, 1, 1]), { role: 'leader' }, [entry(1, 1)]);
    c.deliver(append([1, 2, 1], START, [entry(1, 1)]), { last: entry(1, 1) });
    c.persist(2, [entry(1, 1)]);
    c.deliver(ack([2, 1, 1], 1), { commitIndex: 1 });
    expect(c.rules).toEqual(['AdvanceCommitIndex']);
  });

  test('committing an entry of an earlier term by counting (Figure 8)', () => {
    c.lead();
    c.campaign(2, 2);
    c.grant(3, 2, 2, entry(1, 1));
    c.receive(vote([3, 2, 2]), { role: 'leader' });
    c.deliver(append([2, 3, 2], START, [entry(1, 1)]), { last: entry(1, 1) });
    c.persist(3, [entry(1, 1)]);
    c.deliver(ack([3, 2, 2], 1), { commitIndex: 1 });
    expect(c.rules).toEqual(['AdvanceCommitIndex']);
  });

  test('a match that nobody acknowledged', () => {
    c.lead();
    c.model.matchIndex(1, 2, 1);
    expect(c.rules).toEqual(['HandleAppendEntriesResponse']);
  });

  test('a follower that changes its log by itself', () => {
    c.commit();
    c.step(2, {}, [entry(1, 2)]);
    expect(c.rules).toEqual(['ClientRequest']);
  });

  test('a leader that loses entries', () => {
    c.commit();
    c.step(1, { last: START });
    expect(c.rules).not.toEqual([]);
  });

  test('truncating without a conflict', () => {
    c.commit();
    c.deliver(append([1, 2, 1], START), { last: START });
    expect(c.rules).not.toEqual([]);
  });

  test('taking half of a message', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2), entry(1, 3)]);
    const both = append([1, 2, 1], entry(1, 1), [entry(1, 2), entry(1, 3)]);
    c.deliver(both, { last: entry(1, 2) });
    expect(c.rules).not.toEqual([]);
  });

  test('losing an acknowledged entry, a vote or a term in a restart', () => {
    const founding = config([1, 2, 3]);
    const whole = { config: founding, term: 1, votedFor: 1, entries: [entry(1, 1)] };
    for (const lost of [{ entries: [] }, { votedFor: 0 }, { term: 0 }]) {
      const d = new Cluster();
      d.lead();
      d.restart(2, { ...whole, ...lost });
      expect(d.rules).toEqual(['Restart']);
    }
  });

  test('coming back with an entry that was never written', () => {
    c.lead();
    const entries = [entry(1, 1, 99)];
    c.restart(2, { config: config([1, 2, 3]), term: 1, votedFor: 1, entries });
    expect(c.rules).toEqual(['Restart']);
  });

  test('learning of a commit in a restart without a snapshot that told of it', () => {
    c.commit();
    c.restart(2, atEntry1().found, false, 1);
    expect(c.rules).toEqual(['Restart']);
  });

  test('a commit index that falls', () => {
    c.commit();
    c.step(1, { commitIndex: 0 });
    expect(c.rules).not.toEqual([]);
  });

  test('committing what the leader did not announce', () => {
    c.commit();
    c.deliver(append([1, 2, 1], entry(1, 1), [], 0, 1), { commitIndex: 1 });
    expect(c.rules[0]).toBe('AdvanceCommitIndex');
  });

  test('acknowledging more than was compared', () => {
    c.lead();
    c.model.send(ack([3, 1, 0], 1));
    c.deliver(append([1, 3, 1], START), { term: 1 });
    c.persist(3);
    c.model.send(ack([3, 1, 1], 1));
    expect(c.rules).toEqual(Array(4).fill('HandleAppendEntriesRequest'));
  });

  test('acknowledging what is not durable', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2)]);
    c.deliver(append([1, 2, 1], entry(1, 1), [entry(1, 2)]), { last: entry(1, 2) });
    c.handOver(2, [entry(1, 2)]);
    c.model.send(ack([2, 1, 1], 2));
    expect(c.rules).toEqual(['HandleAppendEntriesRequest']);
  });

  test('taking for durable what another write replaced (the ABA trap)', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2)]);
    c.handOver(1, [entry(1, 2)]);
    c.campaign(2, 2);
    c.grant(3, 2, 2, entry(1, 1));
    c.receive(vote([3, 2, 2]), { role: 'leader' }, [entry(2, 2)]);
    const follows = { role: 'follower', term: 2, votedFor: 0, last: entry(2, 2) } as const;
    c.deliver(append([2, 1, 2], entry(1, 1), [entry(2, 2)]), follows);
    c.model.written(1);
    expect(c.rules).toEqual([]);
    c.step(1, { stableIndex: 2 });
    expect(c.rules).toEqual(['Write']);
  });

  test('storing something else than was decided', () => {
    c.lead();
    c.step(1, {}, [entry(1, 2)]);
    c.persist(1, [entry(1, 2, 99)]);
    expect(c.rules).toEqual(['Write']);
  });

  test('a leader that tells of more acknowledgements than came, or of fewer', () => {
    for (const acknowledged of [0, 2]) {
      const d = new Cluster();
      d.commit();
      d.model.send(append([1, 2, 1], entry(1, 1), [], 1, acknowledged));
      expect(d.rules).toEqual(['AppendEntries']);
    }
  });

  test('going on after a loss that the leader tells of', () => {
    c.commit();
    c.model.lose(2, 0);
    c.restart(2, { config: config([1, 2, 3]), term: 1, votedFor: 1 });
    const heartbeat = append([1, 2, 1], entry(1, 1), [], 1, 1);
    c.deliver(heartbeat);
    expect(c.rules).toEqual(['Halt']);
  });

  test('coming back with another part of the log than was left', () => {
    c.commit();
    c.model.lose(2, 0);
    c.restart(2, { config: config([1, 2, 3]), term: 1, votedFor: 1, entries: [entry(1, 1)] });
    expect(c.rules).toEqual(['Restart']);
  });

  test('stopping for good without a loss', () => {
    c.commit();
    c.model.halt(2, append([1, 2, 1], entry(1, 1), [], 1, 1));
    expect(c.rules).toEqual(['Halt']);
  });

  test('sending entries that are not in the log, or without leading', () => {
    c.commit();
    c.model.send(append([1, 2, 1], entry(1, 1), [entry(1, 2)]));
    c.model.send(append([2, 3, 1], START, [entry(1, 1)]));
    expect(c.rules).toEqual(['AppendEntries', 'AppendEntries']);
  });

  test('two leaders of one term', () => {
    c.commit();
    c.campaign(3, 1);
    c.rules = [];
    c.step(3, { role: 'leader' });
    expect(c.rules).toEqual(['BecomeLeader', 'ElectionSafety']);
  });

  test('a leader that lacks a committed entry', () => {
    c.commit();
    c.campaign(3, 2);
    c.step(3, { role: 'leader' });
    expect(c.rules).toEqual(['BecomeLeader', 'LeaderCompleteness']);
  });

  test('applying what is not committed, or something else', () => {
    c.commit();
    c.model.apply(2, 1, [entry(1, 1)]);
    c.model.apply(1, 1, [entry(1, 1, 99)]);
    expect(c.rules).toEqual(['Apply', 'Apply']);
  });
});

describe('configurations', () => {
  test('a change waits for a commit in the own term (the bug of 2015)', () => {
    c.lead();
    c.step(1, {}, [change(1, 2, config([1, 2]))]);
    expect(c.rules).toEqual(['ClientRequest']);
  });

  test('two voters are not changed at once, except by a joint configuration', () => {
    c.commit();
    c.step(1, {}, [change(1, 2, config([1, 4, 5]))]);
    expect(c.rules).toEqual(['ClientRequest']);
    const d = new Cluster();
    d.commit();
    d.step(1, {}, [change(1, 2, config([1, 4, 5], [1, 2, 3]))]);
    expect(d.rules).toEqual([]);
  });

  test('a joint configuration commits with a majority of both halves', () => {
    c.commit();
    const joint = change(1, 2, config([1, 4, 5], [1, 2, 3]));
    c.step(1, {}, [joint]);
    c.persist(1, [joint]);
    c.deliver(append([1, 2, 1], entry(1, 1), [joint], 1, 1), { last: joint, commitIndex: 1 });
    c.persist(2, [joint]);
    c.deliver(ack([2, 1, 1], 2), { commitIndex: 2 });
    expect(c.rules).toEqual(['AdvanceCommitIndex']);
  });

  test('a server that decides by another configuration than its newest is seen', () => {
    c.commit();
    const bigger = change(1, 2, config([1, 2, 3, 4]));
    c.step(1, {}, [bigger]);
    c.model.configuration(1, config([1, 2, 3, 4]));
    expect(c.rules).toEqual([]);
    c.model.configuration(1, config([1, 2, 3]));
    expect(c.rules).toEqual(['Quorum']);
  });

  test('a server without a vote does not campaign', () => {
    c.commit();
    const smaller = change(1, 2, config([1, 2]));
    c.step(1, {}, [smaller]);
    c.persist(1, [smaller]);
    c.deliver(append([1, 2, 1], entry(1, 1), [smaller], 1, 1), { last: smaller, commitIndex: 1 });
    c.persist(2, [smaller]);
    c.deliver(ack([2, 1, 1], 2), { commitIndex: 2 });
    c.deliver(append([1, 3, 1], START, [entry(1, 1), smaller], 2), {
      term: 1,
      last: smaller,
      commitIndex: 2,
    });
    expect(c.rules).toEqual([]);
    c.step(3, { role: 'candidate', term: 2, votedFor: 3 });
    expect(c.rules).toEqual(['Timeout']);
  });
});
