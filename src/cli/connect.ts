// A client as all commands make it.

import { EtcdClient } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { usageError } from './report.ts';

/** Opens no connection yet. Throws a CliError if an endpoint is malformed. */
export function connect(endpoints: readonly string[], deadlineMs: number): EtcdClient {
  try {
    // The servers then say at once that there is no leader, and that nothing was applied.
    return new EtcdClient({ endpoints, deadlineMs, metadata: { hasleader: 'true' } });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw usageError(`${error.text}.`, ['an endpoint is host:port or http://host:port']);
  }
}
