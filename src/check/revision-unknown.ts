// Which keys the writes of unknown outcome bear on, and in which order to try them.

import type { KvRequest } from './kv-history.ts';
import type { KeySpan, RevisionStore } from './revision-store.ts';

/**
 * Every key whose state the requests may change or depend on: a superset is safe, it only makes
 * the checker go back to more choices than needed.
 */
export function touchedSpans(requests: readonly KvRequest[], store: RevisionStore): KeySpan[] {
  const spans = new Map<string, KeySpan>();
  const add = (span: KeySpan) => {
    if (span.from < span.to) spans.set(`${span.from}-${span.to}`, span);
  };
  const visit = (request: KvRequest): void => {
    switch (request.kind) {
      case 'put':
        return add(store.span(request.key, undefined));
      case 'delete':
      case 'range':
        return add(store.span(request.key, request.rangeEnd));
      case 'revoke':
        return add({ from: 0, to: store.keys.length });
      case 'txn':
        for (const c of request.compare) add(store.span(c.key, c.rangeEnd));
        for (const inner of request.success) visit(inner);
        for (const inner of request.failure) visit(inner);
    }
  };
  for (const request of requests) visit(request);
  return [...spans.values()];
}

/**
 * One candidate of each kind first, then the second of each, and so on. Writes of the same keys
 * mostly fail alike, so the first of each kind is where the answer usually is; among those alike,
 * the one called first fits wherever a later one does.
 */
export function orderedCandidates(
  candidates: readonly number[],
  inputOf: (candidate: number) => KvRequest,
): number[] {
  const kinds = new Map<string, number[]>();
  for (const candidate of candidates) {
    const kind = kindOf(inputOf(candidate));
    const alike = kinds.get(kind);
    if (alike === undefined) kinds.set(kind, [candidate]);
    else alike.push(candidate);
  }
  const ordered: number[] = [];
  for (let round = 0; ordered.length < candidates.length; round++) {
    for (const alike of kinds.values()) {
      if (round < alike.length) ordered.push(alike[round]!);
    }
  }
  return ordered;
}

function kindOf(request: KvRequest): string {
  switch (request.kind) {
    case 'put':
      return `p${request.key}`;
    case 'delete':
      return `d${request.key}\0${request.rangeEnd ?? ''}`;
    case 'revoke':
      return 'r';
    case 'range':
      return '';
    case 'txn':
      return `t${request.success.map(kindOf).join('\0')}\0\0${request.failure.map(kindOf).join('\0')}`;
  }
}
