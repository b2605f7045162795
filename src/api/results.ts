// Answers as the store makes them: without the answering node's header, and with KeyValues in the
// encoded form in which they are stored. An encoder of results.codec copies those bytes; a KeyValue
// is encoded once, when it is written.

/** `revision` is the header's revision of the answer, at top level and inside a transaction. */
export interface RangeResult {
  revision: number;
  encodedKvs: Uint8Array[];
  more: boolean;
  count: number;
}

export interface PutResult {
  revision: number;
  encodedPrevKv: Uint8Array | null;
}

export interface DeleteRangeResult {
  revision: number;
  deleted: number;
  encodedPrevKvs: Uint8Array[];
}

export interface TxnResult {
  /** Unused in a nested transaction, whose header etcd leaves empty. */
  revision: number;
  succeeded: boolean;
  responses: OpResult[];
}

export type OpResult =
  | { kind: 'range'; range: RangeResult }
  | { kind: 'put'; put: PutResult }
  | { kind: 'deleteRange'; deleteRange: DeleteRangeResult }
  | { kind: 'txn'; txn: TxnResult };

/** One change for watchers. For a delete, `encodedKv` holds the key and modRevision only. */
export interface EncodedEvent {
  /** An EventType. */
  type: number;
  encodedKv: Uint8Array;
  encodedPrevKv: Uint8Array | null;
}

/**
 * A watch response whose events were encoded before, once for all watchers that get them. Each of
 * `eventRecords` comes from encodeEventRecord().
 */
export interface WatchResult {
  watchId: number;
  created: boolean;
  canceled: boolean;
  compactRevision: number;
  cancelReason: string;
  fragment: boolean;
  eventRecords: readonly Uint8Array[];
}
