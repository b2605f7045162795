// What every LogStore must do; run over the real disk and over the one in memory.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SnapshotMeta } from '../../src/raft/types.ts';
import type { LogStore, SnapshotReader } from '../../src/storage/log-store.ts';
import { crc32c } from '../../src/wire/crc32c.ts';
import {
  append,
  batch,
  digest,
  entries,
  FIRST_STATE,
  hardState,
  image,
  LogModel,
  seededRandom,
  snapshotAt,
} from './storage-fixtures.ts';

export interface StoreSubject {
  /** Opens the same directory; the one before was closed. */
  open(): Promise<LogStore>;
  /** Another directory of the same cluster. */
  openOther(): Promise<LogStore>;
  dispose(): Promise<void>;
}

/** The content's length and checksum. */
async function contentOf(reader: SnapshotReader): Promise<string> {
  let length = 0;
  let crc = 0;
  for await (const piece of reader.content()) {
    length += piece.length;
    crc = crc32c(piece, 0, piece.length, crc);
  }
  return `${length}:${crc}`;
}

function contentLike(content: Uint8Array): string {
  return `${content.length}:${crc32c(content)}`;
}

async function writeSnapshot(store: LogStore, meta: SnapshotMeta, content: Uint8Array) {
  const writer = await store.createSnapshot(meta);
  for (let at = 0; at < content.length; at += 50_000) {
    await writer.write(content.subarray(at, at + 50_000));
  }
  await writer.finish();
}

