// How the services answer: encoded straight into the connection's buffer, with this member's header,
// and with etcd's codes and texts for what went wrong.

import { type ErrorStatus, EtcdError, etcdErrors } from '../api/errors.ts';
import { ProtoError } from '../api/proto-error.ts';
import { copyWritten, type Encode, ProtoWriter } from '../api/proto-writer.ts';
import { HeaderEncoder } from '../api/results-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { Status, type StatusCode, StatusError } from '../grpc/status.ts';
import type { ErrorCode, KontikiError } from '../node/errors.ts';

/** Items of a list that are encoded in one turn, as far as they are small. */
const LIST_ITEMS_A_TURN = 2000;
const LIST_MEASURED_A_TURN = 10_000;
/** What an item takes beside its bytes, and a message beside its list. */
const ITEM_OVERHEAD_BYTES = 6;
const MESSAGE_OVERHEAD_BYTES = 256;

export interface LongList {
  readonly field: number;
  readonly items: readonly Uint8Array[];
}

/** Whether a list is better sent by sendList(). */
export function isLongList(items: readonly Uint8Array[]): boolean {
  return items.length > LIST_ITEMS_A_TURN;
}

/** Works on the items from the last to the first, some in each turn, unless the call ends. */
function overItems(
  call: UnaryCall,
  items: readonly Uint8Array[],
  itemsATurn: number,
  work: (item: Uint8Array) => void,
  done: () => void,
): void {
  let left = items.length;
  const slice = (): void => {
    const to = Math.max(0, left - itemsATurn);
    for (; left > to; left--) work(items[left - 1]!);
    if (call.ended) return;
    if (left > 0) setImmediate(slice);
    else done();
  };
  slice();
}

/** One writer serves all answers: each is copied out before the next begins. */
const writer = new ProtoWriter(64 * 1024);

export class Replies {
  readonly #headers: HeaderEncoder;
  readonly #term: () => number;

  constructor(ids: { clusterId: bigint; memberId: bigint }, term: () => number) {
    this.#headers = new HeaderEncoder(ids);
    this.#term = term;
  }

  /** `encode` writes everything but the header. */
  send<T>(call: UnaryCall, revision: number, encode: Encode<T>, body: T): void {
    writer.reset();
    encode(body, writer);
    this.#headers.encode({ revision, raftTerm: this.#term() }, writer);
    call.respondWith(writer.length, copyWritten, writer);
  }

  /**
   * A message of the list at `field` and, before it, what `encode` writes. The list is long, so others
   * have their turn while it is encoded.
   */
  sendList<T>(
    call: UnaryCall,
    revision: number,
    { field, items }: LongList,
    encode: Encode<T>,
    body: T,
  ): void {
    const encodeList = (bytes: number): void => {
      const long = new ProtoWriter(bytes);
      const put = (item: Uint8Array) => long.embedded(field, item);
      overItems(call, items, LIST_ITEMS_A_TURN, put, () => {
        encode(body, long);
        this.#headers.encode({ revision, raftTerm: this.#term() }, long);
        call.respond(long.view());
      });
    };
    let bytes = MESSAGE_OVERHEAD_BYTES;
    const measure = (item: Uint8Array) => {
      bytes += item.length + ITEM_OVERHEAD_BYTES;
    };
    overItems(call, items, LIST_MEASURED_A_TURN, measure, () => encodeList(bytes));
  }

  /** For the few messages without a header. */
  sendBare<T>(call: UnaryCall, encode: Encode<T>, body: T): void {
    writer.reset();
    encode(body, writer);
    call.respondWith(writer.length, copyWritten, writer);
  }
}

export function encodeNothing(): void {}

export function refuse(call: UnaryCall, { code, text }: ErrorStatus): void {
  call.fail(code as StatusCode, text);
}

export function failWith(call: UnaryCall, error: KontikiError): void {
  refuse(call, statusOf(error));
}

/** What the node says, in the words that clients of etcd act upon. */
const STATUS_BY_CODE: Partial<Record<ErrorCode, ErrorStatus>> = {
  NO_LEADER: etcdErrors.noLeader,
  NOT_LEADER: etcdErrors.leaderChanged,
  LEADER_CHANGED: etcdErrors.leaderChanged,
  ABORTED: etcdErrors.leaderChanged,
  TRANSFER_IN_PROGRESS: etcdErrors.leaderChanged,
  OVERLOADED: etcdErrors.tooManyRequests,
  TOO_LARGE: etcdErrors.requestTooLarge,
  TIMEOUT: etcdErrors.timeout,
  RESULT_LOST: etcdErrors.timeoutConnectionLost,
  STOPPED: etcdErrors.stopped,
};

export function statusOf(error: KontikiError): ErrorStatus {
  const status = STATUS_BY_CODE[error.code];
  if (status !== undefined) return status;
  // Whatever stopped the node stopped this request: others may still answer it.
  return etcdErrors.stopped;
}

/** Runs a handler whose request may not decode. */
export function guarded(
  handle: (call: UnaryCall, message: Uint8Array) => void,
): (call: UnaryCall, message: Uint8Array) => void {
  return (call, message) => {
    try {
      handle(call, message);
    } catch (error) {
      if (error instanceof ProtoError) {
        call.fail(Status.INTERNAL, `grpc: error unmarshalling request: ${error.message}`);
      } else if (error instanceof EtcdError || error instanceof StatusError) {
        call.fail(error.code as StatusCode, error.message);
      } else {
        throw error;
      }
    }
  };
}
