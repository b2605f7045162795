// The small parts that need no socket: messages, deadlines, texts, budgets, protocol sniffing.
import { describe, expect, test } from 'vitest';
import { DeadlineWheel, type Timed } from './deadline-wheel.ts';
import { FloodGuard } from './flood-guard.ts';
import { ConnectionError, PREFACE } from './frames.ts';
import { MessageReader } from './message-reader.ts';
import { decodeBase64, isMetadataName, Metadata } from './metadata.ts';
import { OutputBuffer } from './output-buffer.ts';
import { formatTimeout } from './request-blocks.ts';
import { parseTimeout } from './request-head.ts';
import { sniffProtocol } from './sniff.ts';
import { decodeStatusMessage, encodeStatusMessage, parseStatusCode } from './status.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('message reader', () => {
  test('joins messages cut at any byte', () => {
    const bytes = Uint8Array.of(0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new MessageReader(10);
      const got: number[][] = [];
      for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        for (let at = 0; at < part.length; ) {
          at = reader.feed(part, at, part.length);
          const message = reader.take();
          if (message !== null) got.push([reader.flag, ...message]);
        }
      }
      expect(got).toEqual([[0, 1, 2, 3], [0], [1, 9]]);
      expect(reader.partial).toBe(false);
    }
  });

  test('refuses a message over its limit by its length alone', () => {
    const reader = new MessageReader(2_097_152);
    const prefix = Uint8Array.of(0, 0, 0x26, 0x25, 0xaa);
    expect(() => reader.feed(prefix, 0, 5)).toThrow(
      'grpc: received message larger than max (2500010 vs. 2097152)',
    );
  });

  test('a claimed length costs no memory until bytes come', () => {
    const reader = new MessageReader(0x7fffffff);
    reader.feed(Uint8Array.of(0, 0x7f, 0xff, 0xff, 0xff, 1), 0, 6);
    expect(reader.heldBytes).toBeLessThanOrEqual(16_384);
  });
});

class Timer implements Timed {
  expiresAtMs: number;
  wheelPrev: Timed | null = null;
  wheelNext: Timed | null = null;
  wheelSlot = -1;
  readonly #onExpire: (timer: Timer) => void;

  constructor(expiresAtMs: number, onExpire: (timer: Timer) => void) {
    this.expiresAtMs = expiresAtMs;
    this.#onExpire = onExpire;
  }

  expire(): void {
    this.#onExpire(this);
  }
}

describe('deadline wheel', () => {
  test('expires each entry at its time, not before, over several revolutions', () => {
    const wheel = new DeadlineWheel(0);
    const fired: [number, number][] = [];
    let now = 0;
    for (const at of [5, 10, 11, 995, 10_240, 10_250, 25_000, 40_961]) {
      wheel.add(new Timer(at, t => fired.push([t.expiresAtMs, now])));
    }
    for (now = 0; now <= 50_000; now += 10) wheel.advance(now);
    expect(fired.map(f => f[0]).sort((a, b) => a - b)).toEqual([
      5, 10, 11, 995, 10_240, 10_250, 25_000, 40_961,
    ]);
    for (const [due, at] of fired) {
      expect(at).toBeGreaterThanOrEqual(due);
      expect(at - due).toBeLessThanOrEqual(20);
    }
    expect(wheel.size).toBe(0);
  });

  test('a removed entry does not expire, even when removed by one expiring before it', () => {
    const wheel = new DeadlineWheel(0);
    const fired: string[] = [];
    const kept = new Timer(20, () => fired.push('kept'));
    const victim = new Timer(20, () => fired.push('victim'));
    const killer = new Timer(20, () => wheel.remove(victim));
    for (const timer of [kept, victim, killer]) wheel.add(timer);
    wheel.remove(kept);
    wheel.advance(100);
    expect(fired).toEqual([]);
    expect(wheel.size).toBe(0);
  });

  test('after a long stop everything due expires once', () => {
    const wheel = new DeadlineWheel(0);
    let fired = 0;
    for (let i = 0; i < 5000; i++) wheel.add(new Timer(i * 10, () => fired++));
    wheel.advance(1_000_000);
    expect(fired).toBe(5000);
  });
});

