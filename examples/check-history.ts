// Judges a history of your own: what clients called, when, and what they were told. Here two writes and
// a read that comes too late for what it says. Run: npx tsx examples/check-history.ts

import { writeFileSync } from 'node:fs';
import {
  checkLinearizable,
  explainLinearizability,
  explanationHtml,
  explanationText,
  HistoryRecorder,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
} from '../src/check/index.ts';

const recorder = new HistoryRecorder<RegisterInput, RegisterOutput>();
const model = registerModel(0);

// Call and answer are noted where they happen; the recorder needs no clock.
const first = recorder.call(1, { kind: 'write', value: 1 });
recorder.ok(first, {});
const second = recorder.call(1, { kind: 'write', value: 2 });
const lost = recorder.call(3, { kind: 'write', value: 3 });
recorder.ok(second, {});
recorder.unknown(lost); // timed out: it may have had an effect, or may have one later
const read = recorder.call(2, { kind: 'read' });
recorder.ok(read, { value: 1 });

const history = recorder.history();
const result = checkLinearizable(history, model);
console.log(result.verdict);
const explanation = explainLinearizability(history, model, result);
if (explanation !== undefined) {
  console.log(explanationText(explanation));
  const page = process.argv[2];
  if (page !== undefined) writeFileSync(page, explanationHtml(explanation));
}
