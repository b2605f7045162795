import { describe, expect, test } from 'vitest';
import { Code, EtcdError, etcdErrors, plainErrors } from './errors.ts';

describe('errors', () => {
  const all = Object.values(etcdErrors);

  test('every text has the prefix that clients compare, and no two are equal', () => {
    for (const { text } of all) expect(text).toMatch(/^etcdserver: \S/);
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
  });

  test('the texts and codes that the stock clients depend on are exact', () => {
    const listed = [
      [3, 'etcdserver: key not found', etcdErrors.keyNotFound],
      [3, 'etcdserver: duplicate key given in txn request', etcdErrors.duplicateKey],
      [3, 'etcdserver: user name is empty', etcdErrors.userEmpty],
      [3, 'etcdserver: revision of auth store is old', etcdErrors.authOldRevision],
      [5, 'etcdserver: requested lease not found', etcdErrors.leaseNotFound],
      [7, 'etcdserver: permission denied', etcdErrors.permissionDenied],
      [8, 'etcdserver: mvcc: database space exceeded', etcdErrors.noSpace],
      [9, 'etcdserver: not leader', etcdErrors.notLeader],
      [9, 'etcdserver: rpc not supported for learner', etcdErrors.notSupportedForLearner],
      [11, 'etcdserver: mvcc: required revision has been compacted', etcdErrors.compacted],
      [11, 'etcdserver: mvcc: required revision is a future revision', etcdErrors.futureRevision],
      [14, 'etcdserver: no leader', etcdErrors.noLeader],
      [15, 'etcdserver: corrupt cluster', etcdErrors.corrupt],
      [16, 'etcdserver: invalid auth token', etcdErrors.invalidAuthToken],
      [4, 'context deadline exceeded', plainErrors.deadlineExceeded],
    ] as const;
    for (const [code, text, error] of listed) expect(error).toEqual({ code, text });
  });

  test('an EtcdError carries code and text', () => {
    const error = new EtcdError(etcdErrors.leaseNotFound);
    expect(error).toBeInstanceOf(Error);
    expect([error.code, error.message]).toEqual([
      Code.NOT_FOUND,
      'etcdserver: requested lease not found',
    ]);
  });
});
