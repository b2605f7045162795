// Commands of the key-value store as text, for tests of what sits on top of it.

import { decodeKeyValue } from '../../src/api/common-codec.ts';
import type { RequestOp } from '../../src/api/kv.ts';
import {
  emptyRangeRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from '../../src/api/kv-codec.ts';
import { toBytes } from '../../src/api/proto-writer.ts';
import { encodeTxnRequest } from '../../src/api/txn-codec.ts';
import { CommandTag, encodeCommand } from '../../src/kv/command.ts';
import type { KvMachine } from '../../src/kv/kv-machine.ts';
import type { WatchBatch } from '../../src/kv/watch-hub.ts';
import type { WatchOptions } from '../../src/kv/watcher.ts';

export const bytes = (text: string) => new TextEncoder().encode(text);
export const text = (content: Uint8Array) => new TextDecoder().decode(content);

/** A put of a key, or with null a deletion. */
export type Write = readonly [key: string, value: string | null];

export function put(key: string, value = 'v'): Uint8Array {
  return encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, putRequest(key, value)));
}

export function remove(key: string, rangeEnd = ''): Uint8Array {
  const request = { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false };
  return encodeCommand(CommandTag.DELETE_RANGE, toBytes(encodeDeleteRangeRequest, request));
}

/** All of these in one revision. */
export function txn(...writes: readonly Write[]): Uint8Array {
  return transaction(writes.map(writeOp));
}

/** Reads the past inside of a transaction, after some writes. */
export function readTxn(key: string, rangeEnd: string, revision: number, ...writes: Write[]) {
  const range = { ...emptyRangeRequest(), key: bytes(key), rangeEnd: bytes(rangeEnd), revision };
  return transaction([...writes.map(writeOp), { kind: 'range', range }]);
}

function writeOp([key, value]: Write): RequestOp {
  if (value !== null) return { kind: 'put', put: putRequest(key, value) };
  const deleteRange = { key: bytes(key), rangeEnd: bytes(''), prevKv: false };
  return { kind: 'deleteRange', deleteRange };
}

function transaction(success: RequestOp[]): Uint8Array {
  return encodeCommand(
    CommandTag.TXN,
    toBytes(encodeTxnRequest, { compare: [], success, failure: [] }),
  );
}

export function compact(revision: number): Uint8Array {
  const request = { revision, physical: false };
  return encodeCommand(CommandTag.COMPACT, toBytes(encodeCompactionRequest, request));
}

/** One batch. */
export function apply(machine: KvMachine, ...commands: readonly Uint8Array[]): unknown[] {
  const last = { term: 1, index: machine.applied.index + Math.max(1, commands.length) };
  const bookkeeping = { puts: new Map(), settle: () => {} };
  return machine.apply({ last, commands: commands.map(data => ({ data })), bookkeeping });
}

/** Gives `to` the state of `from`, as a follower gets it that was away for too long. */
export function install(from: KvMachine, to: KvMachine): Promise<void> {
  const image = from.snapshot();
  return to.restore(image.last, image.content());
}

export function watch(key: string, rest: Partial<WatchOptions> = {}): WatchOptions {
  return {
    key: bytes(key),
    rangeEnd: bytes(''),
    startRevision: 0,
    prevKv: false,
    noPut: false,
    noDelete: false,
    ...rest,
  };
}

export const EVERYTHING = { key: bytes('\0'), rangeEnd: bytes('\0') };

/** `3:a=1` for a put of revision 3, `4:a` for a deletion; `(0)` behind it was there before. */
export function show(batch: WatchBatch | null): string[] {
  if (batch === null) return [];
  return batch.events.map(event => {
    const kv = decodeKeyValue(event.encodedKv);
    const before = event.encodedPrevKv === null ? null : decodeKeyValue(event.encodedPrevKv);
    const value = event.type === 1 ? '' : `=${text(kv.value)}`;
    return `${kv.modRevision}:${text(kv.key)}${value}${before ? `(${text(before.value)})` : ''}`;
  });
}

function putRequest(key: string, value: string) {
  const flags = { prevKv: false, ignoreValue: false, ignoreLease: false };
  return { key: bytes(key), value: bytes(value), lease: 0n, ...flags };
}
