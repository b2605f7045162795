// Scenarios M01 to M03: the bug of single-server changes (Ongaro, 2015). A leader of term 1 has a
// change in its own log and at one more server only; another is elected and wants its own change;
// the first one wants to come back. Without the rule that a leader commits an entry of its own term
// first, both changes find majorities that do not meet.
//
// All orders of up to seven deliveries and campaigns are tried, states that were seen before left out.

import assert from 'node:assert/strict';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/raft/messages.ts';
import type { ConfigChange, NodeId, Term } from '../../src/raft/types.ts';
import { voters } from '../support/core-cluster.ts';
import { BareCluster } from './bare-cluster.ts';

const DEPTH = 7;

interface Script {
  readonly members: readonly NodeId[];
  readonly joiners: readonly NodeId[];
  /** Of the leader of term 1, known to itself and perhaps to one more. */
  readonly first: ConfigChange;
  readonly firstAlsoAt: NodeId;
  /** Has the empty entry that opens term 2 already; one more makes it committed. */
  readonly hasNoop: NodeId | null;
  /** Of the leader of term 2. */
  readonly second: ConfigChange;
}

/** The place of a message in the list of those under way, or a campaign of server 1. */
interface Move {
  readonly deliver: number | null;
  readonly at: NodeId;
  /** Names the moves that were possible before this one. */
  readonly before: ReadonlySet<string>;
}

const SCRIPTS: Record<string, Script> = {
  'M01 add_add_2015': {
    members: [1, 2, 3, 4],
    joiners: [5, 6],
    first: { kind: 'addVoter', node: 5 },
    firstAlsoAt: 5,
    hasNoop: 3,
    second: { kind: 'addVoter', node: 6 },
  },
  'M02 add_remove_2015': {
    members: [1, 2, 3, 4],
    joiners: [5],
    first: { kind: 'addVoter', node: 5 },
    firstAlsoAt: 5,
    hasNoop: 3,
    second: { kind: 'remove', node: 1 },
  },
  'M03 remove_remove_2015': {
    members: [1, 2, 3, 4],
    joiners: [],
    first: { kind: 'remove', node: 4 },
    firstAlsoAt: 1,
    hasNoop: null,
    second: { kind: 'remove', node: 1 },
  },
};

/** Server 1 led term 1 and knows of term 2, which server 2 leads. */
function begin({ members, joiners, first, firstAlsoAt, hasNoop }: Script): BareCluster {
  const c = new BareCluster([...members, ...joiners], voters(...members));
  c.campaign(1);
  c.deliverAll();
  c.change(1, first);
  c.deliverAll(m => m.from === 1 && m.to === firstAlsoAt && m.kind === 'append');
  c.messages = [];
  c.campaign(2);
  c.deliverAll(m => m.kind === 'voteRequest' || m.kind === 'voteReply');
  assert.equal(c.node(2).raft.report().role, 'leader');
  if (hasNoop !== null) c.deliverAll(m => [m.from, m.to].includes(hasNoop));
  return c;
}

/** Server 2 tries its change whenever it leads; a refusal leaves no trace. */
function trySecond(c: BareCluster, { second }: Script): void {
  if (c.node(2).raft.isLeader) c.change(2, second);
}

function play(script: Script, moves: readonly Move[]): BareCluster {
  const c = begin(script);
  trySecond(c, script);
  // A server that joins by the second change has nothing that could stand in its way.
  const isJoiner = (m: Message) => [m.from, m.to].includes(6);
  c.deliverAll(isJoiner);
  for (const move of moves) {
    if (move.deliver === null) c.campaign(1);
    else c.deliver(move.deliver);
    trySecond(c, script);
  }
  // All states on the way were looked at when their own moves were the last ones.
  checkSafety(c);
  return c;
}

