// News of links that wait to be told. A drop is noticed inside send(), but the driver must not be
// called back from there; and a thousand drops in a turn are one piece of news.

import type { NodeId } from '../raft/types.ts';
import type { TransportEvents } from './transport.ts';

type News = 'connected' | 'unreachable';

export class Notices {
  readonly #schedule: (run: () => void) => void;
  readonly #events: () => TransportEvents | null;
  /** In the order of happening; two in a row of one peer always differ. */
  #waiting: { readonly peer: NodeId; readonly news: News }[] = [];
  /** The last news of each peer in #waiting. */
  readonly #last = new Map<NodeId, News>();
  readonly #tell = (): void => this.#tellAll();

  constructor(schedule: (run: () => void) => void, events: () => TransportEvents | null) {
    this.#schedule = schedule;
    this.#events = events;
  }

  add(news: News, peer: NodeId): void {
    if (this.#last.get(peer) === news) return;
    this.#last.set(peer, news);
    this.#waiting.push({ peer, news });
    if (this.#waiting.length === 1) this.#schedule(this.#tell);
  }

  #tellAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#last.clear();
    for (const { peer, news } of waiting) {
      const events = this.#events();
      if (news === 'connected') events?.connected?.(peer);
      else events?.unreachable(peer);
    }
  }
}
