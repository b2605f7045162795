// Makes one call, over as many endpoints and attempts as its kind allows. A read may be repeated
// whenever a server was unavailable. A write may be repeated only if no server can have seen it:
// repeating one that was applied would apply it twice.

import { Code, plainErrors } from '../api/errors.ts';
import { ProtoError } from '../api/proto-error.ts';
import type { Decode } from '../api/proto-reader.ts';
import { type Encode, toBytes } from '../api/proto-writer.ts';
import type { CallOptions } from '../grpc/calls.ts';
import { CallError } from '../grpc/status.ts';
import { ClientError, outcomeOf } from './client-error.ts';
import type { Endpoint, EndpointList } from './endpoints.ts';

/** An RPC as the client makes it. */
export interface Call<Request, Response> {
  readonly path: string;
  readonly writes: boolean;
  readonly encode: Encode<Request>;
  readonly decode: Decode<Response>;
}

/** Settings of one call; what is left out comes from the client. */
export interface CallSettings {
  /** For the whole call, retries included. */
  readonly deadlineMs?: number;
}

export interface CallerDefaults {
  readonly deadlineMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

const ATTEMPTS_MAX = 100;
const PAUSE_MS_MIN = 25;
const PAUSE_MS_MAX = 500;

export class Caller {
  readonly #endpoints: EndpointList;
  /** Shared by the first attempts of all calls: the channel then builds its headers once. */
  readonly #options: CallOptions & CallerDefaults;
  #closed = false;

  constructor(endpoints: EndpointList, defaults: CallerDefaults) {
    this.#endpoints = endpoints;
    this.#options = { deadlineMs: defaults.deadlineMs, metadata: defaults.metadata };
  }

  /** Asks whichever endpoint answers. */
  async call<Request, Response>(
    call: Call<Request, Response>,
    request: Request,
    settings: CallSettings = {},
  ): Promise<Response> {
    const bytes = toBytes(call.encode, request);
    const deadlineMs = settings.deadlineMs ?? this.#options.deadlineMs;
    const endAt = performance.now() + deadlineMs;
    let options = this.#optionsFor(deadlineMs);
    for (let attempt = 1; ; attempt++) {
      const endpoint = this.#endpoints.current;
      const failure = await this.#attempt(call, bytes, options, endpoint);
      if (!(failure instanceof Failure)) return failure;
      if (failure.leavesEndpoint) this.#endpoints.leave(endpoint);
      if (attempt === ATTEMPTS_MAX || !this.#mayRepeat(call.writes, failure)) {
        throw failure.toError(call.writes, endpoint);
      }
      await this.#pauseAfterRound(attempt, endAt);
      const leftMs = endAt - performance.now();
      if (leftMs <= 0) throw failure.outOfTime(call.writes, endpoint);
      options = this.#optionsFor(leftMs);
    }
  }

  /** Asks this endpoint, once. */
  async callAt<Request, Response>(
    address: string | undefined,
    call: Call<Request, Response>,
    request: Request,
    settings: CallSettings = {},
  ): Promise<Response> {
    const { current } = this.#endpoints;
    const endpoint = address === undefined ? current : this.#endpoints.get(address);
    const options = this.#optionsFor(settings.deadlineMs ?? this.#options.deadlineMs);
    const answer = await this.#attempt(call, toBytes(call.encode, request), options, endpoint);
    if (answer instanceof Failure) throw answer.toError(call.writes, endpoint);
    return answer;
  }

  /** Calls in flight fail now; those to come, at once. */
  close(): void {
    this.#closed = true;
    this.#endpoints.close();
  }

  async #attempt<Request, Response>(
    call: Call<Request, Response>,
    bytes: Uint8Array,
    options: CallOptions,
    endpoint: Endpoint,
  ): Promise<Response | Failure> {
    if (this.#closed) return new Failure(Code.UNAVAILABLE, 'the client is closed', false);
    try {
      return call.decode(await endpoint.channel().request(call.path, bytes, options));
    } catch (error) {
      if (error instanceof CallError) return new Failure(error.code, error.message, error.sent);
      if (!(error instanceof ProtoError)) throw error;
      return new Failure(Code.INTERNAL, `answer is not readable: ${error.message}`, true);
    }
  }

  #mayRepeat(writes: boolean, failure: Failure): boolean {
    if (this.#closed || failure.code !== Code.UNAVAILABLE) return false;
    return !writes || !failure.sent;
  }

  /** Waits only once all endpoints have failed in turn, each time twice as long. */
  #pauseAfterRound(attempt: number, endAt: number): Promise<void> | null {
    const { length } = this.#endpoints.all;
    if (attempt % length !== 0) return null;
    const doubled = PAUSE_MS_MIN * 2 ** Math.min(attempt / length - 1, 10);
    const pauseMs = Math.min(doubled, PAUSE_MS_MAX, Math.max(0, endAt - performance.now()));
    return new Promise(resolve => setTimeout(resolve, pauseMs));
  }

  #optionsFor(deadlineMs: number): CallOptions {
    return deadlineMs === this.#options.deadlineMs
      ? this.#options
      : { deadlineMs, metadata: this.#options.metadata };
  }
}

/** One attempt that failed. */
class Failure {
  readonly code: number;
  readonly message: string;
  /** false: surely no server has seen the request. */
  readonly sent: boolean;

  constructor(code: number, message: string, sent: boolean) {
    this.code = code;
    this.message = message;
    this.sent = sent;
  }

  /** A server that is gone, without leader or mute: the next call should try another. */
  get leavesEndpoint(): boolean {
    return this.code === Code.UNAVAILABLE || this.code === Code.DEADLINE_EXCEEDED;
  }

  toError(writes: boolean, endpoint: Endpoint): ClientError {
    const outcome = writes ? outcomeOf(this) : null;
    const { code, message: text } = this;
    return new ClientError({ code, text, outcome, endpoint: endpoint.address });
  }

  /** The deadline passed between two attempts; the reason of the last failure is worth telling. */
  outOfTime(writes: boolean, endpoint: Endpoint): ClientError {
    const { code, text } = plainErrors.deadlineExceeded;
    return new Failure(code, `${text} (${this.message})`, this.sent).toError(writes, endpoint);
  }
}
