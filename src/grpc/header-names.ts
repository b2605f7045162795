// Which header fields HTTP/2 allows (RFC 9113 §8.2): shared by both readers of header blocks. Pure.
import type { HeaderField } from './hpack-table.ts';
import { CONNECTION_HEADERS } from './metadata.ts';

/** Lower-case token names and values without line ends; anything else makes the message malformed. */
export function isLegalField(field: HeaderField): boolean {
  if (/[\0\r\n]/.test(field.value)) return false;
  return /^:?[0-9a-z!#$%&'*+.^_`|~-]+$/.test(field.name) && !CONNECTION_HEADERS.has(field.name);
}

/**
 * Pseudo headers by name, or null when the list is malformed: an unknown or repeated pseudo header,
 * or one after a regular field. Values are not judged: old etcd clients send an `:authority` of
 * `#initially=[host:port]`, which is no legal authority and does no harm.
 */
export function readPseudoHeaders(
  fields: readonly HeaderField[],
  known: readonly string[],
): Map<string, string> | null {
  const pseudo = new Map<string, string>();
  let regular = false;
  for (const field of fields) {
    if (!isLegalField(field)) return null;
    if (!field.name.startsWith(':')) {
      regular = true;
      continue;
    }
    if (regular || pseudo.has(field.name) || !known.includes(field.name)) return null;
    pseudo.set(field.name, field.value);
  }
  return pseudo;
}
