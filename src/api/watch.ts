// The messages of etcdserverpb.Watch. One bidirectional stream carries many watchers, told apart by
// watchId.

import type { Event, ResponseHeader } from './common.ts';

export const WatchFilter = { NOPUT: 0, NODELETE: 1 } as const;
export type WatchFilter = (typeof WatchFilter)[keyof typeof WatchFilter];

export interface WatchCreateRequest {
  key: Uint8Array;
  rangeEnd: Uint8Array;
  /** First revision to report; 0: from now on. */
  startRevision: number;
  progressNotify: boolean;
  /** WatchFilters. */
  filters: number[];
  prevKv: boolean;
  /** 0: the server chooses. */
  watchId: number;
  /** The client can put a response together that was cut into fragments. */
  fragment: boolean;
}

/** null: a request of no known kind. */
export type WatchRequest =
  | { kind: 'create'; create: WatchCreateRequest }
  | { kind: 'cancel'; cancel: WatchCancelRequest }
  | { kind: 'progress' }
  | null;

export interface WatchCancelRequest {
  watchId: number;
}

export interface WatchResponse {
  header: ResponseHeader | null;
  watchId: number;
  created: boolean;
  canceled: boolean;
  /** Set when the watcher was cancelled because history before it was compacted. */
  compactRevision: number;
  cancelReason: string;
  /** More of the same revision follows. */
  fragment: boolean;
  events: Event[];
}
