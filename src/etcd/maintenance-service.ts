// The Maintenance service: how this member is, and hashes by which members are compared.

import { etcdErrors } from '../api/errors.ts';
import type { HashKVResponse, HashResponse, StatusResponse } from '../api/maintenance.ts';
import {
  decodeHashKVRequest,
  encodeHashKVResponse,
  encodeHashResponse,
  encodeStatusResponse,
} from '../api/maintenance-codec.ts';
import type { UnaryCall } from '../grpc/calls.ts';
import { HashJob, type HashResult } from '../kv/hash.ts';
import type { Member } from './member.ts';
import { failWith, refuse } from './replies.ts';
import { inSlices } from './slices.ts';
import { API_VERSION, STORAGE_VERSION } from './version.ts';

export class MaintenanceService {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  status(call: UnaryCall): void {
    const { driver, kv, replies, config, id } = this.#member;
    const { raft } = driver.report();
    const { totalBytes, inUseBytes } = this.#member.size();
    const response: StatusResponse = {
      header: null,
      version: API_VERSION,
      dbSize: totalBytes,
      leader: BigInt(raft.leader),
      raftIndex: raft.commitIndex,
      raftTerm: raft.currentTerm,
      raftAppliedIndex: raft.appliedIndex,
      errors: raft.leader === 0 ? [etcdErrors.noLeader.text] : [],
      dbSizeInUse: inUseBytes,
      isLearner: raft.config.learners.includes(id),
      storageVersion: STORAGE_VERSION,
      dbSizeQuota: config.quotaBackendBytes,
      downgradeInfo: null,
    };
    replies.send(call, kv.store.revision, encodeStatusResponse, response);
  }

  hash(call: UnaryCall): void {
    this.#hashAt(call, 0, ({ hash }) => {
      const response: HashResponse = { header: null, hash };
      this.#member.replies.send(call, this.#revision, encodeHashResponse, response);
    });
  }

  /** Of the state at a revision, after all that was committed when the call came. */
  hashKv(call: UnaryCall, message: Uint8Array): void {
    const { revision } = decodeHashKVRequest(message);
    this.#member.driver.read({
      ready: () => this.#hashAt(call, revision, result => this.#sendHashKv(call, result)),
      failed: error => failWith(call, error),
    });
  }

  get #revision(): number {
    return this.#member.kv.store.revision;
  }

  #sendHashKv(call: UnaryCall, { hash, compactRevision, hashRevision }: HashResult): void {
    const response: HashKVResponse = { header: null, hash, compactRevision, hashRevision };
    this.#member.replies.send(call, this.#revision, encodeHashKVResponse, response);
  }

  #hashAt(call: UnaryCall, revision: number, done: (result: HashResult) => void): void {
    const job = this.#member.kv.startHash(revision);
    if (job instanceof HashJob) inSlices(call, job, done);
    else refuse(call, job);
  }
}
