// A server connection in memory, fed with frames made by hand: every protocol error has its code,
// every limit holds, and only what is broken breaks.
import { beforeEach, describe, expect, test } from 'vitest';
import { ErrorCode, Flag, FrameType, PREFACE, readU32 } from './frames.ts';
import {
  data,
  fieldsFor,
  frame,
  Harness,
  headerBlock,
  headers,
  message,
  u32,
} from './test-harness.ts';

let h: Harness;
beforeEach(() => {
  h = new Harness();
});

describe('greeting', () => {
  test('SETTINGS go out before the client has said anything', () => {
    const fresh = new Harness({}, false);
    expect(fresh.heard().map(f => [f.type, f.flags])).toEqual([
      [FrameType.SETTINGS, 0],
      [FrameType.WINDOW_UPDATE, 0],
    ]);
  });

  test('a preface cut at any byte is understood', () => {
    const all = Buffer.concat([
      PREFACE,
      frame(FrameType.SETTINGS, 0, 0),
      headers(1, '/t.T/Echo'),
      data(1, message([7]), Flag.END_STREAM),
    ]);
    const cutOnce = new Harness({}, false);
    for (const byte of all) cutOnce.connection.receive(Uint8Array.of(byte));
    const types = cutOnce.heard().map(f => f.type);
    expect(types).toEqual([4, 8, 4, 1, 0, 1]);
  });

  test('another first frame than SETTINGS is a PROTOCOL_ERROR', () => {
    const fresh = new Harness({}, false);
    fresh.say(PREFACE, frame(FrameType.PING, 0, 0, new Uint8Array(8)));
    expect(fresh.goaway()).toBe(ErrorCode.PROTOCOL_ERROR);
  });

  test('a wrong preface is a PROTOCOL_ERROR', () => {
    const fresh = new Harness({}, false);
    fresh.say(new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'));
    expect(fresh.goaway()).toBe(ErrorCode.PROTOCOL_ERROR);
  });
});

describe('unary calls', () => {
  test('an answer is headers, message and trailers, and costs 3 header bytes once warm', () => {
    h.say(headers(1, '/t.T/Echo'), data(1, message([1, 2]), Flag.END_STREAM));
    h.say(headers(3, '/t.T/Echo'), data(3, message([3]), Flag.END_STREAM));
    const frames = h.heard();
    expect(frames.map(f => [f.type, f.id])).toEqual([
      [1, 1],
      [0, 1],
      [1, 1],
      [1, 3],
      [0, 3],
      [1, 3],
    ]);
    expect([...frames[1]!.payload]).toEqual(message([1, 2]));
    const decoded = frames.filter(f => f.type === 1).map(f => h.fieldsOf(f));
    expect(decoded[2]).toEqual(
      new Map([
        [':status', '200'],
        ['content-type', 'application/grpc'],
      ]),
    );
    expect(decoded[3]).toEqual(new Map([['grpc-status', '0']]));
    expect(frames[3]!.payload.length + frames[5]!.payload.length).toBe(3);
    expect(h.connection.streams.size).toBe(0);
  });

  test('a client that asks for a small header table gets one', () => {
    h.say(headers(1, '/t.T/Echo'), data(1, message([1]), Flag.END_STREAM));
    for (const f of h.heard()) if (f.type === 1) h.fieldsOf(f);
    h.say(frame(FrameType.SETTINGS, 0, 0, [0, 1, 0, 0, 0, 0]));
    h.say(headers(3, '/t.T/Echo'), data(3, message([1]), Flag.END_STREAM));
    const blocks = h.heard().filter(f => f.type === 1);
    expect(blocks[0]!.payload[0]).toBe(0x20);
    expect(blocks.map(f => h.fieldsOf(f).get('grpc-status'))).toEqual([undefined, '0']);
    expect(h.decoder.tableBytes).toBe(0);
  });

  test('respondWith encodes in place, and a codec that lies fails only its call', () => {
    h.say(headers(1, '/t.T/Echo'), data(1, message([1]), Flag.END_STREAM));
    h.say(headers(3, '/t.T/Hold'), data(3, message([1]), Flag.END_STREAM));
    h.say(headers(5, '/t.T/Hold'), data(5, message([1]), Flag.END_STREAM));
    h.heard();
    h.calls[0]!.respondWith(
      4,
      (value: number, into, at) => into.fill(value, at, at + 3) && at + 3,
      9,
    );
    expect([...h.heard()[1]!.payload]).toEqual(message([9, 9, 9]));
    h.calls[1]!.respondWith(1, (_v, _into, at) => at + 500, 0);
    expect(h.calls[1]!.ended).toBe(true);
    expect(h.heard().map(f => [f.type, f.id])).toEqual([[1, 5]]);
    expect(h.errors).toHaveLength(1);
    expect(h.connection.closed).toBe(false);
  });

  test('a handler that throws fails its call with INTERNAL', () => {
    h.say(headers(1, '/t.T/Throw'), data(1, message([1]), Flag.END_STREAM));
    expect(h.fieldsOf(h.heard()[0]!).get('grpc-status')).toBe('13');
    expect(h.errors).toHaveLength(1);
  });

  test('an answer after cancellation goes nowhere, and the handler was told once', () => {
    h.say(headers(1, '/t.T/Hold'), data(1, message([1]), Flag.END_STREAM));
    let told = 0;
    h.calls[0]!.onCancel = () => void (told += 1);
    h.say(frame(FrameType.RST_STREAM, 0, 1, u32(8)));
    h.calls[0]!.respond(Uint8Array.of(1));
    h.calls[0]!.fail(13, 'late');
    expect(told).toBe(1);
    expect(h.calls[0]!.cancelled).toBe(true);
    expect(h.heard()).toEqual([]);
    expect(h.connection.streams.size).toBe(0);
  });

  test.each([
    ['no message', [], '13'],
    ['two messages', [...message([1]), ...message([2])], '13'],
    ['half a message', [0, 0, 0, 0, 9, 1], '13'],
    ['a message over the limit', [0, 0, 0x26, 0x25, 0xaa], '8'],
    ['compression nobody announced', [1, 0, 0, 0, 1, 1], '13'],
    ['an unknown flag', [7, 0, 0, 0, 1, 1], '13'],
  ])('%s fails the call and not the connection', (_what, payload, code) => {
    h.say(headers(1, '/t.T/Echo'), data(1, payload, Flag.END_STREAM));
    expect(h.fieldsOf(h.heard()[0]!).get('grpc-status')).toBe(code);
    expect(h.connection.streams.size).toBe(0);
    expect(h.connection.heldBytes).toBe(0);
    expect(h.connection.closed).toBe(false);
  });

  test.each([
    ['an unknown method', '/t.T/No', [], '200', '12', 'unknown method No for service t.T'],
    ['an unknown service', '/t.X/No', [], '200', '12', 'unknown service t.X'],
    ['a bad timeout', '/t.T/Echo', [['grpc-timeout', '1x']], '200', '13', 'malformed grpc-timeout'],
    [
      'unknown compression',
      '/t.T/Echo',
      [['grpc-encoding', 'zz']],
      '200',
      '12',
      'grpc: Decompressor is not installed for grpc-encoding "zz"',
    ],
  ] as const)('%s is refused in one frame', (_what, path, extra, http, code, text) => {
    h.say(
      headers(
        1,
        path,
        Flag.END_STREAM,
        extra.map(([n, v]) => [n, v]),
      ),
    );
    const [answer, ...rest] = h.heard();
    expect(rest).toEqual([]);
    expect(answer!.flags & Flag.END_STREAM).toBe(Flag.END_STREAM);
    const fields = h.fieldsOf(answer!);
    expect([fields.get(':status'), fields.get('grpc-status'), fields.get('grpc-message')]).toEqual([
      http,
      code,
      text,
    ]);
  });

  test('another content type is answered with HTTP 415, a header list too long with 431', () => {
    const web = fieldsFor('/t.T/Echo').map(([n, v]): [string, string] => [
      n,
      n === 'content-type' ? 'application/grpc-web' : v,
    ]);
    h.say(frame(FrameType.HEADERS, 5, 1, headerBlock(web)));
    const long = headerBlock(fieldsFor('/t.T/Echo', [['x', 'y'.repeat(65_500)]]));
    h.say(frame(FrameType.HEADERS, 1, 3, long.subarray(0, 16_000)));
    for (let at = 16_000; at < long.length; at += 16_000) {
      const last = at + 16_000 >= long.length;
      h.say(frame(FrameType.CONTINUATION, last ? 4 : 0, 3, long.subarray(at, at + 16_000)));
    }
    expect(h.heard().map(f => h.fieldsOf(f).get(':status'))).toEqual(['415', '431']);
  });
});

describe('connection errors', () => {
  const ping = new Uint8Array(8);
  test.each<[string, number, Uint8Array[]]>([
    [
      'a frame over 16384 bytes',
      ErrorCode.FRAME_SIZE_ERROR,
      [Uint8Array.of(0, 64, 1, 0, 0, 0, 0, 0, 1)],
    ],
    ['DATA on stream 0', ErrorCode.PROTOCOL_ERROR, [data(0, [1])]],
    ['DATA on an idle stream', ErrorCode.PROTOCOL_ERROR, [data(5, [1])]],
    ['HEADERS on stream 0', ErrorCode.PROTOCOL_ERROR, [headers(0, '/t.T/Echo')]],
    ['HEADERS on an even stream', ErrorCode.PROTOCOL_ERROR, [headers(2, '/t.T/Echo')]],
    [
      'a stream number used before',
      ErrorCode.STREAM_CLOSED,
      [headers(3, '/t.T/Echo'), data(3, message([]), 1), headers(3, '/t.T/Echo')],
    ],
    ['PING of 7 bytes', ErrorCode.FRAME_SIZE_ERROR, [frame(6, 0, 0, ping.subarray(1))]],
    ['PING on a stream', ErrorCode.PROTOCOL_ERROR, [frame(6, 0, 1, ping)]],
    ['SETTINGS on a stream', ErrorCode.PROTOCOL_ERROR, [frame(4, 0, 1)]],
    ['SETTINGS of 5 bytes', ErrorCode.FRAME_SIZE_ERROR, [frame(4, 0, 0, ping.subarray(3))]],
    ['SETTINGS ACK with a payload', ErrorCode.FRAME_SIZE_ERROR, [frame(4, 1, 0, ping.subarray(2))]],
    ['ENABLE_PUSH of 2', ErrorCode.PROTOCOL_ERROR, [frame(4, 0, 0, [0, 2, 0, 0, 0, 2])]],
    ['a window over 2^31', ErrorCode.FLOW_CONTROL_ERROR, [frame(4, 0, 0, [0, 4, 128, 0, 0, 0])]],
    ['MAX_FRAME_SIZE of 1', ErrorCode.PROTOCOL_ERROR, [frame(4, 0, 0, [0, 5, 0, 0, 0, 1])]],
    ['PUSH_PROMISE from a client', ErrorCode.PROTOCOL_ERROR, [frame(5, 4, 1, [0, 0, 0, 2])]],
    ['RST_STREAM on an idle stream', ErrorCode.PROTOCOL_ERROR, [frame(3, 0, 1, u32(8))]],
    ['RST_STREAM of 3 bytes', ErrorCode.FRAME_SIZE_ERROR, [frame(3, 0, 1, ping.subarray(5))]],
    ['WINDOW_UPDATE of 0', ErrorCode.PROTOCOL_ERROR, [frame(8, 0, 0, u32(0))]],
    ['WINDOW_UPDATE past 2^31', ErrorCode.FLOW_CONTROL_ERROR, [frame(8, 0, 0, u32(0x7fffffff))]],
    ['WINDOW_UPDATE on an idle stream', ErrorCode.PROTOCOL_ERROR, [frame(8, 0, 7, u32(1))]],
    ['CONTINUATION alone', ErrorCode.PROTOCOL_ERROR, [frame(9, 4, 1)]],
    [
      'a frame inside a header block',
      ErrorCode.PROTOCOL_ERROR,
      [frame(1, 0, 1), frame(6, 0, 0, ping)],
    ],
    ['DATA inside a header block', ErrorCode.PROTOCOL_ERROR, [frame(1, 0, 1), data(1, [0])]],
    [
      'padding longer than the frame',
      ErrorCode.PROTOCOL_ERROR,
      [headers(1, '/t.T/Hold'), data(1, [9, 1, 2], Flag.PADDED)],
    ],
    ['a broken header block', ErrorCode.COMPRESSION_ERROR, [frame(1, 4, 1, [0xff, 0xff])]],
    ['GOAWAY of 4 bytes', ErrorCode.FRAME_SIZE_ERROR, [frame(7, 0, 0, u32(0))]],
  ])('%s ends the connection with its code', (_what, code, parts) => {
    h.say(...parts);
    expect(h.goaway()).toBe(code);
    expect(h.connection.streams.size).toBe(0);
  });

  test('a header block without end is ENHANCE_YOUR_CALM', () => {
    h.say(frame(FrameType.HEADERS, 0, 1));
    for (let i = 0; i < 10; i++) h.say(frame(FrameType.CONTINUATION, 0, 1, new Uint8Array(16_000)));
    expect(h.goaway()).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  });

  test.each([
    ['pings', frame(FrameType.PING, 0, 0, ping)],
    ['settings', frame(FrameType.SETTINGS, 0, 0)],
    ['empty continuations', frame(FrameType.CONTINUATION, 0, 1)],
  ])('a flood of %s is ENHANCE_YOUR_CALM', (what, flood) => {
    h = new Harness({ idleFramesMax: 500 });
    if (what.includes('continuations')) h.say(frame(FrameType.HEADERS, 0, 1));
    for (let i = 0; i < 600; i++) h.say(flood);
    expect(h.goaway()).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  });

  test('opening and resetting streams rapidly is ENHANCE_YOUR_CALM', () => {
    h = new Harness({ idleFramesMax: 500 });
    for (let id = 1; id < 400; id += 2) {
      h.say(headers(id, '/t.T/Hold'), frame(FrameType.RST_STREAM, 0, id, u32(8)));
    }
    expect(h.goaway()).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  });
});

describe('stream errors', () => {
  test.each<[string, number, (id: number) => Uint8Array[]]>([
    [
      'an upper-case header name',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold', 0, [['X-Up', 'a']])],
    ],
    [
      'a connection header',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold', 0, [['connection', 'close']])],
    ],
    [
      'a pseudo header after the others',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold', 0, [[':method', 'POST']])],
    ],
    ['no path', ErrorCode.PROTOCOL_ERROR, id => [headers(id, '')]],
    [
      'DATA after END_STREAM',
      ErrorCode.STREAM_CLOSED,
      id => [headers(id, '/t.T/Hold', 1), data(id, [1])],
    ],
    [
      'DATA on a closed stream',
      ErrorCode.STREAM_CLOSED,
      id => [headers(id, '/t.T/Echo'), data(id, message([1]), 1), data(id, [1])],
    ],
    [
      'a body shorter than content-length',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold', 0, [['content-length', '9']]), data(id, message([1]), 1)],
    ],
    [
      'trailers that do not end the stream',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold'), headers(id, '/t.T/Hold')],
    ],
    [
      'a stream WINDOW_UPDATE of 0',
      ErrorCode.PROTOCOL_ERROR,
      id => [headers(id, '/t.T/Hold'), frame(8, 0, id, u32(0))],
    ],
  ])('%s resets its stream and spares the connection', (_what, code, parts) => {
    const all = parts(7);
    h.say(headers(1, '/t.T/Hold'), data(1, message([1]), Flag.END_STREAM));
    h.say(...all);
    const frames = h.heard();
    const reset = frames.find(f => f.type === FrameType.RST_STREAM && f.id === 7);
    // A unary call without a message is answered first; its stream is then closed, not open.
    expect(readU32(reset!.payload, 0)).toBe(code);
    expect(h.connection.closed).toBe(false);
    h.calls[0]!.respond(Uint8Array.of(1));
    expect(h.heard().map(f => f.type)).toEqual([1, 0, 1]);
  });

  test('a client that overruns its stream window is reset with FLOW_CONTROL_ERROR', () => {
    h = new Harness({ streamWindowBytes: 1000 });
    h.say(headers(1, '/t.T/Bidi'));
    h.streams[0]!.pause();
    h.say(data(1, message(new Array(90).fill(0))), data(1, new Uint8Array(950)));
    expect(h.reset(1)).toBe(ErrorCode.FLOW_CONTROL_ERROR);
  });

  test('more streams than allowed are refused, untouched', () => {
    h = new Harness({ concurrentStreamsMax: 2 });
    for (const id of [1, 3, 5]) h.say(headers(id, '/t.T/Hold'), data(id, message([1]), 1));
    expect(h.reset(5)).toBe(ErrorCode.REFUSED_STREAM);
    expect(h.calls).toHaveLength(2);
  });
});

describe('flow control', () => {
  test('an answer larger than the window waits for it, frame by frame', () => {
    h.say(headers(1, '/t.T/Hold'), data(1, message([1]), Flag.END_STREAM));
    h.calls[0]!.respond(new Uint8Array(200_000));
    const sizes = (): number =>
      h.heard().reduce((sum, f) => sum + (f.type === FrameType.DATA ? f.payload.length : 0), 0);
    expect(sizes()).toBe(65_535);
    h.say(frame(8, 0, 1, u32(1_000_000)));
    expect(sizes()).toBe(0);
    h.say(frame(8, 0, 0, u32(100_000)));
    expect(sizes()).toBe(100_000);
    h.say(frame(8, 0, 0, u32(1_000_000)));
    const last = h.heard();
    expect(last.at(-1)!.flags & Flag.END_STREAM).toBe(Flag.END_STREAM);
    expect(h.connection.streams.size).toBe(0);
  });

  test('a smaller initial window may make a stream window negative, and it recovers', () => {
    h.say(headers(1, '/t.T/Bidi'));
    const call = h.streams[0]!;
    call.send(new Uint8Array(50_000));
    h.heard();
    h.say(frame(4, 0, 0, [0, 4, 0, 0, 0, 10]));
    call.send(new Uint8Array(5));
    expect(h.heard().filter(f => f.type === FrameType.DATA)).toEqual([]);
    h.say(frame(8, 0, 1, u32(50_005 - 10 + 9)));
    expect(h.heard().map(f => f.payload.length)).toEqual([9]);
    h.say(frame(8, 0, 1, u32(1)));
    expect(h.heard().map(f => f.payload.length)).toEqual([1]);
  });

  test('send says when to wait, and onDrain when to go on', () => {
    h = new Harness({ sendQueueBytesMax: 100_000 });
    h.say(headers(1, '/t.T/Bidi'));
    let drains = 0;
    const call = h.streams[0]!;
    call.onDrain = () => void (drains += 1);
    expect(call.send(new Uint8Array(60_000))).toBe(true);
    expect(call.send(new Uint8Array(90_000))).toBe(true);
    expect(call.send(new Uint8Array(90_000))).toBe(false);
    h.say(frame(8, 0, 0, u32(1_000_000)), frame(8, 0, 1, u32(1_000_000)));
    expect(drains).toBe(1);
    expect(call.queuedBytes).toBe(0);
  });

  test('a sender deaf to `false` loses its call before memory is lost', () => {
    h = new Harness({ sendQueueBytesMax: 1000 });
    h.say(headers(1, '/t.T/Bidi'));
    for (let i = 0; i < 10_000; i++) h.streams[0]!.send(new Uint8Array(1000));
    expect(h.reset(1)).toBe(ErrorCode.ENHANCE_YOUR_CALM);
    expect(h.streams[0]!.queuedBytes).toBe(0);
    expect(h.streams[0]!.cancelled).toBe(true);
  });

  test('a paused reader withholds its window, and resume gives it back in order', () => {
    h = new Harness({ streamWindowBytes: 1000 });
    h.say(headers(1, '/t.T/Bidi'));
    const call = h.streams[0]!;
    const got: number[] = [];
    let halfClosed = false;
    call.onMessage = m => void got.push(m[0]!);
    call.onHalfClose = () => void (halfClosed = true);
    call.pause();
    for (let i = 0; i < 9; i++) h.say(data(1, message(new Array(100).fill(i)), i === 8 ? 1 : 0));
    expect(got).toEqual([]);
    expect(h.connection.heldBytes).toBeGreaterThan(900);
    expect(h.heard()).toEqual([]);
    call.onMessage = m => {
      got.push(m[0]!);
      if (got.length === 3) call.pause();
    };
    call.resume();
    expect(got).toEqual([0, 1, 2]);
    expect(halfClosed).toBe(false);
    call.resume();
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(halfClosed).toBe(true);
    expect(h.connection.heldBytes).toBe(0);
  });

  test('unread messages of all streams together have a bound', () => {
    h = new Harness({ heldBytesMax: 50_000 });
    for (let id = 1; id < 20; id += 2) {
      h.say(headers(id, '/t.T/Hold'), data(id, [0, 0, 1, 0, 0, ...new Array(10_000).fill(0)]));
    }
    expect(h.connection.heldBytes).toBeLessThan(70_000);
    const refused = h.heard().filter(f => f.type === FrameType.HEADERS);
    expect(refused.length).toBeGreaterThan(0);
    expect(h.fieldsOf(refused[0]!).get('grpc-status')).toBe('8');
  });

  test('a client that does not read is not read from', () => {
    h.pendingBytes = 10_000_000;
    h.say(headers(1, '/t.T/Echo'), data(1, message([1]), Flag.END_STREAM));
    h.heard();
    expect(h.paused).toBe(true);
    h.pendingBytes = 0;
    h.connection.drained();
    expect(h.paused).toBe(false);
  });

  test('padding counts against the window and is given back', () => {
    h = new Harness({ streamWindowBytes: 1000, connectionWindowBytes: 65_535 });
    h.say(headers(1, '/t.T/Bidi'));
    const padded = [200, ...message([1]), ...new Array(200).fill(0)];
    for (let i = 0; i < 50; i++) h.say(data(1, padded, Flag.PADDED));
    expect(h.connection.closed).toBe(false);
    const updates = h.heard().filter(f => f.type === FrameType.WINDOW_UPDATE && f.id === 1);
    expect(updates.reduce((sum, f) => sum + readU32(f.payload, 0), 0)).toBeGreaterThan(9000);
  });
});

describe('the end', () => {
  test('draining announces, then names the last stream, then waits for its calls', () => {
    h.say(headers(1, '/t.T/Hold'), data(1, message([1]), Flag.END_STREAM));
    h.connection.drain();
    const [first, ping] = h.heard();
    expect(readU32(first!.payload, 0)).toBe(0x7fffffff);
    h.say(headers(3, '/t.T/Echo'), data(3, message([1]), Flag.END_STREAM));
    h.say(frame(FrameType.PING, Flag.ACK, 0, ping!.payload));
    const last = h.heard().find(f => f.type === FrameType.GOAWAY);
    expect(readU32(last!.payload, 0)).toBe(3);
    h.say(headers(5, '/t.T/Echo'));
    expect(h.reset(5)).toBe(ErrorCode.REFUSED_STREAM);
    expect(h.ended).toBe(false);
    h.calls[0]!.respond(Uint8Array.of(1));
    expect(h.heard().map(f => f.type)).toEqual([1, 0, 1]);
    expect(h.ended).toBe(true);
  });

  test('shutting down answers running calls with UNAVAILABLE and tells their handlers', () => {
    h.say(headers(1, '/t.T/Hold'), data(1, message([1]), Flag.END_STREAM));
    let told = false;
    h.calls[0]!.onCancel = () => void (told = true);
    h.connection.shutDown();
    expect(h.fieldsOf(h.heard()[0]!).get('grpc-status')).toBe('14');
    expect(told).toBe(true);
    expect(h.ended).toBe(true);
  });
});