/** Nothing is committed twice with different entries, and every new leader has it (Figure 3). */
function checkSafety(c: BareCluster): void {
  const committed: Term[] = [];
  for (const { applied } of c.nodes.values()) {
    for (const [i, term] of applied.entries()) {
      assert.equal(committed[i] ?? term, term, `index ${i + 1} is committed twice`);
      committed[i] = term;
    }
  }
  const leaders = [...c.nodes.values()].filter(({ raft }) => raft.isLeader);
  const newest = Math.max(...leaders.map(({ raft }) => raft.currentTerm));
  for (const { id, raft } of leaders) {
    if (raft.currentTerm < newest) continue;
    for (const [i, term] of committed.entries()) {
      const text = `leader ${id} of term ${newest} lacks the committed entry ${i + 1}`;
      assert.equal(raft.termAt(i + 1), term, text);
    }
  }
}

/** Equal for states that can't be told apart by what follows. */
function fingerprint(c: BareCluster, keys: readonly string[]): string {
  const nodes = [...c.nodes.values()].map(({ raft, applied }) => {
    const { role, currentTerm, votedFor, last, commitIndex, config, progress } = raft.report();
    const sent = progress.map(p => [p.id, p.state, p.matchIndex, p.nextIndex]);
    const log = Array.from({ length: last.index }, (_, i) => raft.termAt(i + 1));
    const counts = [commitIndex, applied.length];
    return [role, currentTerm, votedFor, log, counts, config.voters, sent];
  });
  return `${JSON.stringify(nodes)}${[...keys].sort().join()}`;
}

/**
 * Equal messages are one move; server 1 may campaign whenever it is not at it. Moves at two servers
 * can be exchanged, so of two that were possible together only one order is tried.
 */
function movesFrom(c: BareCluster, keys: readonly string[], last: Move | undefined): Move[] {
  const possible = new Map<string, { deliver: number | null; at: NodeId }>();
  for (const [deliver, message] of c.messages.entries()) {
    const key = keys[deliver]!;
    if (!possible.has(key)) possible.set(key, { deliver, at: message.to });
  }
  if (c.node(1).raft.report().role !== 'candidate')
    possible.set('campaign', { deliver: null, at: 1 });
  const before = new Set(possible.keys());
  const moves: Move[] = [];
  for (const [key, move] of possible) {
    const isExchanged = last?.before.has(key) === true && move.at < last.at;
    if (!isExchanged) moves.push({ ...move, before });
  }
  return moves;
}

function explore(script: Script): { states: number; refused: number; committed: number } {
  const seen = new Set<string>();
  let layer: Move[][] = [[]];
  const found = { states: 0, refused: 0, committed: 0 };
  for (let depth = 0; depth <= DEPTH; depth++) {
    const next: Move[][] = [];
    for (const moves of layer) {
      const c = play(script, moves);
      const keys = c.messages.map(m => JSON.stringify({ ...m, round: 0 }));
      const onward = movesFrom(c, keys, moves.at(-1));
      // What was left out is part of the state, or two paths could each rely on the other.
      const key = fingerprint(c, keys) + onward.map(({ deliver }) => deliver).join();
      if (seen.has(key)) continue;
      seen.add(key);
      found.states += 1;
      found.refused += c.node(2).refusals.includes('notReady') ? 1 : 0;
      found.committed += c.node(2).applied.length >= 2 ? 1 : 0;
      if (depth < DEPTH) for (const move of onward) next.push([...moves, move]);
    }
    layer = next;
  }
  return found;
}

describe('The bug of 2015', () => {
  test.each(Object.entries(SCRIPTS))(
    '%s: every order of seven moves is safe',
    {
      timeout: 60_000,
    },
    (_name, script) => {
      const { states, refused, committed } = explore(script);
      expect(states).toBeGreaterThan(500);
      expect(refused, 'the rule was needed').toBeGreaterThan(0);
      expect(committed, 'some orders get the second leader to a commit').toBeGreaterThan(0);
    },
  );
});
