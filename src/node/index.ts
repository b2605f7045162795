// The public entry of the package: what an application needs to embed a replicated state machine.

export type { LogIndex, NodeId, Term } from '../raft/types.ts';
export { MemoryNetwork } from '../transport/memory.ts';
export type { Change } from './changes.ts';
export { createNode, type NodeOptions } from './create-node.ts';
export { DevCluster, type DevClusterOptions, devCluster } from './dev-cluster.ts';
export type { DriverReport } from './driver-types.ts';
export { type ErrorCode, KontikiError, type Outcome } from './errors.ts';
export { KontikiNode, type LeaderChange, type MemberChange } from './node.ts';
export type { SessionClient, SessionOptions } from './session-client.ts';
export type { Logger, Settings, Timing } from './settings.ts';
export {
  type ApplyContext,
  type Codec,
  type Codecs,
  type CommandOf,
  jsonCodec,
  type PartOf,
  type ResultOf,
  type StateMachine,
  type StateMachineInParts,
  type StateOf,
} from './state-machine.ts';
export { fileStorage, memoryStorage, type StorageKind } from './system-storage.ts';
export { memoryTransport, type TransportKind, tcpTransport } from './system-transport.ts';
