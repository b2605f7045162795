// How large a message will be on the wire, without encoding it: for bounding queues. Exact enough
// that a queue of so many bytes is one; a little too much rather than too little.

import type { Message } from '../raft/messages.ts';
import { ENTRY_OVERHEAD_BYTES } from '../wire/entry.ts';

const MESSAGE_OVERHEAD_BYTES = 96;

export function messageBytes(message: Message): number {
  let bytes = MESSAGE_OVERHEAD_BYTES;
  switch (message.kind) {
    case 'append': {
      const { entries } = message;
      for (let i = 0; i < entries.length; i++) {
        bytes += entries[i]!.data.length + ENTRY_OVERHEAD_BYTES;
      }
      return bytes;
    }
    case 'forward': {
      const { proposals } = message;
      for (let i = 0; i < proposals.length; i++) {
        bytes += proposals[i]!.data.length + ENTRY_OVERHEAD_BYTES;
      }
      return bytes;
    }
    case 'snapshot':
    case 'forwardChange':
      return bytes + message.data.length;
    default:
      return bytes;
  }
}
