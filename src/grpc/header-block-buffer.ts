// Joins a header block that comes as HEADERS and CONTINUATION frames (RFC 9113 §4.3). A block that
// grows out of proportion ends the connection: unread, it would leave the HPACK tables apart. Pure.
import { ConnectionError, ErrorCode, FRAME_PAYLOAD_MAX } from './frames.ts';

export class HeaderBlockBuffer {
  readonly id: number;
  readonly endStream: boolean;
  bytes: Uint8Array = new Uint8Array(FRAME_PAYLOAD_MAX);
  length = 0;
  readonly #bytesMax: number;

  constructor(id: number, endStream: boolean, listBytesMax: number) {
    this.id = id;
    this.endStream = endStream;
    // An encoded block is rarely longer than its list; one frame more leaves room for a clear answer.
    this.#bytesMax = listBytesMax + FRAME_PAYLOAD_MAX;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.#bytesMax) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'header block too long');
    }
    if (length > this.bytes.length) {
      const larger = new Uint8Array(Math.min(2 * length, this.#bytesMax));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    this.bytes.set(bytes.subarray(start, end), this.length);
    this.length = length;
  }
}
