// The replicated state of a server: the key-value store, and beside it what the cluster knows of its
// members. Commands of the store pass through untouched.

import type { KvMachine } from '../kv/kv-machine.ts';
import type { ApplyBatch, Machine } from '../node/machine.ts';
import {
  decodeMember,
  encodeMember,
  MEMBER_PREFIX,
  MEMBER_TAG,
  type MemberInfo,
  memberName,
} from './members.ts';

/** The answer to a member command: whether it was understood. */
export interface MemberResult {
  readonly known: boolean;
}

export class ServerMachine implements Machine {
  readonly kv: KvMachine;
  readonly #memberChanged: (member: MemberInfo) => void;
  /** What is left to do after a batch that is under way. */
  #finish: (() => unknown[]) | null = null;

  constructor(kv: KvMachine, memberChanged: (member: MemberInfo) => void) {
    this.kv = kv;
    this.#memberChanged = memberChanged;
    this.#announceMembers();
  }

  get applied() {
    return this.kv.applied;
  }

  get durable() {
    return this.kv.durable;
  }

  get backlogBytes() {
    return this.kv.backlogBytes;
  }

  apply(batch: ApplyBatch): unknown[] {
    const told = membersIn(batch);
    if (told === null) return this.kv.apply(batch);
    const { inner, results } = withMembers(batch, told);
    this.kv.apply(inner);
    return this.#tell(told, results());
  }

  begin(batch: ApplyBatch): unknown[] | null {
    const told = membersIn(batch);
    if (told === null) return this.kv.begin(batch);
    const { inner, results } = withMembers(batch, told);
    if (this.kv.begin(inner) !== null) return this.#tell(told, results());
    this.#finish = () => this.#tell(told, results());
    return null;
  }

  resume(): unknown[] | null {
    const results = this.kv.resume();
    const finish = this.#finish;
    if (results === null || finish === null) return results;
    this.#finish = null;
    return finish();
  }

  flush() {
    return this.kv.flush();
  }

  bookkeeping(prefix: string) {
    return this.kv.bookkeeping(prefix);
  }

  snapshot() {
    return this.kv.snapshot();
  }

  async restore(...image: Parameters<Machine['restore']>): Promise<void> {
    await this.kv.restore(...image);
    this.#announceMembers();
  }

  close() {
    return this.kv.close();
  }

  #tell(told: readonly Told[], results: unknown[]): unknown[] {
    for (const member of told) if (member) this.#memberChanged(member);
    return results;
  }

  #announceMembers(): void {
    for (const [, value] of this.kv.bookkeeping(MEMBER_PREFIX)) {
      const member = decodeMember(value);
      if (member !== null) this.#memberChanged(member);
    }
  }
}

/** A member, null for one that was not understood; undefined for a command of the store. */
type Told = MemberInfo | null | undefined;

/** Rare: a member tells its URLs when it starts. Null when none does. */
function membersIn({ commands }: ApplyBatch): Told[] | null {
  for (let i = 0; i < commands.length; i++) {
    if (commands[i]!.data[0] !== MEMBER_TAG) continue;
    return commands.map(({ data }) =>
      data[0] === MEMBER_TAG ? decodeMember(data.subarray(1)) : undefined,
    );
  }
  return null;
}

/** The batch as the store gets it, without commands that are none of its, and all results after it. */
function withMembers(batch: ApplyBatch, told: readonly Told[]) {
  let results: unknown[] = [];
  const bookkeeping = {
    settle(kvResults: readonly unknown[]): void {
      let next = 0;
      results = told.map(member => (member === undefined ? kvResults[next++] : isKnown(member)));
      batch.bookkeeping.settle(results);
    },
    get puts() {
      const puts = new Map(batch.bookkeeping.puts);
      for (const member of told) if (member) puts.set(memberName(member.id), encodeMember(member));
      return puts;
    },
  };
  const commands = batch.commands.filter((_, i) => told[i] === undefined);
  return { inner: { last: batch.last, commands, bookkeeping }, results: () => results };
}

function isKnown(member: MemberInfo | null): MemberResult {
  return { known: member !== null };
}
