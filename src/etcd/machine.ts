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

  apply(batch: ApplyBatch): unknown[] {
    const { commands } = batch;
    for (let i = 0; i < commands.length; i++) {
      if (commands[i]!.data[0] === MEMBER_TAG) return this.#applyWithMembers(batch);
    }
    return this.kv.apply(batch);
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

  /** Rare: a member tells its URLs when it starts. */
  #applyWithMembers(batch: ApplyBatch): unknown[] {
    const told = batch.commands.map(({ data }) =>
      data[0] === MEMBER_TAG ? decodeMember(data.subarray(1)) : undefined,
    );
    let results: unknown[] = [];
    const bookkeeping = {
      settle(kvResults: readonly unknown[]): void {
        let next = 0;
        results = told.map(member => (member === undefined ? kvResults[next++] : isKnown(member)));
        batch.bookkeeping.settle(results);
      },
      get puts() {
        const puts = new Map(batch.bookkeeping.puts);
        for (const member of told)
          if (member) puts.set(memberName(member.id), encodeMember(member));
        return puts;
      },
    };
    const commands = batch.commands.filter((_, i) => told[i] === undefined);
    this.kv.apply({ last: batch.last, commands, bookkeeping });
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

function isKnown(member: MemberInfo | null): MemberResult {
  return { known: member !== null };
}
