// What the store itself tells, afterwards, of writes whose clients learnt nothing: a revision that no
// acknowledged write claims must have been made by one of them, and the store's history still shows
// key and value. With that evidence the checker need not try every possibility.

import type { KeyValue } from '../../src/api/common.ts';
import type { KvOperation, RevisionEvents } from '../../src/check/kv-history.ts';
import type { EtcdClient } from '../../src/client/client.ts';
import { prefixRange } from '../../src/client/operations.ts';

const text = new TextDecoder();
const READS_AT_ONCE = 32;

/** The events of all revisions up to now that no acknowledged write of the history claims. */
export async function unclaimedEvents(
  client: EtcdClient,
  history: readonly KvOperation[],
): Promise<RevisionEvents[]> {
  const claimed = new Set<number>();
  for (const { input, output } of history) {
    if (input.kind === 'put' && output !== undefined) claimed.add(output.revision);
  }
  const { header, kvs } = await client.range(prefixRange(''));
  const byRevision = new Map(kvs.map(kv => [kv.modRevision, kv]));
  const unclaimed: number[] = [];
  for (let revision = 2; revision <= header!.revision; revision++) {
    if (!claimed.has(revision)) unclaimed.push(revision);
  }
  const events: RevisionEvents[] = [];
  for (let i = 0; i < unclaimed.length; i += READS_AT_ONCE) {
    const some = unclaimed.slice(i, i + READS_AT_ONCE);
    const kvsOf = some.map(async revision => {
      const kv = byRevision.get(revision) ?? (await overwritten(client, revision));
      return eventsOf(revision, kv);
    });
    events.push(...(await Promise.all(kvsOf)));
  }
  return events;
}

/** Only shared keys are written more than once; they are few. */
async function overwritten(client: EtcdClient, revision: number): Promise<KeyValue> {
  const { kvs } = await client.range(prefixRange('shared/'), { revision });
  const made = kvs.filter(kv => kv.modRevision === revision);
  if (made.length !== 1) throw new Error(`revision ${revision} changed ${made.length} keys`);
  return made[0]!;
}

function eventsOf(revision: number, kv: KeyValue): RevisionEvents {
  const { createRevision, modRevision, version } = kv;
  const [key, value] = [text.decode(kv.key), text.decode(kv.value)];
  return {
    revision,
    events: [{ kind: 'put', key, value, createRevision, modRevision, version }],
  };
}
