// Just enough of etcd's message encoding for the simulator's clients. Written a second time on
// purpose: a mistake of the product's codecs can't hide itself behind the same mistake here.

import type { Compare, KeyValue, KvRequest } from '../check/kv-history.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const TARGETS = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const;
const RELATIONS = { '=': 0, '>': 1, '<': 2, '!=': 3 } as const;
/** The fields of Compare that hold the operand of each target. */
const OPERANDS = { version: 4, create: 5, mod: 6, value: 7, lease: 8 } as const;

/** A message under construction: fields in order, as plain bytes. */
class Fields {
  readonly #bytes: number[] = [];

  number(field: number, value: number): this {
    if (value === 0) return this;
    this.#varint(field * 8);
    this.#varint(value);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    if (value.length === 0) return this;
    return this.message(field, value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, toBytes(value));
  }

  /** Also when it is empty. */
  message(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + 2);
    this.#varint(value.length);
    for (let i = 0; i < value.length; i++) this.#bytes.push(value[i]!);
    return this;
  }

  done(): Uint8Array {
    return new Uint8Array(this.#bytes);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.#bytes.push(rest);
  }
}

/** Most texts here are short and plain: an encoder would cost more than the rest of the message. */
export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

export function encodeRequest(request: KvRequest): Uint8Array {
  switch (request.kind) {
    case 'range':
      return new Fields()
        .text(1, request.key)
        .text(2, request.rangeEnd ?? '')
        .number(4, request.revision ?? 0)
        .done();
    case 'put':
      return new Fields().text(1, request.key).text(2, request.value).number(4, 1).done();
    case 'delete':
      return new Fields()
        .text(1, request.key)
        .text(2, request.rangeEnd ?? '')
        .number(3, 1)
        .done();
    case 'txn':
      return encodeTxn(request);
    case 'revoke':
      return new Fields().number(1, request.lease).done();
  }
}

export function encodeCompaction(revision: number): Uint8Array {
  return new Fields().number(1, revision).done();
}

function encodeTxn(request: Extract<KvRequest, { kind: 'txn' }>): Uint8Array {
  const fields = new Fields();
  for (const compare of request.compare) fields.message(1, encodeCompare(compare));
  for (const op of request.success) fields.message(2, encodeOp(op));
  for (const op of request.failure) fields.message(3, encodeOp(op));
  return fields.done();
}

function encodeOp(request: KvRequest): Uint8Array {
  const field = { range: 1, put: 2, delete: 3, txn: 4, revoke: 0 }[request.kind];
  return new Fields().message(field, encodeRequest(request)).done();
}

function encodeCompare({ key, target, relation, operand }: Compare): Uint8Array {
  const fields = new Fields();
  fields.number(1, RELATIONS[relation]).number(2, TARGETS[target]).text(3, key);
  const field = OPERANDS[target];
  // A union's member counts although it is zero; the default of an absent one is zero as well.
  if (typeof operand === 'string') fields.text(field, operand);
  else fields.number(field, operand);
  return fields.done();
}

/** A KeyValue message; bytes that are none give a RangeError. */
export function decodeKeyValue(bytes: Uint8Array): KeyValue {
  const texts = ['', ''];
  const numbers = [0, 0, 0, 0, 0, 0, 0];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++]!;
    const [value, next] = readVarint(bytes, at);
    at = next;
    const field = tag >> 3;
    if ((tag & 7) === 0) numbers[field] = value;
    else if ((tag & 7) === 2) {
      if (at + value > bytes.length) throw new RangeError('a KeyValue is cut short');
      texts[field === 1 ? 0 : 1] = decoder.decode(bytes.subarray(at, at + value));
      at += value;
    } else throw new RangeError('not a KeyValue');
  }
  return {
    key: texts[0]!,
    value: texts[1]!,
    createRevision: numbers[2]!,
    modRevision: numbers[3]!,
    version: numbers[4]!,
  };
}

function readVarint(bytes: Uint8Array, from: number): [value: number, next: number] {
  let value = 0;
  let scale = 1;
  for (let at = from; at < bytes.length && at < from + 8; at++) {
    const byte = bytes[at]!;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) return [value, at + 1];
  }
  throw new RangeError('a number has no end');
}
