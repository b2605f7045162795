// A client of the etcd v3 API, for any etcd-compatible server. It knows several endpoints and goes
// on with the next when one fails; what it repeats and what not is told in caller.ts.
//
//     await using client = new EtcdClient({ endpoints: ['localhost:2379'] });
//     await client.put('greeting', 'hello');
//     const kv = await client.get('greeting');

import type { MemberListResponse } from '../api/cluster.ts';
import { decodeMembersResponse, encodeMemberListRequest } from '../api/cluster-codec.ts';
import type { KeyValue } from '../api/common.ts';
import { decodeHeaderOnlyResponse, encodeEmptyRequest } from '../api/common-codec.ts';
import { ServingStatus } from '../api/health.ts';
import { decodeHealthCheckResponse, encodeHealthCheckRequest } from '../api/health-codec.ts';
import type {
  CompactionResponse,
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from '../api/kv.ts';
import * as kv from '../api/kv-codec.ts';
import type { HashKVResponse, StatusResponse } from '../api/maintenance.ts';
import {
  decodeHashKVResponse,
  decodeStatusResponse,
  encodeHashKVRequest,
} from '../api/maintenance-codec.ts';
import { methods } from '../api/methods.ts';
import { decodeTxnResponse, emptyTxnRequest, encodeTxnRequest } from '../api/txn-codec.ts';
import type { ChannelOptions } from '../grpc/options.ts';
import { type Call, Caller, type CallSettings } from './caller.ts';
import { EndpointList } from './endpoints.ts';
import {
  type Bytes,
  type DeleteOptions,
  deleteRequest,
  type Keys,
  type PutOptions,
  prefixRange,
  putRequest,
  type RangeOptions,
  rangeRequest,
} from './operations.ts';

export interface ClientOptions {
  /** 'host:port' or 'http://host:port'; at least one. */
  readonly endpoints: readonly string[];
  /** For every call that sets no own deadline. */
  readonly deadlineMs?: number;
  /** Sent with every call, names in lower case: `token` or `hasleader`, for example. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of the connection to each endpoint. */
  readonly channel?: ChannelOptions;
}

/** For calls about one server: which of the endpoints. Default: the one in use. */
export interface ServerSettings extends CallSettings {
  readonly endpoint?: string;
}

const DEADLINE_MS = 5_000;
/** A server that does not take a connection within this time is passed over. */
const CONNECT_MS = 2_000;
/** getAll() reads this many keys a call, so that no answer is huge. */
const PAGE_KEYS = 1_000;

function read<Q, A>(
  method: { path: string },
  encode: Call<Q, A>['encode'],
  decode: Call<Q, A>['decode'],
) {
  return { path: method.path, writes: false, encode, decode };
}

function write<Q, A>(
  method: { path: string },
  encode: Call<Q, A>['encode'],
  decode: Call<Q, A>['decode'],
) {
  return { path: method.path, writes: true, encode, decode };
}

const { maintenance } = methods;
const calls = {
  range: read(methods.kv.range, kv.encodeRangeRequest, kv.decodeRangeResponse),
  put: write(methods.kv.put, kv.encodePutRequest, kv.decodePutResponse),
  delete: write(methods.kv.deleteRange, kv.encodeDeleteRangeRequest, kv.decodeDeleteRangeResponse),
  txn: write(methods.kv.txn, encodeTxnRequest, decodeTxnResponse),
  readTxn: read(methods.kv.txn, encodeTxnRequest, decodeTxnResponse),
  compact: write(methods.kv.compact, kv.encodeCompactionRequest, decodeHeaderOnlyResponse),
  members: read(methods.cluster.memberList, encodeMemberListRequest, decodeMembersResponse),
  status: read(maintenance.status, encodeEmptyRequest, decodeStatusResponse),
  hashKv: read(maintenance.hashKv, encodeHashKVRequest, decodeHashKVResponse),
  health: read(methods.health.check, encodeHealthCheckRequest, decodeHealthCheckResponse),
} as const;

/** Every method rejects with a ClientError. */
export class EtcdClient implements AsyncDisposable {
  readonly #endpoints: EndpointList;
  readonly #caller: Caller;

  /** Opens no connection yet. Throws a ClientError if an endpoint is malformed. */
  constructor(options: ClientOptions) {
    this.#endpoints = new EndpointList(options.endpoints, {
      connectMs: CONNECT_MS,
      ...options.channel,
    });
    this.#caller = new Caller(this.#endpoints, {
      deadlineMs: options.deadlineMs ?? DEADLINE_MS,
      metadata: options.metadata ?? {},
    });
  }

  /** The endpoints as host:port. */
  get endpoints(): readonly string[] {
    return this.#endpoints.all.map(endpoint => endpoint.address);
  }

  put(key: Bytes, value: Bytes, options: PutOptions & CallSettings = {}): Promise<PutResponse> {
    const { deadlineMs: _, ...fields } = options;
    return this.#caller.call(calls.put, putRequest(key, value, fields), options);
  }

  /** The key's newest state, or that at `revision`; null if it does not exist there. */
  async get(key: Bytes, options: RangeOptions & CallSettings = {}): Promise<KeyValue | null> {
    const response = await this.range(key, options);
    return response.kvs[0] ?? null;
  }

  range(keys: Keys, options: RangeOptions & CallSettings = {}): Promise<RangeResponse> {
    const { deadlineMs: _, ...fields } = options;
    return this.#caller.call(calls.range, rangeRequest(keys, fields), options);
  }

  /**
   * All keys with a prefix, in order, as of one revision. Read in pages: rejects with "compacted"
   * if a compaction overtakes the reading.
   */
  async getAll(prefix: Bytes, settings: CallSettings = {}): Promise<KeyValue[]> {
    const { key: start, rangeEnd } = prefixRange(prefix);
    const found: KeyValue[] = [];
    let key = start;
    let revision = 0;
    for (;;) {
      const options = { ...settings, limit: PAGE_KEYS, revision };
      const page = await this.range({ key, rangeEnd }, options);
      for (const one of page.kvs) found.push(one);
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return found;
      if (revision === 0) revision = page.header?.revision ?? 0;
      // The smallest key behind the last one.
      key = new Uint8Array(last.key.length + 1);
      key.set(last.key);
    }
  }

  delete(keys: Keys, options: DeleteOptions & CallSettings = {}): Promise<DeleteRangeResponse> {
    const { deadlineMs: _, ...fields } = options;
    return this.#caller.call(calls.delete, deleteRequest(keys, fields), options);
  }

  /** See `when` and `op` for its parts. */
  txn(request: Partial<TxnRequest>, settings: CallSettings = {}): Promise<TxnResponse> {
    const whole = { ...emptyTxnRequest(), ...request };
    return this.#caller.call(isReadOnly(whole) ? calls.readTxn : calls.txn, whole, settings);
  }

  /** Drops the history before `revision`. With `physical`, waits until it is gone from the disk. */
  compact(
    revision: number,
    options: { readonly physical?: boolean } & CallSettings = {},
  ): Promise<CompactionResponse> {
    const request = { revision, physical: options.physical ?? false };
    return this.#caller.call(calls.compact, request, options);
  }

  memberList(
    options: { readonly linearizable?: boolean } & CallSettings = {},
  ): Promise<MemberListResponse> {
    return this.#caller.call(
      calls.members,
      { linearizable: options.linearizable ?? true },
      options,
    );
  }

  status(settings: ServerSettings = {}): Promise<StatusResponse> {
    return this.#caller.callAt(settings.endpoint, calls.status, {}, settings);
  }

  /** True if the server says that it serves; rejects if it cannot be asked. */
  async health(settings: ServerSettings = {}): Promise<boolean> {
    const request = { service: '' };
    const answer = await this.#caller.callAt(settings.endpoint, calls.health, request, settings);
    return answer.status === ServingStatus.SERVING;
  }

  /** A hash of the keys at `revision`, 0 meaning now: equal on all members, or data has diverged. */
  hashKV(revision = 0, settings: ServerSettings = {}): Promise<HashKVResponse> {
    return this.#caller.callAt(settings.endpoint, calls.hashKv, { revision }, settings);
  }

  /** Calls in flight are given up. */
  close(): void {
    this.#caller.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** Nested transactions count as writes, as they do in etcd. */
function isReadOnly(txn: TxnRequest): boolean {
  return [txn.success, txn.failure].every(ops => ops.every(one => one?.kind === 'range'));
}
