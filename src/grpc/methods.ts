// The methods a server knows, by path, each with its counters. The counters are plain numbers in
// arrays: they are on the hot path of every call.
import type { Handlers, MethodHandler, MethodStats } from './calls.ts';
import { STATUS_COUNT } from './status.ts';

export class MethodEntry {
  readonly path: string;
  readonly handler: MethodHandler;
  started = 0;
  messagesReceived = 0;
  messagesSent = 0;
  readonly handled: number[] = new Array<number>(STATUS_COUNT).fill(0);

  constructor(path: string, handler: MethodHandler) {
    this.path = path;
    this.handler = handler;
  }

  stats(): MethodStats {
    return {
      path: this.path,
      kind: this.handler.kind,
      started: this.started,
      messagesReceived: this.messagesReceived,
      messagesSent: this.messagesSent,
      handled: [...this.handled],
    };
  }
}

export class MethodTable {
  readonly #entries = new Map<string, MethodEntry>();
  readonly #services = new Set<string>();

  constructor(handlers: Handlers) {
    for (const [path, handler] of Object.entries(handlers)) {
      const parts = /^\/([^/]+)\/[^/]+$/.exec(path);
      if (parts === null) throw new RangeError('not a method path: ' + JSON.stringify(path));
      this.#entries.set(path, new MethodEntry(path, handler));
      this.#services.add(parts[1]!);
    }
  }

  get(path: string): MethodEntry | null {
    return this.#entries.get(path) ?? null;
  }

  /** The text of UNIMPLEMENTED, as gRPC's Go server words it; kube-apiserver looks for it. */
  describeUnknown(path: string): string {
    const slash = path.lastIndexOf('/');
    if (slash <= 0 || path[0] !== '/') return 'malformed method name: ' + JSON.stringify(path);
    const service = path.slice(1, slash);
    if (!this.#services.has(service)) return 'unknown service ' + service;
    return 'unknown method ' + path.slice(slash + 1) + ' for service ' + service;
  }

  stats(): MethodStats[] {
    return [...this.#entries.values()].map(entry => entry.stats());
  }
}
