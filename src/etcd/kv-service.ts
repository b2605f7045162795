// The KV service. Writes become log commands with the client's own bytes; reads wait until this
// member has applied all that was committed when they came, unless they are serializable.

import { type ErrorStatus, etcdErrors } from '../api/errors.ts';
import type { CompactionRequest, RangeRequest, TxnRequest } from '../api/kv.ts';
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
} from '../api/kv-codec.ts';
import type { Encode } from '../api/proto-writer.ts';
import type { DeleteRangeResult, RangeResult, TxnResult } from '../api/results.ts';
import {
  encodeDeleteRangeResult,
  encodePutResult,
  encodeRangeResult,
  encodeTxnResult,
} from '../api/results-codec.ts';
import { decodeTxnRequest } from '../api/txn-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { checkDelete, checkPut, checkRange, checkTxn, isReadOnlyTxn } from '../kv/check.ts';
import { CommandTag, encodeCommand } from '../kv/command.ts';
import { RangeJob } from '../kv/range.ts';
import { isRefusal } from '../kv/store.ts';
import type { ProposalSink, ReadSink } from '../node/driver-types.ts';
import type { KontikiError } from '../node/errors.ts';
import type { Member } from './member.ts';
import { encodeNothing, failWith, isLongList, refuse } from './replies.ts';
import { inSlices } from './slices.ts';

/** Field numbers of the lists in RangeResponse and DeleteRangeResponse. */
const RANGE_KVS = 2;
const DELETE_PREV_KVS = 3;
/** What a put costs in the quota beside its key and value, as etcd counts it. */
const PUT_COST_BYTES = 256;

/**
 * Applied changes may wait for the disk up to here; then writes are refused until it has caught up.
 * What other members let in is applied all the same, so this is far from what the memory can hold.
 */
const BACKLOG_BYTES_MAX = 256 * 1024 * 1024;

