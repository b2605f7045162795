// The state machines that the simulator brings along.

import { KvWorkload } from './kv-workload.ts';
import { RegisterWorkload } from './register-workload.ts';
import type { Stack } from './types.ts';
import type { CreateWorkload } from './workload.ts';

export function workloadFor(stack: Stack): CreateWorkload {
  return parts => (stack === 'kv' ? new KvWorkload(parts) : new RegisterWorkload(parts));
}
