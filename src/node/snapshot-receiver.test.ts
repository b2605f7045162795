import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { FIRST_STATE, IDENTITY, snapshotAt } from '../../test/conformance/storage-fixtures.ts';
import { VirtualClock } from '../../test/support/virtual-clock.ts';
import type { Input } from '../raft/io.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { openLogStore } from '../storage/open.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';

const open = () => openLogStore({ disk: new MemoryDisk(), identity: IDENTITY });

async function chunkOf(meta: ReturnType<typeof snapshotAt>): Promise<Uint8Array> {
  const sender = await open();
  const writer = await sender.createSnapshot(meta);
  await writer.write(new Uint8Array(600_000).fill(7));
  await writer.finish();
  const reader = (await sender.openSnapshot(meta))!;
  return (await reader.read(0, 262_144)).slice();
}

describe('SnapshotReceiver', () => {
  test.each([
    { damage: 0, ok: true, what: 'an intact chunk is written' },
    { damage: 1, ok: false, what: 'a damaged chunk begins the transfer again and stops nobody' },
  ])('$what', async ({ damage, ok }) => {
    const meta = snapshotAt(8, 2);
    const data = await chunkOf(meta);
    data[100_000]! ^= damage;
    const store = await open();
    await store.bootstrap(FIRST_STATE);
    const first = await new Promise<Input | Error>(resolve => {
      const receiver = new SnapshotReceiver(store, new VirtualClock(), {
        step: resolve,
        fail: resolve,
      });
      receiver.write({ from: 1, meta, offset: 0, data, done: false });
    });
    assert.ok(!(first instanceof Error));
    assert.equal(first.kind === 'snapshotWritten' && first.ok, ok);
    await store.close();
  });
});
