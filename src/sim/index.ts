// kontiki/sim: a whole cluster in virtual time, from one seed. For testing a state machine of one's
// own under every fault there is, see OwnMachine.

export { NAMED_PLANS } from './named-plans.ts';
export { type OwnMachine, simulateMachine, workloadOf } from './own-machine.ts';
export { PROPERTIES, type PropertyId } from './properties.ts';
export { failureReport, type ReportOptions } from './report.ts';
export { simulate, simulateWorkload } from './run.ts';
export { type ShrinkOptions, type Shrunk, shrink } from './shrink.ts';
export { workloadFor } from './stacks.ts';
export { summaryText } from './summary.ts';
export { drawPlan } from './swarm.ts';
export { emptySummary, merge, type SweepOptions, type SweepSummary, sweep } from './sweep.ts';
export * from './types.ts';
export type { CreateWorkload, Operation, Workload, WorkloadParts } from './workload.ts';