export class KvService {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  range(call: UnaryCall, message: Uint8Array): void {
    const request = decodeRangeRequest(message);
    const error = checkRange(request);
    if (error !== null) return refuse(call, error);
    if (request.serializable) return answerRange(this.#member, call, request);
    if (this.#lacksLeader(call)) return;
    this.#member.driver.read(new RangeRead(this.#member, call, request));
  }

  put(call: UnaryCall, message: Uint8Array): void {
    const request = decodePutRequest(message);
    const error = checkPut(request);
    if (error !== null) return refuse(call, error);
    if (this.#lacksSpace(call, PUT_COST_BYTES + request.key.length + request.value.length)) return;
    this.#propose(call, CommandTag.PUT, message, encodePutResult);
  }

  deleteRange(call: UnaryCall, message: Uint8Array): void {
    const error = checkDelete(decodeDeleteRangeRequest(message));
    if (error !== null) return refuse(call, error);
    if (this.#isRefused(call, message)) return;
    const command = encodeCommand(CommandTag.DELETE_RANGE, message);
    this.#member.driver.propose(command, new Deletion(this.#member, call, encodeDeleteRangeResult));
  }

  txn(call: UnaryCall, message: Uint8Array): void {
    const request = decodeTxnRequest(message);
    const error = checkTxn(request, this.#member.config.maxTxnOps);
    if (error !== null) return refuse(call, error);
    if (isReadOnlyTxn(request)) return this.#readTxn(call, request);
    if (this.#lacksSpace(call, txnCost(request))) return;
    this.#propose(call, CommandTag.TXN, message, encodeTxnResult);
  }

  compact(call: UnaryCall, message: Uint8Array): void {
    const request = decodeCompactionRequest(message);
    if (this.#isRefused(call, message)) return;
    const command = encodeCommand(CommandTag.COMPACT, message);
    this.#member.driver.propose(command, new Compaction(this.#member, call, request));
  }

  #readTxn(call: UnaryCall, request: TxnRequest): void {
    const ops = [...request.success, ...request.failure];
    const serializable = ops.every(op => op?.kind === 'range' && op.range.serializable);
    const read = new TxnRead(this.#member, call, request);
    if (serializable) return read.ready();
    if (!this.#lacksLeader(call)) this.#member.driver.read(read);
  }

  #propose<T extends Answer>(
    call: UnaryCall,
    tag: CommandTag,
    message: Uint8Array,
    encode: Encode<T>,
  ): void {
    if (this.#isRefused(call, message)) return;
    const sink = new Write(this.#member, call, encode);
    this.#member.driver.propose(encodeCommand(tag, message), sink);
  }

  #isRefused(call: UnaryCall, message: Uint8Array): boolean {
    const { config, kv } = this.#member;
    if (message.length > config.maxRequestBytes) {
      refuse(call, etcdErrors.requestTooLarge);
      return true;
    }
    if (kv.backlogBytes > BACKLOG_BYTES_MAX) {
      refuse(call, etcdErrors.tooManyRequests);
      return true;
    }
    return this.#lacksLeader(call);
  }

  /** Clients that ask for a leader want to know at once that there is none. */
  #lacksLeader(call: UnaryCall): boolean {
    if (this.#member.driver.leader !== 0) return false;
    if (call.metadata.get('hasleader') !== 'true') return false;
    refuse(call, etcdErrors.noLeader);
    return true;
  }

  #lacksSpace(call: UnaryCall, cost: number): boolean {
    if (this.#member.usedBytes() + cost < this.#member.config.quotaBackendBytes) return false;
    refuse(call, etcdErrors.noSpace);
    return true;
  }
}

interface Answer {
  readonly revision: number;
}

/** Waits for a command of its own to be applied. */
class Write<T extends Answer> implements ProposalSink {
  protected readonly member: Member;
  protected readonly call: UnaryCall;
  readonly #encode: Encode<T>;

  constructor(member: Member, call: UnaryCall, encode: Encode<T>) {
    this.member = member;
    this.call = call;
    this.#encode = encode;
  }

  applied(result: unknown): void {
    const answer = result as T;
    if (isRefusal(answer)) refuse(this.call, answer);
    else this.member.replies.send(this.call, answer.revision, this.#encode, answer);
  }

  failed(error: KontikiError): void {
    failWith(this.call, error);
  }
}

class Deletion extends Write<DeleteRangeResult> {
  override applied(result: unknown): void {
    const answer = result as DeleteRangeResult;
    if (isRefusal(answer) || !isLongList(answer.encodedPrevKvs)) return super.applied(result);
    const { revision, encodedPrevKvs: items } = answer;
    const rest = { ...answer, encodedPrevKvs: [] };
    const list = { field: DELETE_PREV_KVS, items };
    this.member.replies.sendList(this.call, revision, list, encodeDeleteRangeResult, rest);
  }
}

/** A physical compaction is answered once the space is free for new data. */
class Compaction extends Write<Answer> {
  readonly #request: CompactionRequest;

  constructor(member: Member, call: UnaryCall, request: CompactionRequest) {
    super(member, call, encodeNothing);
    this.#request = request;
  }

  override applied(result: unknown): void {
    const refused = isRefusal(result as object);
    if (refused || !this.#request.physical) super.applied(result);
    else this.member.whenSwept(() => super.applied(result));
  }
}

class RangeRead implements ReadSink {
  readonly #member: Member;
  readonly #call: UnaryCall;
  readonly #request: RangeRequest;

  constructor(member: Member, call: UnaryCall, request: RangeRequest) {
    this.#member = member;
    this.#call = call;
    this.#request = request;
  }

  ready(): void {
    answerRange(this.#member, this.#call, this.#request);
  }

  failed(error: KontikiError): void {
    failWith(this.#call, error);
  }
}

class TxnRead implements ReadSink {
  readonly #member: Member;
  readonly #call: UnaryCall;
  readonly #request: TxnRequest;

  constructor(member: Member, call: UnaryCall, request: TxnRequest) {
    this.#member = member;
    this.#call = call;
    this.#request = request;
  }

  ready(): void {
    const job = this.#member.kv.startReadTxn(this.#request);
    inSlices(this.#call, job, result => this.#answer(result));
  }

  #answer(result: TxnResult | ErrorStatus): void {
    if (isRefusal(result)) refuse(this.#call, result);
    else this.#member.replies.send(this.#call, result.revision, encodeTxnResult, result);
  }

  failed(error: KontikiError): void {
    failWith(this.#call, error);
  }
}

/** Small ranges at once; large ones in slices, at one revision, while writes go on. */
function answerRange(member: Member, call: UnaryCall, request: RangeRequest): void {
  const job = member.kv.startRange(request);
  if (job instanceof RangeJob) inSlices(call, job, result => sendRange(member, call, result));
  else refuse(call, job);
}

function sendRange({ replies }: Member, call: UnaryCall, result: RangeResult): void {
  const { revision, encodedKvs } = result;
  if (!isLongList(encodedKvs)) return replies.send(call, revision, encodeRangeResult, result);
  const rest = { ...result, encodedKvs: [] };
  replies.sendList(
    call,
    revision,
    { field: RANGE_KVS, items: encodedKvs },
    encodeRangeResult,
    rest,
  );
}

/** Bytes that the transaction may add, whichever branch it takes. */
function txnCost(request: TxnRequest): number {
  let cost = 0;
  for (const op of [...request.success, ...request.failure]) {
    if (op?.kind === 'put') cost += PUT_COST_BYTES + op.put.key.length + op.put.value.length;
    if (op?.kind === 'txn') cost += txnCost(op.txn);
  }
  return cost;
}
