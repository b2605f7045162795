// kontiki/check: judges what clients of a replicated system saw. No dependencies; runs anywhere.

export { isLinearizableByBruteForce } from './brute.ts';
export {
  type ExplainedOperation,
  type Explanation,
  explainLinearizability,
  explainRevisions,
  explanationText,
} from './explain.ts';
export {
  type GenerateOptions,
  generateHistory,
  MUTATIONS,
  type Mutation,
  mutate,
  type Random,
  seededRandom,
} from './generate.ts';
export {
  assertHistory,
  HistoryError,
  HistoryRecorder,
  historyFaults,
  type Operation,
  type Outcome,
  type Verdict,
} from './history.ts';
export { escapeHtml, explanationHtml } from './html.ts';
export type * from './kv-history.ts';
export { applyKv, EMPTY_KV, type KvState, kvModel } from './kv-model.ts';
export { type Culprits, type MinimizeOptions, minimize } from './minimize.ts';
export * from './models.ts';
export { RaftModel } from './raft-model.ts';
export type { SpecConfig, SpecEntry, SpecPlace, SpecRecovered } from './raft-spec-log.ts';
export type * from './raft-spec-types.ts';
export { type EdnValue, readEdn } from './readers/edn.ts';
export { readJepsenAppend, readJepsenRegister } from './readers/jepsen.ts';
export { readJsonLines, writeJsonLines } from './readers/json-lines.ts';
export { checkRevisions } from './revision.ts';
export type * from './revision-types.ts';
export { checkWatch } from './watch.ts';
export type * from './watch-types.ts';
export {
  checkLinearizable,
  type LinearizabilityOptions,
  type LinearizabilityResult,
  type PartResult,
} from './wgl.ts';
export { isExplainedBy } from './witness.ts';
