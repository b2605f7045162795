// The Cluster service: who the members are.

import type { MembersResponse } from '../api/cluster.ts';
import { decodeMemberListRequest, encodeMembersResponse } from '../api/cluster-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import type { Member } from './member.ts';
import { failWith } from './replies.ts';

export class ClusterService {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  memberList(call: UnaryCall, message: Uint8Array): void {
    const { linearizable } = decodeMemberListRequest(message);
    if (!linearizable) return this.#answer(call);
    this.#member.driver.read({
      ready: () => this.#answer(call),
      failed: error => failWith(call, error),
    });
  }

  #answer(call: UnaryCall): void {
    const { driver, members, replies } = this.#member;
    const { learners } = driver.report().raft.config;
    const response: MembersResponse = {
      header: null,
      members: members.list(id => learners.includes(id)),
    };
    // Cluster answers carry no revision.
    replies.send(call, 0, encodeMembersResponse, response);
  }
}