export function logStoreConformance(name: string, create: () => Promise<StoreSubject>): void {
  describe(`${name} is a LogStore`, () => {
    let subject: StoreSubject;
    let store: LogStore;

    beforeEach(async () => {
      subject = await create();
      store = await subject.open();
    });
    afterEach(async () => {
      await store.close();
      await subject.dispose();
    });

    async function reopen(): Promise<LogStore> {
      await store.close();
      store = await subject.open();
      return store;
    }

    test('a new directory has nothing to recover, and bootstrap is remembered', async () => {
      expect(store.recovered).toBeNull();
      expect(store.newestSnapshot).toBeNull();
      const state = { ...FIRST_STATE, hardState: hardState(1, 0, 0), entries: entries(1, 2, 1) };
      await store.bootstrap(state);
      await reopen();
      expect(store.recovered).toEqual(state);
    });

    test('a node is bootstrapped once, and nothing is appended before', async () => {
      await expect(append(store, { hardState: hardState(1) })).rejects.toThrow('before bootstrap');
      await reopen();
      await store.bootstrap(FIRST_STATE);
      await expect(store.bootstrap(FIRST_STATE)).rejects.toThrow('exists already');
    });

    test('entries, hard states and overwritten suffixes come back', async () => {
      const model = new LogModel();
      await store.bootstrap(FIRST_STATE);
      for (const parts of [
        { hardState: hardState(1, 2, 0), entries: entries(1, 5, 1) },
        { entries: entries(4, 4, 2) },
        { hardState: hardState(3, 1, 3) },
        { entries: entries(5, 30, 3, 500) },
      ]) {
        model.append(parts);
        await append(store, parts);
      }
      await reopen();
      expect(image(store.recovered)).toEqual(image(model.state));
      expect(digest(store.recovered!.entries)).toBe(digest(model.state.entries));
      expect(store.recovered!.hardState.commitIndex).toBe(3);
    });

    test('every kind of entry comes back', async () => {
      await store.bootstrap(FIRST_STATE);
      const base = entries(1, 1, 1)[0]!;
      const kinds = [
        { ...base, session: 5, sequence: 9 },
        { ...base, index: 2, kind: 'noop' as const, data: new Uint8Array(0) },
        { ...base, index: 3, kind: 'config' as const, config: FIRST_STATE.snapshot.config },
        { ...base, index: 4, kind: 'openSession' as const },
        { ...base, index: 5, kind: 'closeSession' as const, session: 2 ** 40 },
      ];
      await append(store, { entries: kinds });
      await reopen();
      expect(store.recovered!.entries).toEqual(kinds);
    });

    test('completions come in order, after the call', async () => {
      await store.bootstrap(FIRST_STATE);
      const order: number[] = [];
      const all: Promise<void>[] = [];
      for (let i = 1; i <= 50; i++) {
        const parts = batch({ entries: entries(i, i, 1) });
        all.push(
          new Promise((resolve, reject) => {
            store.append(parts, error => {
              order.push(i);
              if (error === null) resolve();
              else reject(error);
            });
          }),
        );
      }
      expect(order).toEqual([]);
      await Promise.all(all);
      expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    });

    test('a batch larger than a segment comes back', async () => {
      await store.bootstrap(FIRST_STATE);
      const large = entries(1, 3, 1, 3_000_000);
      await append(store, { entries: large });
      await append(store, { entries: entries(4, 4, 1) });
      await reopen();
      const lengths = store.recovered!.entries.map(({ data }) => data.length);
      expect(lengths).toEqual([3_000_000, 3_000_000, 3_000_000, 20]);
      expect(store.recovered!.entries[2]!.data.at(-1)).toBe(large[2]!.data.at(-1));
    });

    test('zeros are data like any other', async () => {
      await store.bootstrap(FIRST_STATE);
      const zeros = { ...entries(1, 1, 1)[0]!, data: new Uint8Array(20_000) };
      await append(store, { entries: [zeros] });
      await reopen();
      expect(digest(store.recovered!.entries)).toBe(digest([zeros]));
    });

    test('compaction drops what it covers and gives the space back', async () => {
      await store.bootstrap(FIRST_STATE);
      for (let i = 1; i <= 200; i++) await append(store, { entries: entries(i, i, 1, 2000) });
      const before = store.logBytes;
      await store.compact(snapshotAt(190, 1));
      expect(store.logBytes).toBeLessThan(before / 2);
      await append(store, { entries: entries(201, 201, 1) });
      await reopen();
      expect(store.recovered!.snapshot).toEqual(snapshotAt(190, 1));
      const found = store.recovered!.entries;
      expect(found[0]!.index).toBeGreaterThan(100);
      expect(found[0]!.index).toBeLessThanOrEqual(191);
      expect(found.map(({ index }) => index)).toEqual(
        Array.from({ length: found.length }, (_, i) => found[0]!.index + i),
      );
      expect(found.at(-1)!.index).toBe(201);
    });

    test('an older compaction changes nothing, one beyond the log is refused', async () => {
      await store.bootstrap(FIRST_STATE);
      await append(store, { entries: entries(1, 9, 1) });
      await store.compact(snapshotAt(5, 1));
      await store.compact(snapshotAt(3, 1));
      await expect(store.compact(snapshotAt(10, 1))).rejects.toThrow('no entry 10');
      await expect(store.compact(snapshotAt(7, 2))).rejects.toThrow('no entry 7 of term 2');
      await reopen();
      expect(store.recovered!.snapshot).toEqual(snapshotAt(5, 1));
    });

    test('S06: an installed snapshot keeps a suffix that matches, and drops any other', async () => {
      await store.bootstrap(FIRST_STATE);
      await append(store, { entries: entries(1, 9, 1) });
      await append(store, { snapshot: snapshotAt(6, 1) });
      await reopen();
      expect(store.recovered!.entries.at(-1)!.index).toBe(9);
      await append(store, { snapshot: snapshotAt(8, 2), entries: entries(9, 9, 2) });
      await reopen();
      expect(store.recovered!.snapshot).toEqual(snapshotAt(8, 2));
      expect(store.recovered!.entries).toEqual(entries(9, 9, 2));
      await append(store, { snapshot: snapshotAt(100, 3), hardState: hardState(3) });
      await reopen();
      expect(store.recovered!.snapshot).toEqual(snapshotAt(100, 3));
      expect(store.recovered!.entries).toEqual([]);
    });

    test('an append that leaves a hole stops the log', async () => {
      await store.bootstrap(FIRST_STATE);
      await append(store, { entries: entries(1, 2, 1) });
      await expect(append(store, { entries: entries(5, 5, 1) })).rejects.toThrow('leaves a hole');
      await expect(append(store, { entries: entries(3, 3, 1) })).rejects.toThrow('leaves a hole');
      await reopen();
      expect(store.recovered!.entries.length).toBe(2);
    });

    test('a closed store takes no more', async () => {
      await store.bootstrap(FIRST_STATE);
      await store.close();
      await expect(append(store, { entries: entries(1, 1, 1) })).rejects.toThrow('closed');
      await store.close();
    });

    test('close() waits for what was appended', async () => {
      await store.bootstrap(FIRST_STATE);
      let durable = false;
      store.append(batch({ entries: entries(1, 1, 1) }), () => {
        durable = true;
      });
      await store.close();
      expect(durable).toBe(true);
      store = await subject.open();
      expect(store.recovered!.entries.length).toBe(1);
    });

    test('a random history comes back after every restart', async () => {
      await store.bootstrap(FIRST_STATE);
      const model = new LogModel();
      const random = seededRandom(7);
      const below = (n: number) => Math.floor(random() * n);
      let term = 1;
      for (let step = 0; step < 150; step++) {
        const { snapshot, entries: held } = model.state;
        const last = held.at(-1)?.index ?? snapshot.last.index;
        const choice = below(10);
        if (choice < 7) {
          if (choice === 0) term += 1;
          const from =
            choice < 2 ? snapshot.last.index + 1 + below(last - snapshot.last.index + 1) : last + 1;
          const parts = {
            hardState: choice < 4 ? hardState(term, below(4)) : null,
            entries: entries(from, from + below(6), term, below(900)),
          };
          model.append(parts);
          await append(store, parts);
        } else if (choice === 7 && held.length > 3) {
          const { index, term: at } = held[below(held.length)]!;
          if (index <= snapshot.last.index) continue;
          model.compact(snapshotAt(index, at));
          await store.compact(snapshotAt(index, at));
        } else if (choice === 8) {
          const parts = { snapshot: snapshotAt(last + below(5) - 2, term) };
          model.append(parts);
          await append(store, parts);
        } else {
          await reopen();
          expect(image(store.recovered)).toEqual(image(model.state));
        }
      }
    });

    test('a snapshot file gives back its content, in any pieces', async () => {
      const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * i) & 255);
      await writeSnapshot(store, snapshotAt(5, 2), content);
      expect(store.newestSnapshot).toEqual(snapshotAt(5, 2));
      const reader = (await store.openSnapshot(snapshotAt(5, 2)))!;
      expect(await contentOf(reader)).toBe(contentLike(content));
      expect(await contentOf(reader)).toBe(contentLike(content));
      await reader.close();
      expect(await store.openSnapshot(snapshotAt(6, 2))).toBeNull();
    });

    test('a snapshot that was not finished never shows', async () => {
      const writer = await store.createSnapshot(snapshotAt(5, 2));
      await writer.write(new Uint8Array(100_000));
      expect(store.newestSnapshot).toBeNull();
      await reopen();
      expect(store.newestSnapshot).toBeNull();
      expect(await store.openSnapshot(snapshotAt(5, 2))).toBeNull();
      const aborted = await store.createSnapshot(snapshotAt(5, 2));
      await aborted.abort();
      expect(store.newestSnapshot).toBeNull();
    });

    test('S07: an older snapshot that is finished last does not become the newest', async () => {
      await writeSnapshot(store, snapshotAt(9, 2), Uint8Array.of(1));
      await writeSnapshot(store, snapshotAt(5, 2), Uint8Array.of(2));
      expect(store.newestSnapshot).toEqual(snapshotAt(9, 2));
      await store.removeSnapshotsExcept({ term: 2, index: 9 });
      expect(await store.openSnapshot(snapshotAt(5, 2))).toBeNull();
      await reopen();
      expect(store.newestSnapshot).toEqual(snapshotAt(9, 2));
      await store.removeSnapshotsExcept(null);
      expect(store.newestSnapshot).toBeNull();
    });

    test('an open snapshot stays readable after its removal', async () => {
      await writeSnapshot(store, snapshotAt(5, 2), Uint8Array.of(1, 2, 3));
      const reader = (await store.openSnapshot(snapshotAt(5, 2)))!;
      await store.removeSnapshotsExcept(null);
      expect(await contentOf(reader)).toBe(contentLike(Uint8Array.of(1, 2, 3)));
      await reader.close();
    });

    describe('receiving a snapshot', () => {
      const meta = snapshotAt(7, 3);
      const content = Uint8Array.from({ length: 150_000 }, (_, i) => (i * 7) & 255);
      let peer: LogStore;
      let reader: SnapshotReader;

      beforeEach(async () => {
        peer = await subject.openOther();
        await writeSnapshot(peer, meta, content);
        reader = (await peer.openSnapshot(meta))!;
      });
      afterEach(async () => {
        await reader.close();
        await peer.close();
      });

      test('gives the same content as at the sender', async () => {
        const writer = await store.receiveSnapshot(1, meta);
        while (writer.offset < reader.size) {
          await writer.write(await reader.read(writer.offset, 9999));
        }
        await writer.finish();
        expect(store.newestSnapshot).toEqual(meta);
        const received = (await store.openSnapshot(meta))!;
        expect(await contentOf(received)).toBe(contentLike(content));
        await received.close();
      });

      test('goes on after a restart where the intact part ends', async () => {
        const first = await store.receiveSnapshot(1, meta);
        await first.write(await reader.read(0, 100_000));
        await reopen();
        const second = await store.receiveSnapshot(1, meta);
        expect(second.offset).toBeGreaterThan(60_000);
        expect(second.offset).toBeLessThanOrEqual(100_000);
        await second.write(await reader.read(second.offset, reader.size));
        await second.finish();
        const received = (await store.openSnapshot(meta))!;
        expect(await contentOf(received)).toBe(contentLike(content));
        await received.close();
      });

      test('begins anew for another sender or another snapshot', async () => {
        const first = await store.receiveSnapshot(1, meta);
        await first.write(await reader.read(0, 100_000));
        expect((await store.receiveSnapshot(3, meta)).offset).toBe(0);
        expect((await store.receiveSnapshot(1, snapshotAt(8, 3))).offset).toBe(0);
        expect((await store.receiveSnapshot(1, meta)).offset).toBe(0);
      });

      test('S09: refuses a changed byte, and can be begun anew', async () => {
        const raw = await reader.read(0, reader.size);
        const damaged = raw.slice();
        damaged[80_000]! ^= 4;
        const writer = await store.receiveSnapshot(1, meta);
        await writer.write(damaged.subarray(0, 1000));
        await expect(writer.write(damaged.subarray(1000))).rejects.toMatchObject({
          code: 'CORRUPT',
        });
        await writer.abort();
        const again = await store.receiveSnapshot(1, meta);
        expect(again.offset).toBe(0);
        await again.write(raw);
        await again.finish();
        expect(store.newestSnapshot).toEqual(meta);
      });

      test('refuses to finish early, and takes no snapshot for another', async () => {
        const writer = await store.receiveSnapshot(1, meta);
        await writer.write(await reader.read(0, 100_000));
        await expect(writer.finish()).rejects.toThrow('not complete');
        expect(store.newestSnapshot).toBeNull();
        const other = await store.receiveSnapshot(1, snapshotAt(8, 3));
        const raw = await reader.read(0, 1000);
        await expect(other.write(raw)).rejects.toThrow('snapshot at 7, not at 8');
      });
    });
  });
}
