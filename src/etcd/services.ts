// Which method is answered by which service.

import { methods } from '../api/methods.ts';
import type { Handlers, UnaryCall } from '../grpc/calls.ts';
import { ClusterService } from './cluster-service.ts';
import { HealthService } from './health-service.ts';
import { KvService } from './kv-service.ts';
import { MaintenanceService } from './maintenance-service.ts';
import type { Member } from './member.ts';
import { guarded } from './replies.ts';

export interface Services {
  readonly handlers: Handlers;
  close(): void;
}

export function createServices(member: Member): Services {
  const kv = new KvService(member);
  const cluster = new ClusterService(member);
  const maintenance = new MaintenanceService(member);
  const health = new HealthService(member);
  return {
    handlers: {
      [methods.kv.range.path]: unary((call, message) => kv.range(call, message)),
      [methods.kv.put.path]: unary((call, message) => kv.put(call, message)),
      [methods.kv.deleteRange.path]: unary((call, message) => kv.deleteRange(call, message)),
      [methods.kv.txn.path]: unary((call, message) => kv.txn(call, message)),
      [methods.kv.compact.path]: unary((call, message) => kv.compact(call, message)),
      [methods.cluster.memberList.path]: unary((call, message) =>
        cluster.memberList(call, message),
      ),
      [methods.maintenance.status.path]: unary(call => maintenance.status(call)),
      [methods.maintenance.hash.path]: unary(call => maintenance.hash(call)),
      [methods.maintenance.hashKv.path]: unary((call, message) =>
        maintenance.hashKv(call, message),
      ),
      [methods.health.check.path]: unary((call, message) => health.check(call, message)),
      [methods.health.watch.path]: {
        kind: 'serverStream',
        handle: (call, message) => health.watch(call, message),
      },
    },
    close: () => health.close(),
  };
}

function unary(handle: (call: UnaryCall, message: Uint8Array) => void) {
  return { kind: 'unary' as const, handle: guarded(handle) };
}
