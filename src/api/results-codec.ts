// The server's side of the hot responses: KeyValues go out in the bytes in which they are stored.
//
// An encodeXResult writes all fields but the header. The server then prepends its own header with
// HeaderEncoder, and the two together are one XResponse:
//
//     writer.reset();
//     encodePutResult(result, writer);
//     headers.encode({ revision: result.revision, raftTerm }, writer);

import { encodeResponseHeader } from './common-codec.ts';
import { type ProtoWriter, toBytes } from './proto-writer.ts';
import type {
  DeleteRangeResult,
  EncodedEvent,
  OpResult,
  PutResult,
  RangeResult,
  TxnResult,
  WatchResult,
} from './results.ts';
import { unreachable } from './unreachable.ts';

/** Field number of the header in every response. */
const HEADER = 1;

/** Writes one node's headers. The two ids are random 64-bit numbers, so their bytes are kept. */
export class HeaderEncoder {
  readonly #ids: Uint8Array;

  constructor(ids: { readonly clusterId: bigint; readonly memberId: bigint }) {
    this.#ids = toBytes(encodeResponseHeader, { ...ids, revision: 0, raftTerm: 0 });
  }

  /** Prepends the header field to the response in the writer. */
  encode(position: { readonly revision: number; readonly raftTerm: number }, w: ProtoWriter): void {
    const before = w.length;
    w.int(4, position.raftTerm);
    w.int(3, position.revision);
    w.raw(this.#ids);
    w.close(HEADER, before);
  }
}

export function encodeRangeResult(m: RangeResult, w: ProtoWriter): void {
  w.int(4, m.count);
  w.bool(3, m.more);
  w.embeddedList(2, m.encodedKvs);
}

export function encodePutResult(m: PutResult, w: ProtoWriter): void {
  if (m.encodedPrevKv !== null) w.embedded(2, m.encodedPrevKv);
}

export function encodeDeleteRangeResult(m: DeleteRangeResult, w: ProtoWriter): void {
  w.embeddedList(3, m.encodedPrevKvs);
  w.int(2, m.deleted);
}

export function encodeTxnResult(m: TxnResult, w: ProtoWriter): void {
  for (let i = m.responses.length - 1; i >= 0; i--) {
    const before = w.length;
    encodeOpResult(m.responses[i]!, w);
    w.close(3, before);
  }
  w.bool(2, m.succeeded);
}

/** Inside a transaction a header holds the revision only, and a nested transaction's nothing. */
function encodeOpResult(m: OpResult, w: ProtoWriter): void {
  const before = w.length;
  switch (m.kind) {
    case 'range':
      encodeRangeResult(m.range, w);
      revisionHeader(m.range.revision, w);
      w.close(1, before);
      break;
    case 'put':
      encodePutResult(m.put, w);
      revisionHeader(m.put.revision, w);
      w.close(2, before);
      break;
    case 'deleteRange':
      encodeDeleteRangeResult(m.deleteRange, w);
      revisionHeader(m.deleteRange.revision, w);
      w.close(3, before);
      break;
    case 'txn':
      encodeTxnResult(m.txn, w);
      revisionHeader(0, w);
      w.close(4, before);
      break;
    default:
      unreachable(m);
  }
}

function revisionHeader(revision: number, w: ProtoWriter): void {
  const before = w.length;
  w.int(3, revision);
  w.close(HEADER, before);
}

/** One event as the field of a WatchResponse that it becomes: made once, sent to every watcher. */
export function encodeEventRecord(event: EncodedEvent): Uint8Array {
  return toBytes(writeEventRecord, event);
}

function writeEventRecord(m: EncodedEvent, w: ProtoWriter): void {
  const before = w.length;
  if (m.encodedPrevKv !== null) w.embedded(3, m.encodedPrevKv);
  w.embedded(2, m.encodedKv);
  w.int(1, m.type);
  w.close(11, before);
}

export function encodeWatchResult(m: WatchResult, w: ProtoWriter): void {
  for (let i = m.eventRecords.length - 1; i >= 0; i--) w.raw(m.eventRecords[i]!);
  w.bool(7, m.fragment);
  w.string(6, m.cancelReason);
  w.int(5, m.compactRevision);
  w.bool(4, m.canceled);
  w.bool(3, m.created);
  w.int(2, m.watchId);
}
