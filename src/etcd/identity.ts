// Ids of members and clusters, derived as etcd derives them: from the peer URLs and the cluster token,
// so that all members of a new cluster come to the same ids without talking to each other. Only 53 of
// the 64 bits are kept, because the core's ids are safe integers; clients see them as uint64 and
// never compute them.

import { createHash } from 'node:crypto';

const ID_BITS = 53n;

/** `peerUrls` in any order. */
export function memberId(peerUrls: readonly string[], token: string): number {
  return idOf(
    createHash('sha1')
      .update([...peerUrls].sort().join(''))
      .update(token)
      .digest(),
  );
}

export function clusterId(memberIds: readonly number[]): number {
  const hash = createHash('sha1');
  for (const id of [...memberIds].sort((a, b) => a - b)) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(id));
    hash.update(bytes);
  }
  return idOf(hash.digest());
}

/** Ids in logs and URLs are hexadecimal, as etcd prints them. */
export function hexId(id: number | bigint): string {
  return id.toString(16);
}

function idOf(digest: Buffer): number {
  const id = Number(BigInt.asUintN(Number(ID_BITS), digest.readBigUInt64BE(0)));
  // 0 means "no node" everywhere.
  return id === 0 ? 1 : id;
}
