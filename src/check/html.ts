// An explanation as one self-contained page: a lane per process, a bar per operation, details on
// hover, the culprits in red. No script and no outside resource: it opens anywhere, and nothing
// that a history contains can become markup.

import type { ExplainedOperation, Explanation } from './explain.ts';

const LANE_HEIGHT = 34;
const WIDTH = 1200;
const LEFT = 90;

export function explanationHtml(explanation: Explanation): string {
  const title = escapeHtml(explanation.title);
  const reasons = explanation.reasons.map(r => `<li>${escapeHtml(r)}</li>`).join('\n');
  const culprits = explanation.operations.filter(op => op.isCulprit);
  const rows = culprits.map(row).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${title}</h1>
<ul>
${reasons}
</ul>
${timeline(explanation.operations)}
<table>
<thead><tr><th>operation</th><th>process</th><th>called</th><th>returned</th><th>what</th></tr></thead>
<tbody>
${rows}
</tbody>
</table>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
svg { display: block; width: 100%; height: auto; margin: 1rem 0; }
svg text { font: 11px ui-monospace, monospace; fill: currentColor; pointer-events: none; }
.lane { stroke: currentColor; stroke-opacity: .15; }
.bar { fill: #7aa7d9; stroke: #33628f; }
.bar.open { stroke-dasharray: 4 3; fill-opacity: .5; }
.bar.culprit { fill: #d6453d; stroke: #8c1c16; }
.bar:hover { stroke-width: 3; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top; }
td { font-family: ui-monospace, monospace; }
`;

function row(op: ExplainedOperation): string {
  const cells = [`#${op.index}`, `${op.process}`, `${op.callTime}`, showEnd(op), op.text];
  return `<tr>${cells.map(c => `<td>${escapeHtml(c)}</td>`).join('')}</tr>`;
}

function showEnd(op: ExplainedOperation): string {
  return op.returnTime === Infinity ? 'unknown' : String(op.returnTime);
}

function timeline(operations: readonly ExplainedOperation[]): string {
  const processes = [...new Set(operations.map(op => op.process))].sort((a, b) => a - b);
  const column = columnOf(operations);
  const height = processes.length * LANE_HEIGHT + 10;
  const lanes = processes.map((process, lane) => {
    const y = lane * LANE_HEIGHT + LANE_HEIGHT / 2 + 5;
    const line = `<line class="lane" x1="${LEFT}" y1="${y}" x2="${WIDTH}" y2="${y}"/>`;
    return `${line}<text x="4" y="${y + 4}">process ${escapeHtml(String(process))}</text>`;
  });
  const bars = operations.map(op => bar(op, processes.indexOf(op.process), column));
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="operations by process">
${lanes.join('\n')}
${bars.join('\n')}
</svg>`;
}

// Events are spread evenly by rank: real times leave most of the width empty and crowd the rest.
function columnOf(operations: readonly ExplainedOperation[]): (time: number) => number {
  const times = new Set<number>();
  for (const op of operations) {
    times.add(op.callTime);
    if (op.returnTime !== Infinity) times.add(op.returnTime);
  }
  const ranks = new Map([...times].sort((a, b) => a - b).map((time, rank) => [time, rank]));
  const step = (WIDTH - LEFT - 30) / Math.max(1, ranks.size - 1);
  return time => (time === Infinity ? WIDTH - 4 : LEFT + 10 + (ranks.get(time) ?? 0) * step);
}

function bar(op: ExplainedOperation, lane: number, column: (time: number) => number): string {
  const x = column(op.callTime);
  const width = Math.max(4, column(op.returnTime) - x);
  const y = lane * LANE_HEIGHT + 9;
  const kind = `bar${op.isCulprit ? ' culprit' : ''}${op.returnTime === Infinity ? ' open' : ''}`;
  const hover = `#${op.index} process ${op.process} [${op.callTime}, ${showEnd(op)}] ${op.text}`;
  const fits = Math.floor((width - 8) / 6.7);
  const label = fits < 4 ? '' : op.text.length <= fits ? op.text : `${op.text.slice(0, fits - 1)}…`;
  const shape = `<rect class="${kind}" x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="26" rx="4">`;
  const text = `<text x="${(x + 4).toFixed(1)}" y="${y + 17}">${escapeHtml(label)}</text>`;
  return `<g>${shape}<title>${escapeHtml(hover)}</title></rect>${text}</g>`;
}
