// What a connection needs of the socket under it, so that it can run on TCP, on TLS, or in memory.
import type { Duplex } from 'node:stream';

export interface Link {
  /** Takes the bytes over; they are never touched again by the connection. */
  write(bytes: Uint8Array): void;
  /** Bytes written and not yet taken by the operating system. */
  pendingBytes(): number;
  /** Several writes between cork and uncork may go out as one. */
  cork(): void;
  uncork(): void;
  pause(): void;
  resume(): void;
  /** Closes after everything written has gone. */
  end(): void;
  destroy(): void;
}

/** How a socket tells its connection what happened. */
export interface LinkEvents {
  receive(chunk: Uint8Array): void;
  drained(): void;
  /** Called once; `error` is null when the peer simply closed. */
  lost(error: Error | null): void;
}

/** How long a peer may take to close its side after we have closed ours. */
const LINGER_MS = 1000;

export function socketLink(socket: Duplex): Link {
  return {
    write: bytes => void socket.write(bytes),
    pendingBytes: () => socket.writableLength,
    cork: () => socket.cork(),
    uncork: () => socket.uncork(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => {
      socket.resume(); // a paused socket would never see the peer's end
      socket.end();
      const linger = setTimeout(() => socket.destroy(), LINGER_MS);
      socket.once('close', () => clearTimeout(linger));
    },
    destroy: () => void socket.destroy(),
  };
}

/** One 'data' handler for the socket's whole life. */
export function attachSocket(socket: Duplex, events: LinkEvents): void {
  let error: Error | null = null;
  socket.on('data', (chunk: Uint8Array) => events.receive(chunk));
  socket.on('drain', () => events.drained());
  socket.on('error', (problem: Error) => {
    error = problem;
  });
  // Half-open connections serve nobody: when the peer closes its side, so do we.
  socket.on('end', () => void socket.end());
  socket.on('close', () => events.lost(error));
}
