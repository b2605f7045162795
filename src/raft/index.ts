// Public entry `kontiki/raft`: the core for those who bring their own driver.
export { AssertionError } from './assert.ts';
export { DEFAULTS, type RaftConfig } from './config.ts';
export { checkState, checkTransition } from './invariants.ts';
export type {
  Input,
  ReadState,
  Ready,
  Receipt,
  SnapshotRead,
  SnapshotWrite,
} from './io.ts';
export type * from './messages.ts';
export { Raft } from './raft.ts';
export type * from './report.ts';
export type * from './trace.ts';
export { TRACE_VERSION } from './trace.ts';
export type * from './types.ts';
export { NO_DATA, NO_NODE, ORIGIN } from './types.ts';
