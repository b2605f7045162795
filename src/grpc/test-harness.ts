// A server connection without a socket, for tests that speak HTTP/2 frame by frame.
import type { MethodHandler, StreamCall, UnaryCall } from './calls.ts';
import { DeadlineTimer } from './deadline-wheel.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Flag, FrameType, PREFACE, readU32, writeFrameHeader, writeU32 } from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HeaderBlock } from './hpack-encoder.ts';
import type { Link } from './link.ts';
import { MethodTable } from './methods.ts';
import { DEFAULT_LIMITS, type ServerLimits } from './options.ts';
import { ServerConnection } from './server-connection.ts';

interface Frame {
  type: number;
  flags: number;
  id: number;
  payload: Uint8Array;
}

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: ArrayLike<number> = [],
): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, id));
  return bytes;
}

export const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  return bytes;
};

export function headerBlock(fields: [string, string][]): Uint8Array {
  const out = new HeaderBlock();
  for (const [name, value] of fields) out.literal(name, value);
  return out.finish();
}

export const fieldsFor = (path: string, extra: [string, string][] = []): [string, string][] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', '#initially=[http://127.0.0.1:2379;]'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ...extra,
];

export const headers = (
  id: number,
  path: string,
  flags = 0,
  extra: [string, string][] = [],
): Uint8Array =>
  frame(FrameType.HEADERS, Flag.END_HEADERS | flags, id, headerBlock(fieldsFor(path, extra)));

export const message = (bytes: number[]): number[] => [0, 0, 0, 0, bytes.length, ...bytes];

export const data = (id: number, payload: ArrayLike<number>, flags = 0): Uint8Array =>
  frame(FrameType.DATA, flags, id, payload);

/** One connection with its written bytes cut into frames. */
export class Harness {
  readonly connection: ServerConnection;
  readonly calls: UnaryCall[] = [];
  readonly streams: StreamCall[] = [];
  readonly errors: unknown[] = [];
  readonly limits: ServerLimits;
  pendingBytes = 0;
  paused = false;
  ended = false;
  #written: Uint8Array[] = [];
  #dirty = new Set<FrameWriter>();
  readonly decoder = new HpackDecoder(65_536);

  constructor(limits: Partial<ServerLimits> = {}, greet = true) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    const handlers: Record<string, MethodHandler> = {
      '/t.T/Echo': { kind: 'unary', handle: (call, m) => call.respond(m) },
      '/t.T/Hold': { kind: 'unary', handle: call => void this.calls.push(call) },
      '/t.T/Throw': {
        kind: 'unary',
        handle: () => {
          throw new Error('bug');
        },
      },
      '/t.T/Bidi': { kind: 'bidi', handle: call => void this.streams.push(call) },
    };
    const link: Link = {
      write: bytes => void this.#written.push(bytes),
      pendingBytes: () => this.pendingBytes,
      cork() {},
      uncork() {},
      pause: () => void (this.paused = true),
      resume: () => void (this.paused = false),
      end: () => void (this.ended = true),
      destroy: () => void (this.ended = true),
    };
    this.connection = new ServerConnection(
      link,
      {
        limits: this.limits,
        methods: new MethodTable(handlers),
        flusher: { add: connection => void this.#dirty.add(connection) },
        timer: new DeadlineTimer(),
        handlerThrew: error => void this.errors.push(error),
        connectionClosed() {},
      },
      'test:1',
    );
    if (!greet) return;
    this.say(PREFACE, frame(FrameType.SETTINGS, 0, 0));
    this.heard();
  }

  say(...parts: Uint8Array[]): void {
    this.connection.receive(Buffer.concat(parts));
  }

  /** The frames written since the last look. */
  heard(): Frame[] {
    for (const connection of this.#dirty) connection.flush();
    this.#dirty.clear();
    const bytes = Buffer.concat(this.#written);
    this.#written = [];
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = bytes.readUIntBE(at, 3);
      const payload = bytes.subarray(at + 9, at + 9 + size);
      const id = readU32(bytes, at + 5);
      frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, id, payload });
      at += 9 + size;
    }
    return frames;
  }

  /** The code of the GOAWAY that ended the connection. */
  goaway(): number | undefined {
    const found = this.heard().find(f => f.type === FrameType.GOAWAY);
    return found === undefined || !this.ended ? undefined : readU32(found.payload, 4);
  }

  /** The code of the RST_STREAM for a stream. */
  reset(id: number): number | undefined {
    const found = this.heard().find(f => f.type === FrameType.RST_STREAM && f.id === id);
    return found === undefined ? undefined : readU32(found.payload, 0);
  }

  fieldsOf(f: Frame): Map<string, string> {
    const fields = this.decoder.decode(f.payload, 0, f.payload.length) ?? [];
    return new Map(fields.map(field => [field.name, field.value]));
  }
}
