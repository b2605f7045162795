// The package's `kontiki/client`: what a program needs to talk to an etcd-compatible server.

export type { KeyValue, ResponseHeader } from '../api/common.ts';
export type { CallSettings } from './caller.ts';
export { type ClientOptions, EtcdClient, type ServerSettings } from './client.ts';
export { ClientError, type Outcome } from './client-error.ts';
export {
  type Bytes,
  type KeyRange,
  type Keys,
  keyRange,
  op,
  prefixRange,
  when,
} from './operations.ts';
