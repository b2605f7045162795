// Answers that are made over several turns are what they would be at once.

import { describe, expect, test } from 'vitest';
import { type RangeRequest, SortOrder, SortTarget } from '../api/kv.ts';
import {
  decodeDeleteRangeResponse,
  decodeRangeResponse,
  emptyPutRequest,
  emptyRangeRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
} from '../api/kv-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import { decodeTxnResponse, emptyTxnRequest, encodeTxnRequest } from '../api/txn-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { CommandTag, encodeCommand } from '../kv/command.ts';
import { KvMachine } from '../kv/kv-machine.ts';
import { MemoryBackend } from '../kv/memory-backend.ts';
import type { ProposalSink, ReadSink } from '../node/driver-types.ts';
import { KvService } from './kv-service.ts';
import type { Member } from './member.ts';
import { Replies } from './replies.ts';

const KEYS = 7001;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);
const range = { key: bytes('k'), rangeEnd: bytes('l') };

function apply(kv: KvMachine, command: Uint8Array): unknown {
  const last = { term: 1, index: kv.applied.index + 1 };
  const bookkeeping = { puts: new Map(), settle: () => {} };
  return kv.apply({ last, commands: [{ data: command }], bookkeeping })[0];
}

function filled(): KvMachine {
  const kv = new KvMachine(new MemoryBackend());
  for (let i = 0; i < KEYS; i++) {
    const key = bytes(`k${String(i).padStart(5, '0')}`);
    const request = { ...emptyPutRequest(), key, value: bytes(`value ${(i * 7919) % KEYS}`) };
    apply(kv, encodeCommand(CommandTag.PUT, toBytes(encodePutRequest, request)));
  }
  return kv;
}

function serviceOf(kv: KvMachine): KvService {
  const driver = {
    leader: 1,
    read: (sink: ReadSink) => sink.ready(),
    propose: (data: Uint8Array, sink: ProposalSink) => sink.applied(apply(kv, data), 1, 1),
  };
  const replies = new Replies({ clusterId: 1n, memberId: 2n }, () => 3);
  const config = { maxRequestBytes: 1e6, maxTxnOps: 128, quotaBackendBytes: 1e9 };
  return new KvService({ kv, driver, replies, config, usedBytes: () => 0 } as unknown as Member);
}

/** The answer, and how many turns of the event loop came before it. */
function answered(run: (call: UnaryCall) => void): Promise<{ answer: Uint8Array; turns: number }> {
  return new Promise((resolve, reject) => {
    let turns = 0;
    let ended = false;
    const count = () => {
      turns += 1;
      if (!ended) setImmediate(count);
    };
    setImmediate(count);
    const respond = (answer: Uint8Array) => {
      ended = true;
      resolve({ answer: answer.slice(), turns });
    };
    run({
      ended: false,
      metadata: new Map(),
      respond,
      respondWith: (size: number, encode: (...args: never[]) => number, value: unknown) => {
        const buffer = new Uint8Array(size);
        respond(buffer.subarray(0, (encode as (...args: unknown[]) => number)(value, buffer, 0)));
      },
      fail: (_code: number, why: string) => reject(new Error(why)),
    } as unknown as UnaryCall);
  });
}

const orders: Record<string, Partial<RangeRequest>> = {
  'in the order of keys': {},
  'without values': { keysOnly: true },
  'backwards, the last few': { sortOrder: SortOrder.DESCEND, limit: 5 },
  'by value': { sortTarget: SortTarget.VALUE, sortOrder: SortOrder.ASCEND },
  'by value, without it': {
    sortTarget: SortTarget.VALUE,
    sortOrder: SortOrder.DESCEND,
    keysOnly: true,
  },
  'by revision, with a limit': {
    sortTarget: SortTarget.MOD,
    sortOrder: SortOrder.DESCEND,
    limit: 3000,
  },
};

describe('a range of thousands of keys', () => {
  test.each(Object.entries(orders))('%s is answered over several turns', async (_, more) => {
    const kv = filled();
    const request = { ...emptyRangeRequest(), ...range, ...more };
    const { answer, turns } = await answered(call =>
      serviceOf(kv).range(call, toBytes(encodeRangeRequest, request)),
    );
    const response = decodeRangeResponse(answer);
    expect(turns).toBeGreaterThanOrEqual(3);
    expect(response.header).toEqual({
      clusterId: 1n,
      memberId: 2n,
      revision: KEYS + 1,
      raftTerm: 3,
    });
    const expected = Array.from({ length: KEYS }, (_, i) => ({
      i,
      value: `value ${(i * 7919) % KEYS}`,
    }));
    const { sortTarget = 0, limit = KEYS, keysOnly = false } = more;
    const sign = more.sortOrder === SortOrder.DESCEND ? -1 : 1;
    expected.sort((a, b) => {
      if (sortTarget !== SortTarget.VALUE) return sign * (a.i - b.i);
      return sign * (a.value < b.value ? -1 : 1);
    });
    expect(response.kvs.map(kv => [text(kv.key), text(kv.value)])).toEqual(
      expected
        .slice(0, limit)
        .map(({ i, value }) => [`k${String(i).padStart(5, '0')}`, keysOnly ? '' : value]),
    );
    expect(response).toMatchObject({ count: KEYS, more: limit < KEYS });
  });
});

test('a transaction that only reads thousands of keys is answered over several turns', async () => {
  const kv = filled();
  const op = { kind: 'range' as const, range: { ...emptyRangeRequest(), ...range } };
  const request = { ...emptyTxnRequest(), success: [op, op] };
  const { answer, turns } = await answered(call =>
    serviceOf(kv).txn(call, toBytes(encodeTxnRequest, request)),
  );
  const response = decodeTxnResponse(answer);
  expect(turns).toBeGreaterThanOrEqual(6);
  for (const part of response.responses) {
    expect(part?.kind === 'range' && part.range.kvs.length).toBe(KEYS);
  }
});

test('the answer to a deletion with thousands of former values is complete', async () => {
  const kv = filled();
  const request = { ...range, prevKv: true };
  const { answer, turns } = await answered(call =>
    serviceOf(kv).deleteRange(call, toBytes(encodeDeleteRangeRequest, request)),
  );
  const response = decodeDeleteRangeResponse(answer);
  expect(turns).toBeGreaterThanOrEqual(3);
  expect(response.deleted).toBe(KEYS);
  expect(response.prevKvs.map(kv => text(kv.key))).toEqual(
    Array.from({ length: KEYS }, (_, i) => `k${String(i).padStart(5, '0')}`),
  );
});
