// The messages that every etcd service shares: the response header, a stored key and its change.
//
// Rules for all message types of this folder. Every field is always present, as in proto3: 0, '',
// empty bytes, [] and false mean "not set", and null an absent message or oneof. Revisions,
// versions, counts, sizes, times and terms are numbers and saturate at 2^53 - 1 when decoded. Ids
// are bigints, for they are 64 random bits: leases int64, members and clusters uint64. An enum field
// is a number, because a value that we do not know must survive decoding; its known values are in
// the const object of the same name.

export interface ResponseHeader {
  clusterId: bigint;
  memberId: bigint;
  /** The store's revision when the answer was made. */
  revision: number;
  raftTerm: number;
}

export interface KeyValue {
  key: Uint8Array;
  /** Revision of the put that began this generation of the key. */
  createRevision: number;
  /** Revision of the last change. */
  modRevision: number;
  /** Number of puts in this generation; 0 only in a tombstone. */
  version: number;
  value: Uint8Array;
  /** 0n: no lease. */
  lease: bigint;
}

export const EventType = { PUT: 0, DELETE: 1 } as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

export interface Event {
  /** An EventType. */
  type: number;
  kv: KeyValue | null;
  prevKv: KeyValue | null;
}

/** A response that carries nothing but its header. */
export interface HeaderOnlyResponse {
  header: ResponseHeader | null;
}

/** A request without fields. */
export type EmptyRequest = Record<never, never>;
