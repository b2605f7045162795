// What a watcher asked for and was told, as recorded by its client.

import type { KvEvent } from './kv-history.ts';

export interface WatchRequest {
  readonly key: string;
  readonly rangeEnd?: string | undefined;
  /** 0 or absent: from the next revision after the watch was created. May lie in the future. */
  readonly startRevision?: number | undefined;
  readonly prevKv?: boolean | undefined;
  readonly noPut?: boolean | undefined;
  readonly noDelete?: boolean | undefined;
}

/** An event as told: `isCreate` is what the client derived, if it did. */
export interface WatchEvent extends KvEvent {
  readonly isCreate?: boolean | undefined;
}

export type WatchResponse =
  | { readonly kind: 'created'; readonly revision: number }
  | {
      readonly kind: 'events';
      /** The header's revision. */
      readonly revision: number;
      readonly events: readonly WatchEvent[];
      /** More of the same revision follows in the next response, as the client had asked. */
      readonly fragment?: boolean | undefined;
    }
  | { readonly kind: 'progress'; readonly revision: number }
  | { readonly kind: 'canceled'; readonly revision: number; readonly compactRevision: number };

export interface WatchStream {
  readonly request: WatchRequest;
  readonly responses: readonly WatchResponse[];
  /**
   * If given, every event up to here must have arrived: set it once the system was healthy again
   * and the stream had time to catch up.
   */
  readonly mustReach?: number | undefined;
  /** If this stream continues another: the last revision the client had seen all events of. */
  readonly resumedAfter?: number | undefined;
}

export interface WatchHistory {
  /** Every revision that changed something, ascending, without gaps; see `checkRevisions`. */
  readonly revisions: readonly { readonly revision: number; readonly events: readonly KvEvent[] }[];
  /** The highest revision ever compacted; 0 if none was. */
  readonly compactRevision?: number | undefined;
}

/** The properties of the etcd robustness suite, and two on how streams begin and end. */
export type WatchProperty =
  | 'ordered'
  | 'unique'
  | 'atomic'
  | 'complete'
  | 'resumable'
  | 'notEarly'
  | 'filter'
  | 'content'
  | 'prevKv'
  | 'isCreate'
  | 'progress'
  | 'compacted'
  | 'protocol';

export interface WatchViolation {
  readonly property: WatchProperty;
  readonly message: string;
  /** Index of the response, or their number if what is missing should have come after them. */
  readonly response: number;
  readonly revision: number;
}
