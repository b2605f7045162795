// The header blocks of responses. Nearly every response says the same two things, `:status 200` with
// the content type, and `grpc-status 0`; after the first response of a connection they are three bytes
// of table indices. Only these two fields ever enter the peer's table, so the indices never move. Pure.
import { HeaderBlock } from './hpack-encoder.ts';
import { encodeStatusMessage, type StatusCode } from './status.ts';

const CONTENT_TYPE = 'application/grpc';
/** A longer text is cut: it must leave room in any client's header list. */
const MESSAGE_CHARS_MAX = 4096;

/** `:status 200`, and the two indices once content type and then status were inserted. */
const STATUS_200 = 0x88;
const INDEX_CONTENT_TYPE = 0x80 | 63;
const INDEX_STATUS_OK = 0x80 | 62;

export const WARM_HEADERS = Uint8Array.of(STATUS_200, INDEX_CONTENT_TYPE);
export const WARM_TRAILERS = Uint8Array.of(INDEX_STATUS_OK);

/** The first response of a connection: the same two blocks, but inserting the fields. */
export const INSERTING_HEADERS: Uint8Array = block(out => {
  out.push(STATUS_200);
  out.integer(6, 0x40, 31);
  out.string(CONTENT_TYPE);
});
export const INSERTING_TRAILERS: Uint8Array = block(out => {
  out.integer(6, 0x40, 0);
  out.string('grpc-status');
  out.string('0');
});

/** Blocks that leave the table alone, and so may wait in a queue while others overtake them. */
export const PLAIN_HEADERS: Uint8Array = block(out => {
  out.push(STATUS_200);
  out.literal('content-type', CONTENT_TYPE);
});

export function plainTrailers(code: StatusCode, message: string): Uint8Array {
  return block(out => writeStatus(out, code, message));
}

/** Headers and trailers in one block: a call refused or failed before its first message. */
export function trailersOnly(httpStatus: number, code: StatusCode, message: string): Uint8Array {
  return block(out => {
    if (httpStatus === 200) out.push(STATUS_200);
    else out.literal(':status', String(httpStatus));
    out.literal('content-type', CONTENT_TYPE);
    writeStatus(out, code, message);
  });
}

function writeStatus(out: HeaderBlock, code: StatusCode, message: string): void {
  out.literal('grpc-status', String(code));
  if (message === '') return;
  out.literal('grpc-message', encodeStatusMessage(message.slice(0, MESSAGE_CHARS_MAX)));
}

function block(write: (out: HeaderBlock) => void): Uint8Array {
  const out = new HeaderBlock();
  write(out);
  return out.finish();
}
