// Log commands: one byte that says what it is, then the client's request as it came. Nothing is
// encoded again on the way into the log, and the bytes are decoded once a node.

import { Code, type ErrorStatus } from '../api/errors.ts';
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
import type { RevisionResult, Store } from './store.ts';
import { runTxn } from './txn.ts';

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

/** Applies one command. Throws for nothing that stands in it. */
export function applyCommand(store: Store, command: Uint8Array): CommandResult {
  let result: CommandResult;
  try {
    result = dispatch(store, command);
  } catch (error) {
    // Decoding comes before the first write, so nothing is left half done.
    if (error instanceof ProtoError) return MALFORMED;
    throw error;
  }
  store.endCommand();
  return result;
}

function dispatch(store: Store, command: Uint8Array): CommandResult {
  const request = command.subarray(1);
  switch (command[0]) {
    case CommandTag.PUT:
      return applyPut(store, request);
    case CommandTag.DELETE_RANGE:
      return applyDeleteRange(store, request);
    case CommandTag.TXN:
      return runTxn(store, decodeTxnRequest(request));
    case CommandTag.COMPACT:
      return store.compact(decodeCompactionRequest(request));
    case CommandTag.LEASE_GRANT:
      return applyLeaseGrant(store, request);
    case CommandTag.LEASE_REVOKE:
      return store.revokeLease(decodeLeaseRevokeRequest(request).id);
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

function applyDeleteRange(store: Store, bytes: Uint8Array): DeleteRangeResult | ErrorStatus {
  const request = decodeDeleteRangeRequest(bytes);
  return checkDelete(request) ?? store.deleteRange(request);
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
