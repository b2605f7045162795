// kontiki/sim: a whole cluster in virtual time, from one seed. For testing a state machine of one's
// own under every fault there is, see OwnMachine.

export { type OwnMachine, simulateMachine, workloadOf } from './own-machine.ts';
export { PROPERTIES, type PropertyId } from './properties.ts';
export { failureReport, type ReportOptions } from './report.ts';
export { simulate, simulateWorkload } from './run.ts';
export { type ShrinkOptions, type Shrunk, shrink } from './shrink.ts';
export { workloadFor } from './stacks.ts';
export {
  emptySummary,
  merge,
  type SweepOptions,
  type SweepSummary,
  summaryText,
  sweep,
} from './sweep.ts';
export * from './types.ts';
export type { CreateWorkload, Operation, Workload, WorkloadParts } from './workload.ts';