describe('status and metadata texts', () => {
  test('an error text survives the header', () => {
    for (const text of ['', 'plain', '100 % of "ä\n" €', '%41']) {
      const wire = encodeStatusMessage(text);
      expect(wire).toMatch(/^[ -~]*$/);
      expect(decodeStatusMessage(wire)).toBe(text);
    }
    expect(decodeStatusMessage('50% off %zz')).toBe('50% off %zz');
  });

  test('a status that is no number from 0 to 16 is UNKNOWN', () => {
    expect([undefined, '', 'x', '17', '-1', '1e1'].map(parseStatusCode)).toEqual([
      2, 2, 2, 2, 2, 2,
    ]);
    expect(parseStatusCode('16')).toBe(16);
  });

  test('timeouts are read in every unit and written in at most eight digits', () => {
    expect(['1H', '2M', '3S', '4m', '5u', '6n'].map(parseTimeout)).toEqual([
      3_600_000, 120_000, 3000, 4, 0.005, 0.000006,
    ]);
    expect(['', '5', 'm', '123456789m', '-1S', '1.5S'].map(parseTimeout)).toEqual(
      new Array(6).fill(Number.NaN),
    );
    expect(formatTimeout(0.2)).toBe('1m');
    expect(formatTimeout(7000)).toBe('7000m');
    expect(formatTimeout(1e12)).toBe('99999999S');
  });

  test('metadata hides transport headers from entries and reads binary values', () => {
    const field = (name: string, value: string) => ({ name, value, size: 0 });
    const metadata = new Metadata([
      field(':path', '/a/b'),
      field('grpc-timeout', '1S'),
      field('token', 't1'),
      field('token', 't2'),
      field('x-bin', 'AQI'),
    ]);
    expect(metadata.entries().map(e => e[0])).toEqual(['token', 'token', 'x-bin']);
    expect(metadata.getAll('token')).toEqual(['t1', 't2']);
    expect(metadata.getBytes('x-bin')).toEqual(Uint8Array.of(1, 2));
    expect(decodeBase64('!!')).toBeUndefined();
    expect([':path', 'Upper', 'te', 'grpc-x', 'a b', 'connection'].some(isMetadataName)).toBe(
      false,
    );
  });
});

describe('flood guard', () => {
  test('an overdrawn budget ends the connection, one refilled in time does not', () => {
    let now = 0;
    const guard = new FloodGuard(10, () => now);
    for (let i = 0; i < 10; i++) guard.charge(1);
    now = 1000;
    guard.charge(1);
    for (let i = 0; i < 10; i++) guard.charge(1);
    expect(() => guard.charge(1)).toThrow(ConnectionError);
  });
});

describe('protocol sniffing', () => {
  test('tells HTTP/2 from HTTP/1 and waits while it cannot know', () => {
    expect(sniffProtocol(PREFACE)).toBe('h2');
    expect(sniffProtocol(ascii('GET /health HTTP/1.1'))).toBe('http1');
    expect(sniffProtocol(ascii('P'))).toBeNull();
    expect(sniffProtocol(ascii('PRI * HTTP'))).toBeNull();
    expect(sniffProtocol(ascii('POST'))).toBe('http1');
    expect(sniffProtocol(ascii('PRI * HTTP/1.1'))).toBe('http1');
  });
});

describe('output buffer', () => {
  test('bytes handed over are never rewritten', () => {
    const out = new OutputBuffer();
    const taken: Uint8Array[] = [];
    for (let i = 0; i < 3000; i++) {
      const at = out.reserve(100);
      out.bytes.fill(i & 0xff, at, at + 100);
      out.commit(at + 100);
      if (i % 7 === 0) out.take(bytes => taken.push(bytes));
    }
    out.take(bytes => taken.push(bytes));
    const all = Buffer.concat(taken);
    expect(all.length).toBe(300_000);
    expect(all.every((byte, at) => byte === (Math.floor(at / 100) & 0xff))).toBe(true);
  });
});
