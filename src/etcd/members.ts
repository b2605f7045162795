// The members of the cluster as clients see them: names and URLs. They are part of the replicated
// state, kept in the machine's bookkeeping, so that every member answers the same after a restart.

import type { Member } from '../api/cluster.ts';
import type { InitialMember } from './config.ts';

export interface MemberInfo {
  readonly id: number;
  /** Empty until the member has started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
}

/** Bookkeeping names are this and the id in hexadecimal. */
export const MEMBER_PREFIX = 'etcd/member/';

/** First byte of the log command by which a member tells its URLs; beyond the store's own tags. */
export const MEMBER_TAG = 0x80;

const utf8 = new TextEncoder();
const text = new TextDecoder();

export function memberName(id: number): string {
  return MEMBER_PREFIX + id.toString(16);
}

export function encodeMember(member: MemberInfo): Uint8Array {
  return utf8.encode(JSON.stringify(member));
}

export function encodeMemberCommand(member: MemberInfo): Uint8Array {
  const body = encodeMember(member);
  const command = new Uint8Array(1 + body.length);
  command[0] = MEMBER_TAG;
  command.set(body, 1);
  return command;
}

/** Null for bytes that are no member: a log may be written by anyone. */
export function decodeMember(bytes: Uint8Array): MemberInfo | null {
  let value: unknown;
  try {
    value = JSON.parse(text.decode(bytes));
  } catch {
    return null;
  }
  const { id, name, peerUrls, clientUrls } = (value ?? {}) as Partial<MemberInfo>;
  const valid =
    Number.isSafeInteger(id) && typeof name === 'string' && isUrls(peerUrls) && isUrls(clientUrls);
  return valid ? { id: id!, name, peerUrls, clientUrls } : null;
}

function isUrls(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(url => typeof url === 'string');
}

export class MemberTable {
  readonly #members = new Map<number, MemberInfo>();
  /** As configured; a member's own word counts once it is heard. */
  readonly #configuredNames = new Map<number, string>();

  constructor(initial: readonly InitialMember[]) {
    for (const { id, name, peerUrls } of initial) {
      this.#configuredNames.set(id, name);
      this.#members.set(id, { id, name: '', peerUrls, clientUrls: [] });
    }
  }

  set(member: MemberInfo): void {
    this.#members.set(member.id, member);
  }

  get(id: number): MemberInfo | undefined {
    return this.#members.get(id);
  }

  /** For people: the name, or the id of a member that has none. */
  nameOf(id: number): string {
    return this.#members.get(id)?.name || this.#configuredNames.get(id) || id.toString(16);
  }

  /** Sorted by id, as etcd lists them. */
  list(isLearner: (id: number) => boolean): Member[] {
    return [...this.#members.values()]
      .sort((a, b) => a.id - b.id)
      .map(({ id, name, peerUrls, clientUrls }) => ({
        id: BigInt(id),
        name,
        peerUrls: [...peerUrls],
        clientUrls: [...clientUrls],
        isLearner: isLearner(id),
      }));
  }
}
