import { describe, expect, test } from 'vitest';
import {
  majorityOf,
  RaftModel,
  type SpecEntry,
  type SpecEvent,
  type SpecMessage,
  type SpecServer,
} from './raft-model.ts';

type Append = SpecMessage & { kind: 'append' };

const entry = (term: number, value = `v${term}`): SpecEntry => ({ term, value });
const logOf = (...entries: SpecEntry[]) => ({ base: { index: 0, term: 0 }, entries });
const requestVote = (from: number, to: number, term: number, lastTerm = 0, lastIndex = 0) =>
  ({ kind: 'requestVote', from, to, term, lastTerm, lastIndex }) as const;
const voteReply = (from: number, to: number, term: number, granted = true) =>
  ({ kind: 'voteReply', from, to, term, granted }) as const;
const append = (from: number, to: number, term: number, change: Partial<Append> = {}): Append => ({
  kind: 'append',
  from,
  to,
  term,
  prevIndex: 0,
  prevTerm: 0,
  entries: [],
  commitIndex: 0,
  ...change,
});
const appendReply = (from: number, to: number, term: number, matchIndex: number) =>
  ({ kind: 'appendReply', from, to, term, success: true, matchIndex }) as const;
const receive = (message: SpecMessage): SpecEvent => ({ kind: 'receive', message });

class Cluster {
  readonly model = new RaftModel(majorityOf([1, 2, 3]));

  /** A step that changes some variables; returns the rules broken. */
  step(
    id: number,
    event: SpecEvent,
    change: Partial<SpecServer>,
    sent: SpecMessage[] = [],
  ): string[] {
    const after = { ...this.model.server(id), ...change };
    return this.model.step(id, event, after, sent).map(v => v.rule);
  }

  /** A step that must be allowed. */
  ok(id: number, event: SpecEvent, change: Partial<SpecServer>, sent: SpecMessage[] = []): void {
    const after = { ...this.model.server(id), ...change };
    expect(this.model.step(id, event, after, sent)).toEqual([]);
  }

  campaign(id: number, term: number, lastTerm = 0, lastIndex = 0): void {
    const votesGranted = new Set([id]);
    const others = [1, 2, 3].filter(o => o !== id);
    const sent = others.map(to => requestVote(id, to, term, lastTerm, lastIndex));
    const change = { state: 'candidate', currentTerm: term, votedFor: id, votesGranted } as const;
    this.ok(id, { kind: 'timeout' }, change, sent);
  }

  vote(id: number, request: ReturnType<typeof requestVote>): void {
    const change = {
      state: 'follower',
      currentTerm: request.term,
      votedFor: request.from,
    } as const;
    this.ok(id, receive(request), change, [voteReply(id, request.from, request.term)]);
  }

  /** Server 1 leads term 1, elected by 2, with one entry that 2 has too. */
  static withEntry(): Cluster {
    const c = new Cluster();
    c.campaign(1, 1);
    c.vote(2, requestVote(1, 2, 1));
    const leads = { state: 'leader', matchIndex: new Map(), log: logOf(entry(1)) } as const;
    const first = append(1, 2, 1, { entries: [entry(1)] });
    c.ok(1, receive(voteReply(2, 1, 1)), leads, [first]);
    c.ok(2, receive(first), { log: logOf(entry(1)) }, [appendReply(2, 1, 1, 1)]);
    return c;
  }
}

