// Random messages of every kind, for round trips and for mutation.

import fc from 'fast-check';
import type { Message, RefusalReason } from '../../src/raft/messages.ts';
import type {
  ConfigChange,
  Configuration,
  Entry,
  Proposal,
  SnapshotMeta,
} from '../../src/raft/types.ts';

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const minusOneOrMore = fc.oneof(fc.constant(-1), fc.nat(300), fc.nat(2 ** 48));
const data = fc.uint8Array({ maxLength: 60 });
const logId = fc.record({ term: number, index: number });
const nodes = fc.array(number, { maxLength: 4 });

const REFUSALS: readonly (RefusalReason | null)[] = [
  null,
  'noLeader',
  'notLeader',
  'overloaded',
  'transferring',
  'tooLarge',
  'changeInProgress',
  'notReady',
  'configMismatch',
  'invalidChange',
  'learnerBehind',
  'stopped',
];

export const arbitraryConfiguration: fc.Arbitrary<Configuration> = fc.record({
  voters: nodes,
  outgoing: nodes,
  learners: nodes,
  learnersNext: nodes,
});

const meta: fc.Arbitrary<SnapshotMeta> = fc.record({
  last: logId,
  config: arbitraryConfiguration,
  configIndex: number,
});

const entryParts = fc.record({
  kind: fc.constantFrom('command', 'noop', 'config', 'openSession', 'closeSession' as const),
  data,
  session: fc.oneof(fc.constant(0), number),
  sequence: fc.oneof(fc.constant(0), number),
  termStep: fc.constantFrom(0, 0, 0, 1, 1000),
  config: arbitraryConfiguration,
});

/** Consecutive entries, terms rising. */
export function arbitraryEntries(first: number, firstTerm: number): fc.Arbitrary<Entry[]> {
  return fc.array(entryParts, { maxLength: 8 }).map(parts => {
    let term = firstTerm;
    return parts.map(({ termStep, config, kind, ...rest }, i): Entry => {
      term += termStep;
      return { ...rest, kind, term, index: first + i, config: kind === 'config' ? config : null };
    });
  });
}

const proposal: fc.Arbitrary<Proposal> = fc.record({
  kind: fc.constantFrom('command', 'openSession', 'closeSession' as const),
  data,
  session: number,
  sequence: number,
});

const change: fc.Arbitrary<ConfigChange> = fc.record({
  kind: fc.constantFrom('addVoter', 'addLearner', 'remove' as const),
  node: number,
});

const envelope = { from: number, to: number, term: number };
const append = fc
  .record({ ...envelope, prev: fc.record({ term: number, index: fc.nat(2 ** 40) }) })
  .chain(head =>
    fc.record({
      kind: fc.constant('append' as const),
      from: fc.constant(head.from),
      to: fc.constant(head.to),
      term: fc.constant(head.term),
      prev: fc.constant(head.prev),
      entries: arbitraryEntries(head.prev.index + 1, 7),
      leaderCommit: number,
      acknowledged: number,
      round: number,
    }),
  );

type KindsOf<M> = M extends Message ? { [K in M['kind']]: fc.Arbitrary<M> } : never;
type Intersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void
  ? I
  : never;

/** One arbitrary a kind; a new kind of message breaks the build here. */
export const BY_KIND: Intersection<KindsOf<Message>> = {
  append,
  voteRequest: fc.record({
    kind: fc.constant('voteRequest' as const),
    ...envelope,
    preVote: fc.boolean(),
    transfer: fc.boolean(),
    last: logId,
  }),
  voteReply: fc.record({
    kind: fc.constant('voteReply' as const),
    ...envelope,
    preVote: fc.boolean(),
    granted: fc.boolean(),
  }),
  appendAccepted: fc.record({
    kind: fc.constant('appendAccepted' as const),
    ...envelope,
    match: number,
    round: number,
  }),
  appendRejected: fc.record({
    kind: fc.constant('appendRejected' as const),
    ...envelope,
    rejected: number,
    hint: logId,
    round: number,
  }),
  snapshot: fc.record({
    kind: fc.constant('snapshot' as const),
    ...envelope,
    meta,
    offset: number,
    data,
    done: fc.boolean(),
    round: number,
  }),
  snapshotReply: fc.record({
    kind: fc.constant('snapshotReply' as const),
    ...envelope,
    lastIndex: number,
    next: minusOneOrMore,
    round: number,
  }),
  timeoutNow: fc.record({ kind: fc.constant('timeoutNow' as const), ...envelope }),
  forward: fc.record({
    kind: fc.constant('forward' as const),
    ...envelope,
    batch: number,
    proposals: fc.array(proposal, { maxLength: 5 }),
  }),
  forwardReceipt: fc.record({
    kind: fc.constant('forwardReceipt' as const),
    ...envelope,
    batch: number,
    first: logId,
    refusal: fc.constantFrom(...REFUSALS),
  }),
  readIndex: fc.record({ kind: fc.constant('readIndex' as const), ...envelope, read: number }),
  readIndexReply: fc.record({
    kind: fc.constant('readIndexReply' as const),
    ...envelope,
    read: number,
    index: minusOneOrMore,
  }),
  forwardChange: fc.record({
    kind: fc.constant('forwardChange' as const),
    ...envelope,
    batch: number,
    changes: fc.array(change, { maxLength: 4 }),
    data,
    expectedConfigIndex: minusOneOrMore,
  }),
};

export const arbitraryMessage: fc.Arbitrary<Message> = fc.oneof(...Object.values(BY_KIND));
