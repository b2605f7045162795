// What the KV service refuses before it proposes anything.

import { describe, expect, test } from 'vitest';
import { etcdErrors } from '../api/errors.ts';
import {
  emptyPutRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from '../api/kv-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { KvService } from './kv-service.ts';
import type { Member } from './member.ts';

const key = new TextEncoder().encode('k');
const requests = {
  put: toBytes(encodePutRequest, { ...emptyPutRequest(), key }),
  deleteRange: toBytes(encodeDeleteRangeRequest, {
    key,
    rangeEnd: new Uint8Array(0),
    prevKv: false,
  }),
  compact: toBytes(encodeCompactionRequest, { revision: 1, physical: false }),
};

/** Runs each of the writes; returns how many were proposed, and the texts of the refusals. */
function writeAll(backlogBytes: number): { proposed: number; refusals: string[] } {
  let proposed = 0;
  const refusals: string[] = [];
  const member = {
    kv: { backlogBytes },
    config: { maxRequestBytes: 1024, quotaBackendBytes: 1e9 },
    driver: { leader: 1, propose: () => proposed++ },
    usedBytes: () => 0,
  } as unknown as Member;
  const call = {
    metadata: new Map(),
    fail: (_code: number, text: string) => refusals.push(text),
  } as unknown as UnaryCall;
  const service = new KvService(member);
  service.put(call, requests.put);
  service.deleteRange(call, requests.deleteRange);
  service.compact(call, requests.compact);
  return { proposed, refusals };
}

describe('writes', () => {
  test('are refused while too much of what was applied waits for the disk', () => {
    const { text } = etcdErrors.tooManyRequests;
    const tooMuch = 256 * 1024 * 1024 + 1;
    expect(writeAll(tooMuch)).toEqual({ proposed: 0, refusals: [text, text, text] });
  });

  test('are proposed as long as the disk keeps up', () => {
    expect(writeAll(256 * 1024 * 1024)).toEqual({ proposed: 3, refusals: [] });
  });
});
