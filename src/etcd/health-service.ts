// grpc.health.v1 for load balancers and Kubernetes: serving while this member is ready.

import { type HealthCheckResponse, ServingStatus } from '../api/health.ts';
import { decodeHealthCheckRequest, encodeHealthCheckResponse } from '../api/health-codec.ts';
import { toBytes } from '../api/proto-writer.ts';
import type { StreamCall, UnaryCall } from '../grpc/calls.ts';
import { Status } from '../grpc/status.ts';
import type { Member } from './member.ts';

/** How often a watcher is told of a change. */
const WATCH_INTERVAL_MS = 1000;

export class HealthService {
  readonly #member: Member;
  readonly #watchers = new Map<StreamCall, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor(member: Member) {
    this.#member = member;
  }

  check(call: UnaryCall, message: Uint8Array): void {
    const { service } = decodeHealthCheckRequest(message);
    // Only the server as a whole is registered.
    if (service !== '') return call.fail(Status.NOT_FOUND, 'unknown service');
    this.#member.replies.sendBare(call, encodeHealthCheckResponse, this.#response());
  }

  watch(call: StreamCall, message: Uint8Array): void {
    const { service } = decodeHealthCheckRequest(message);
    if (service !== '') {
      call.send(toBytes(encodeHealthCheckResponse, { status: ServingStatus.SERVICE_UNKNOWN }));
      return;
    }
    this.#tell(call);
    call.onCancel = () => this.#forget(call);
    this.#timer ??= setInterval(() => this.#tellAll(), WATCH_INTERVAL_MS).unref();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#watchers.clear();
  }

  #response(): HealthCheckResponse {
    const serving = !this.#member.stopping && this.#member.driver.leader !== 0;
    return { status: serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
  }

  #tell(call: StreamCall): void {
    const response = this.#response();
    if (this.#watchers.get(call) === response.status) return;
    this.#watchers.set(call, response.status);
    call.send(toBytes(encodeHealthCheckResponse, response));
  }

  #tellAll(): void {
    for (const call of this.#watchers.keys()) this.#tell(call);
  }

  #forget(call: StreamCall): void {
    this.#watchers.delete(call);
    if (this.#watchers.size === 0) this.close();
  }
}
