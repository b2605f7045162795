// The small parts that links are made of.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { everyKind } from '../../test/conformance/transport-messages.ts';
import { ByteWriter } from '../wire/bytes.ts';
import { encodeMessages } from '../wire/message.ts';
import { formatAddress, parseAddress } from './address.ts';
import { Backoff } from './backoff.ts';
import { EventLimiter } from './event-limiter.ts';
import { messageBytes } from './message-size.ts';
import { Notices } from './notices.ts';
import type { LinkEvent } from './transport.ts';

describe('addresses', () => {
  test.each([
    ['10.0.0.1:7001', { host: '10.0.0.1', port: 7001 }],
    ['node-b.example:0', { host: 'node-b.example', port: 0 }],
    ['[::1]:65535', { host: '::1', port: 65535 }],
  ])('%s is read and written back', (address, parsed) => {
    assert.deepEqual(parseAddress(address), parsed);
    assert.equal(formatAddress(parsed), address);
  });

  test.each([
    '',
    'b',
    'b:',
    ':1',
    'b:65536',
    'b:-1',
    'b:1x',
    '::1:7',
    'http://b:1',
    'a b:1',
    'b:1\n',
  ])('%j is refused with a typed error', address => {
    assert.throws(() => parseAddress(address), { name: 'TransportError', code: 'BAD_ADDRESS' });
  });
});

describe('Backoff', () => {
  test('waits double up to the bound and begin anew after a reset', () => {
    const backoff = new Backoff({ minMs: 10, maxMs: 60 }, () => 1);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => backoff.next()),
      [10, 20, 40, 60, 60],
    );
    backoff.reset();
    assert.equal(backoff.next(), 10);
  });

  test('the jitter never takes more than half of a wait', () => {
    const backoff = new Backoff({ minMs: 10, maxMs: 1000 }, () => 0);
    assert.deepEqual(
      [1, 2, 3].map(() => backoff.next()),
      [5, 10, 20],
    );
  });
});

describe('EventLimiter', () => {
  test('repeats within the interval are counted, other peers and codes are not held up', () => {
    const said: LinkEvent[] = [];
    let now = 0;
    const limiter = new EventLimiter(event => said.push(event), { now: () => now, intervalMs: 5 });
    limiter.emit('PEER_LOST', 2, 'one');
    limiter.emit('PEER_LOST', 2, 'two');
    limiter.emit('PEER_LOST', 3, 'three');
    limiter.emit('PEER_REFUSED', 2, 'four');
    now = 5;
    limiter.emit('PEER_LOST', 2, 'five');
    assert.deepEqual(
      said.map(event => event.message),
      [
        'PEER_LOST one',
        'PEER_LOST three',
        'PEER_REFUSED four',
        'PEER_LOST five (1 more like this)',
      ],
    );
  });
});

describe('Notices', () => {
  test('repeats of a turn are told once, changes in their order', () => {
    const runs: (() => void)[] = [];
    const told: string[] = [];
    const events = {
      receive: () => {},
      connected: (peer: number) => told.push(`up ${peer}`),
      unreachable: (peer: number) => told.push(`down ${peer}`),
    };
    const notices = new Notices(
      run => runs.push(run),
      () => events,
    );
    notices.add('unreachable', 1);
    notices.add('unreachable', 2);
    notices.add('unreachable', 1);
    notices.add('connected', 1);
    notices.add('unreachable', 1);
    assert.deepEqual([told, runs.length], [[], 1]);
    runs[0]!();
    assert.deepEqual(told, ['down 1', 'down 2', 'up 1', 'down 1']);
    notices.add('unreachable', 1);
    assert.equal(runs.length, 2);
  });
});

describe('messageBytes', () => {
  test('is never below the encoded size of any kind of message', () => {
    for (const message of everyKind(2 ** 50, 2 ** 50 + 1)) {
      const writer = new ByteWriter();
      encodeMessages(writer, [message]);
      assert.ok(messageBytes(message) >= writer.length, message.kind);
      assert.ok(messageBytes(message) <= writer.length + 300, message.kind);
    }
  });
});