describe('what Raft does is allowed', () => {
  test('an election, a replicated entry and its commit', () => {
    const c = Cluster.withEntry();
    const matchIndex = new Map([[2, 1]]);
    const news = append(1, 2, 1, { prevIndex: 1, prevTerm: 1, commitIndex: 1 });
    c.ok(1, receive(appendReply(2, 1, 1, 1)), { matchIndex, commitIndex: 1 }, [news]);
    c.ok(2, receive(news), { commitIndex: 1 }, [appendReply(2, 1, 1, 1)]);
  });

  test('a restart keeps what is durable and forgets the rest', () => {
    const c = Cluster.withEntry();
    c.ok(1, { kind: 'restart' }, { state: 'follower' });
    c.ok(2, { kind: 'restart' }, { state: 'follower', commitIndex: 0 });
  });

  test('a leader may lose an entry it told nobody of', () => {
    const c = Cluster.withEntry();
    c.ok(1, { kind: 'clientRequest' }, { log: logOf(entry(1), entry(1, 'x')) });
    c.ok(1, { kind: 'restart' }, { state: 'follower', log: logOf(entry(1)) });
  });

  test('an uncommitted entry gives way to that of a newer leader', () => {
    const c = Cluster.withEntry();
    c.ok(1, { kind: 'clientRequest' }, { log: logOf(entry(1), entry(1, 'x')) });
    c.campaign(2, 2, 1, 1);
    c.vote(3, requestVote(2, 3, 2, 1, 1));
    const first = append(2, 1, 2, { prevIndex: 1, prevTerm: 1, entries: [entry(2)] });
    const log = logOf(entry(1), entry(2));
    c.ok(2, receive(voteReply(3, 2, 2)), { state: 'leader', log, matchIndex: new Map() }, [first]);
    const change = { state: 'follower', currentTerm: 2, votedFor: null, log } as const;
    c.ok(1, receive(first), change, [appendReply(1, 2, 2, 2)]);
  });

  test('a committed prefix may be compacted and installed elsewhere', () => {
    const c = Cluster.withEntry();
    const commit = { matchIndex: new Map([[2, 1]]), commitIndex: 1 };
    c.ok(1, receive(appendReply(2, 1, 1, 1)), commit);
    const base = { index: 1, term: 1 };
    const snapshot = {
      kind: 'snapshot',
      from: 1,
      to: 3,
      term: 1,
      lastIndex: 1,
      lastTerm: 1,
    } as const;
    c.ok(1, { kind: 'idle' }, { log: { base, entries: [] } }, [snapshot]);
    c.ok(3, receive(snapshot), { currentTerm: 1, log: { base, entries: [] }, commitIndex: 1 });
  });
});

