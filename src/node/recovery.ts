// What a node knows when it starts: its log as storage recovered it, and a state machine brought to
// a state that the log can go on from. Refuses to start where the two contradict each other.

import type {
  Configuration,
  LogId,
  LogIndex,
  PersistentState,
  SnapshotMeta,
} from '../raft/types.ts';
import { NO_NODE, ORIGIN } from '../raft/types.ts';
import type { LogStore } from '../storage/log-store.ts';
import { restoreMachine } from './applier.ts';
import type { Clock } from './clock.ts';
import { KontikiError } from './errors.ts';
import type { Machine } from './machine.ts';

const LOST =
  'A part of the log is lost, and with it what this node has acknowledged. Remove this member from ' +
  'the cluster, and add it anew with an empty data directory.';

export async function recover(
  store: LogStore,
  machine: Machine,
  initialConfig: Configuration,
  clock: Clock,
): Promise<PersistentState> {
  const recovered = store.recovered;
  if (recovered === null) return bootstrap(store, machine, initialConfig);
  const snapshot = snapshotToRestore(store, machine, recovered);
  if (snapshot !== null) await restoreMachine(machine, store, snapshot, clock);
  checkAgainstLog(machine.applied, recovered);
  return recovered;
}

async function bootstrap(
  store: LogStore,
  machine: Machine,
  config: Configuration,
): Promise<PersistentState> {
  if (machine.applied.index > 0) {
    const text = `the state machine holds index ${machine.applied.index}, but the log is new.`;
    throw mismatch(`${text} Remove the state machine's data, or bring the log back.`);
  }
  const state: PersistentState = {
    hardState: { currentTerm: 0, votedFor: NO_NODE, commitIndex: 0 },
    snapshot: { last: ORIGIN, config, configIndex: 0 },
    entries: [],
  };
  await store.bootstrap(state);
  return state;
}

/** Null when the machine's own durable state is at least as new as what the log starts from. */
function snapshotToRestore(
  store: LogStore,
  machine: Machine,
  { snapshot, entries }: PersistentState,
): SnapshotMeta | null {
  const newest = store.newestSnapshot;
  if (newest !== null && newest.last.index > machine.applied.index) {
    // A file beyond the log's own mark is good only where the log agrees with it: a received one
    // whose record was not yet written is not part of this log.
    const known = newest.last.index === snapshot.last.index;
    const entry = entries.find(({ index }) => index === newest.last.index);
    if (known || entry?.term === newest.last.term) return newest;
  }
  return machine.applied.index < snapshot.last.index ? snapshot : null;
}

function checkAgainstLog(applied: LogId, { snapshot, entries }: PersistentState): void {
  const last: LogIndex = entries.at(-1)?.index ?? 0;
  const lastIndex = Math.max(last, snapshot.last.index);
  if (applied.index > lastIndex) {
    const text = `the state machine holds index ${applied.index}, the log ends at ${lastIndex}.`;
    throw lost(`${text} ${LOST}`);
  }
  const entry = entries.find(({ index }) => index === applied.index);
  if (entry !== undefined && entry.term !== applied.term) {
    const terms = `term ${applied.term} in the state machine, term ${entry.term} in the log`;
    throw mismatch(`index ${applied.index} has ${terms}. Log and state belong to different nodes.`);
  }
}

function lost(text: string): KontikiError {
  return new KontikiError('STORAGE_LOST', 'not-applied', text);
}

function mismatch(text: string): KontikiError {
  return new KontikiError('STORAGE_MISMATCH', 'not-applied', text);
}
