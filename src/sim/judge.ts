// Where broken promises are reported. The first one counts: what follows a violation is noise.

import type { Explanation } from '../check/explain.ts';
import type { NodeId } from '../raft/types.ts';
import type { FaultClass, Violation } from './types.ts';
import type { World } from './world.ts';

export class Judge {
  violation: Violation | null = null;
  readonly checks: Record<string, number> = {};
  readonly faults: Partial<Record<FaultClass, number>> = {};
  readonly marks: Record<string, number> = {};
  readonly #world: World;
  readonly #only: readonly string[] | null;

  /** `only`: the properties that count; null: all of them. */
  constructor(world: World, only: readonly string[] | null = null) {
    this.#world = world;
    this.#only = only;
  }

  /** `holds` was looked at; `message` is made only when it is broken. */
  check(property: string, node: NodeId, holds: boolean, message: () => string): void {
    this.checks[property] = (this.checks[property] ?? 0) + 1;
    if (!holds) this.fail(property, node, message());
  }

  count(property: string): void {
    this.checks[property] = (this.checks[property] ?? 0) + 1;
  }

  fail(property: string, node: NodeId, message: string, explanation?: Explanation): void {
    if (this.violation !== null || this.#only?.includes(property) === false) return;
    const explained = explanation === undefined ? {} : { explanation };
    this.violation = { property, message, timeMs: this.#world.nowMs, node, ...explained };
    this.#world.halted = true;
  }

  happened(fault: FaultClass): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  /** Something that a sweep must see now and then, or it does not test what it claims to. */
  mark(name: string): void {
    this.marks[name] = (this.marks[name] ?? 0) + 1;
  }
}