describe('what Raft must not do is named', () => {
  const ready = () => {
    const c = Cluster.withEntry();
    const commit = { matchIndex: new Map([[2, 1]]), commitIndex: 1 };
    c.ok(1, receive(appendReply(2, 1, 1, 1)), commit);
    return c;
  };

  test('a second vote in one term', () => {
    const c = new Cluster();
    c.campaign(1, 1);
    c.campaign(3, 1);
    c.vote(2, requestVote(1, 2, 1));
    const rules = c.step(2, receive(requestVote(3, 2, 1)), { votedFor: 3 });
    expect(rules).toContain('HandleRequestVoteRequest');
  });

  test('a vote for a log that is behind', () => {
    const c = Cluster.withEntry();
    c.campaign(3, 1);
    c.campaign(3, 2);
    const rules = c.step(2, receive(requestVote(3, 2, 2)), { currentTerm: 2, votedFor: 3 });
    expect(rules).toContain('HandleRequestVoteRequest');
  });

  test('leading without a quorum of votes', () => {
    const c = new Cluster();
    c.campaign(1, 1);
    expect(c.step(1, { kind: 'idle' }, { state: 'leader' })).toContain('BecomeLeader');
  });

  test('counting a vote that was not given', () => {
    const c = new Cluster();
    c.campaign(1, 1);
    const votesGranted = new Set([1, 2]);
    expect(c.step(1, { kind: 'idle' }, { votesGranted })).toEqual(['idle']);
  });

  test('a message that was never sent', () => {
    const c = new Cluster();
    expect(c.step(2, receive(requestVote(1, 2, 1)), {})).toEqual(['Receive']);
  });

  test('committing without a quorum', () => {
    const c = Cluster.withEntry();
    expect(c.step(1, { kind: 'idle' }, { commitIndex: 1 })).toEqual(['AdvanceCommitIndex']);
  });

  test('committing an entry of an earlier term by counting (Figure 8)', () => {
    const c = Cluster.withEntry();
    c.campaign(2, 2, 1, 1);
    c.vote(3, requestVote(2, 3, 2, 1, 1));
    const first = append(2, 3, 2, { entries: [entry(1)] });
    c.ok(2, receive(voteReply(3, 2, 2)), { state: 'leader', matchIndex: new Map() }, [first]);
    c.ok(3, receive(first), { log: logOf(entry(1)) }, [appendReply(3, 2, 2, 1)]);
    const commit = { matchIndex: new Map([[3, 1]]), commitIndex: 1 };
    expect(c.step(2, receive(appendReply(3, 2, 2, 1)), commit)).toEqual(['AdvanceCommitIndex']);
  });

  test('a match that nobody acknowledged', () => {
    const rules = ready().step(1, { kind: 'idle' }, { matchIndex: new Map([[3, 1]]) });
    expect(rules).toContain('HandleAppendEntriesResponse');
  });

  test('a follower that changes its log by itself', () => {
    const rules = ready().step(2, { kind: 'idle' }, { log: logOf(entry(1), entry(1)) });
    expect(rules).toContain('ClientRequest');
  });

  test('a leader that overwrites its own entry', () => {
    expect(ready().step(1, { kind: 'idle' }, { log: logOf(entry(1, 'other')) })).toContain('idle');
  });

  test('truncating without a conflict', () => {
    const c = ready();
    const stale = append(1, 2, 1);
    c.ok(1, { kind: 'idle' }, {}, [stale]);
    expect(c.step(2, receive(stale), { log: logOf() })).toContain('receiving append');
  });

  test('losing an acknowledged entry in a restart', () => {
    expect(ready().step(2, { kind: 'restart' }, { log: logOf() })).toContain('Restart');
  });

  test('forgetting a vote in a restart', () => {
    expect(ready().step(2, { kind: 'restart' }, { votedFor: null })).toContain('restart');
  });

  test('a commit index that falls', () => {
    expect(ready().step(1, { kind: 'idle' }, { commitIndex: 0 })).toEqual(['AdvanceCommitIndex']);
  });

  test('committing what the leader did not announce', () => {
    const c = ready();
    const early = append(1, 2, 1, { prevIndex: 1, prevTerm: 1 });
    c.ok(1, { kind: 'idle' }, {}, [early]);
    expect(c.step(2, receive(early), { commitIndex: 1 })).toEqual(['AdvanceCommitIndex']);
  });

  test('acknowledging more than was compared', () => {
    const c = ready();
    const beat = append(1, 2, 1);
    c.ok(1, { kind: 'idle' }, {}, [beat]);
    const rules = c.step(2, receive(beat), {}, [appendReply(2, 1, 1, 1)]);
    expect(rules).toEqual(['HandleAppendEntriesRequest']);
  });

  test('sending entries that are not in the log', () => {
    const sent = [append(1, 2, 1, { prevIndex: 1, prevTerm: 1, entries: [entry(1, 'x')] })];
    expect(ready().step(1, { kind: 'idle' }, {}, sent)).toEqual(['AppendEntries']);
  });

  test('granting a vote that is not recorded', () => {
    const c = new Cluster();
    c.campaign(1, 1);
    const rules = c.step(2, receive(requestVote(1, 2, 1)), { currentTerm: 1 }, [
      voteReply(2, 1, 1),
    ]);
    expect(rules).toEqual(['HandleRequestVoteRequest']);
  });

  test('a leader that lacks a committed entry, and two leaders of one term', () => {
    const c = ready();
    c.campaign(3, 1);
    const rules = c.step(3, receive(voteReply(2, 3, 1)), { state: 'leader' });
    expect(rules).toEqual(
      expect.arrayContaining(['Receive', 'ElectionSafety', 'LeaderCompleteness']),
    );
  });
});
