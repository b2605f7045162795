// The one error of the protobuf reader: whatever bytes a peer sends, decoding gives a message or this.

export class ProtoError extends Error {
  override readonly name = 'ProtoError';
}
