// Log commands: one byte that says what it is, then the client's request as it came. Nothing is
// encoded again on the way into the log, and the bytes are decoded once a node.

import { Code, type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type { TxnRequest } from '../api/kv.ts';
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
} from '../api/kv-codec.ts';
import {
  decodeLeaseCheckpointRequest,
  decodeLeaseGrantRequest,
  decodeLeaseRevokeRequest,
} from '../api/lease-codec.ts';
import { ProtoError } from '../api/proto-error.ts';
import { ProtoReader } from '../api/proto-reader.ts';
import type { DeleteRangeResult, PutResult, TxnResult } from '../api/results.ts';
import { decodeTxnRequest } from '../api/txn-codec.ts';
import { EMPTY } from './bytes.ts';
import { checkDelete, checkPut } from './check.ts';
import { DeleteJob, deleteOne, type Job, RevokeJob } from './removal-jobs.ts';
import type { RevisionResult, Store } from './store.ts';
import { isLongTxn, runTxn, TxnJob } from './txn.ts';

/** The first byte of a command. Numbers are for ever: they stand in logs. */
export const CommandTag = {
  PUT: 1,
  DELETE_RANGE: 2,
  TXN: 3,
  COMPACT: 4,
  LEASE_GRANT: 5,
  LEASE_REVOKE: 6,
  LEASE_CHECKPOINT: 7,
} as const;
export type CommandTag = (typeof CommandTag)[keyof typeof CommandTag];

export interface LeaseGrantResult {
  readonly revision: number;
  readonly id: bigint;
  readonly ttl: number;
}

/** The answer to a command; isRefusal() tells an ErrorStatus from the others. */
export type CommandResult =
  | PutResult
  | DeleteRangeResult
  | TxnResult
  | LeaseGrantResult
  | RevisionResult
  | ErrorStatus;

const MALFORMED: ErrorStatus = Object.freeze({
  code: Code.INTERNAL,
  text: 'etcdserver: malformed command',
});

// Decoders of requests without nested messages leave it as they found it.
const reader = new ProtoReader(EMPTY);

/** The command for a request as the client sent it. */
export function encodeCommand(tag: CommandTag, request: Uint8Array): Uint8Array {
  const command = new Uint8Array(1 + request.length);
  command[0] = tag;
  command.set(request, 1);
  return command;
}

/** A command that is to be applied in slices; it has written nothing yet. */
export class LongCommand {
  readonly #store: Store;
  readonly #job: Job<CommandResult>;

  constructor(store: Store, job: Job<CommandResult>) {
    this.#store = store;
    this.#job = job;
  }

  /** The result once it is applied as a whole. */
  step(budget: number): CommandResult | null {
    const result = this.#job.step(budget);
    if (result !== null) this.#store.endCommand();
    return result;
  }
}

/**
 * Applies one command, or gives back one that changes or reads more than `keysMax` keys. Throws for
 * nothing that stands in it.
 */
export function applyCommand(
  store: Store,
  command: Uint8Array,
  keysMax: number,
): CommandResult | LongCommand {
  let result: CommandResult | LongCommand;
  try {
    result = dispatch(store, command, keysMax);
  } catch (error) {
    // Decoding comes before the first write, so nothing is left half done.
    if (error instanceof ProtoError) return MALFORMED;
    throw error;
  }
  if (!(result instanceof LongCommand)) store.endCommand();
  return result;
}

function dispatch(store: Store, command: Uint8Array, keysMax: number): CommandResult | LongCommand {
  const request = command.subarray(1);
  switch (command[0]) {
    case CommandTag.PUT:
      return applyPut(store, request);
    case CommandTag.DELETE_RANGE:
      return applyDeleteRange(store, request, keysMax);
    case CommandTag.TXN:
      return applyTxn(store, decodeTxnRequest(request), keysMax);
    case CommandTag.COMPACT:
      return store.compact(decodeCompactionRequest(request));
    case CommandTag.LEASE_GRANT:
      return applyLeaseGrant(store, request);
    case CommandTag.LEASE_REVOKE:
      return applyLeaseRevoke(store, decodeLeaseRevokeRequest(request).id, keysMax);
    case CommandTag.LEASE_CHECKPOINT:
      return applyLeaseCheckpoint(store, request);
    default:
      return MALFORMED;
  }
}

function applyPut(store: Store, bytes: Uint8Array): PutResult | ErrorStatus {
  reader.reset(bytes);
  const request = decodePutRequest(reader);
  return checkPut(request) ?? store.checkPutState(request) ?? store.put(request);
}

function applyDeleteRange(
  store: Store,
  bytes: Uint8Array,
  keysMax: number,
): DeleteRangeResult | ErrorStatus | LongCommand {
  const request = decodeDeleteRangeRequest(bytes);
  const error = checkDelete(request);
  if (error !== null) return error;
  if (request.rangeEnd.length === 0) return deleteOne(store, request);
  return atOnce(store, new DeleteJob(store, request), keysMax);
}

function applyTxn(
  store: Store,
  request: TxnRequest,
  keysMax: number,
): TxnResult | ErrorStatus | LongCommand {
  if (keysMax === Infinity || !isLongTxn(store, request, keysMax)) return runTxn(store, request);
  return new LongCommand(store, new TxnJob(store, store, request));
}

function applyLeaseRevoke(
  store: Store,
  lease: bigint,
  keysMax: number,
): RevisionResult | ErrorStatus | LongCommand {
  if (!store.leases.has(lease)) return etcdErrors.leaseNotFound;
  return atOnce(store, new RevokeJob(store, lease), keysMax);
}

function atOnce<T extends CommandResult>(
  store: Store,
  job: Job<T> & { isLong(keysMax: number): boolean },
  keysMax: number,
): T | LongCommand {
  return job.isLong(keysMax) ? new LongCommand(store, job) : job.step(keysMax)!;
}

/** The leader has chosen the id: chance has no place here. */
function applyLeaseGrant(store: Store, bytes: Uint8Array): LeaseGrantResult | ErrorStatus {
  const { id, ttl } = decodeLeaseGrantRequest(bytes);
  if (id <= 0n) return MALFORMED;
  return store.leases.grant(id, ttl) ?? { revision: store.revision, id, ttl };
}

function applyLeaseCheckpoint(store: Store, bytes: Uint8Array): RevisionResult {
  const { checkpoints } = decodeLeaseCheckpointRequest(bytes);
  for (const { id, remainingTtl } of checkpoints) store.leases.checkpoint(id, remainingTtl);
  return { revision: store.revision };
}
