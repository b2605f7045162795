// The hand-written codecs against the proto files: protobufjs, which reads the proto files, is the
// second opinion on every message. Then the same messages, damaged, against every decoder.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { PermissionType } from './auth.ts';
import * as auth from './auth-codec.ts';
import * as authRole from './auth-role-codec.ts';
import * as cluster from './cluster-codec.ts';
import { EventType } from './common.ts';
import * as common from './common-codec.ts';
import * as concurrency from './concurrency-codec.ts';
import { ServingStatus } from './health.ts';
import * as health from './health-codec.ts';
import { CompareResult, CompareTarget, SortOrder, SortTarget } from './kv.ts';
import * as kv from './kv-codec.ts';
import * as lease from './lease-codec.ts';
import { AlarmAction, AlarmType, DowngradeAction } from './maintenance.ts';
import * as maintenance from './maintenance-codec.ts';
import { methods } from './methods.ts';
import { ProtoError } from './proto-error.ts';
import { type Encode, toBytes } from './proto-writer.ts';
import * as txn from './txn-codec.ts';
import { WatchFilter } from './watch.ts';
import * as watch from './watch-codec.ts';

type AnyEncode = Encode<unknown>;
type AnyDecode = (bytes: Uint8Array) => unknown;
type Fields = Record<string, unknown>;
/** One random message twice: as our codecs have it and as protobufjs has it. */
interface Twin {
  ours: unknown;
  theirs: Fields;
}

const functions: Fields = {
  ...common,
  ...kv,
  ...txn,
  ...watch,
  ...lease,
  ...cluster,
  ...maintenance,
  ...auth,
  ...authRole,
  ...concurrency,
  ...health,
};

const protoDirectory = fileURLToPath(new URL('../../proto/', import.meta.url));
const protoFiles = ['rpc', 'kv', 'auth', 'v3election', 'v3lock', 'health'];
const root = protobuf.loadSync(protoFiles.map(name => `${protoDirectory}${name}.proto`));
root.resolveAll();
const types = allTypes(root);

/** Messages of one shape share a codec; several names in the API stand for one in the code. */
function codecName(type: protobuf.Type): string {
  const shape = type.fieldsArray.map(field => field.name).join();
  if (shape === '') return 'EmptyRequest';
  if (shape === 'header') return 'HeaderOnlyResponse';
  if (shape === 'header,members') return 'MembersResponse';
  return type.name;
}

function codecOf(type: protobuf.Type): { encode: AnyEncode; decode: AnyDecode } {
  const name = codecName(type);
  return {
    encode: functions[`encode${name}`] as AnyEncode,
    decode: functions[`decode${name}`] as AnyDecode,
  };
}

function allTypes(namespace: protobuf.NamespaceBase): protobuf.Type[] {
  return namespace.nestedArray.flatMap(nested => {
    if (nested instanceof protobuf.Type) return [nested];
    return nested instanceof protobuf.Namespace ? allTypes(nested) : [];
  });
}

/** peerURLs to peerUrls, targetID to targetId, create_revision to createRevision. */
function ourName(name: string): string {
  const words = name
    .replaceAll('URLs', 'Urls')
    .replace('TTL', 'Ttl')
    .replace('ID', 'Id')
    .replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return words[0]!.toLowerCase() + words.slice(1);
}

/** 32-bit chance from a seed (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
type Chance = ReturnType<typeof chance>;

const numbers = [0, 1, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35];
const bigNumbers = [...numbers, 2 ** 42, 2 ** 49, Number.MAX_SAFE_INTEGER];
const bigIds = [0n, 1n, 127n, 128n, 2n ** 32n, 2n ** 56n, 2n ** 63n - 1n];
const texts = [
  '',
  'a',
  'name',
  'Grüße, 世界 🛶',
  'long '.repeat(40),
  '\u{feff}mark',
  'é'.repeat(80),
];
const idFields = new Set([
  'ID',
  'lease',
  'memberID',
  'targetID',
  'clusterId',
  'memberId',
  'leader',
]);

function randomBytes(random: Chance): Uint8Array {
  const length = [0, 1, 8, 24, 25, 127, 128, 300][random(8)]!;
  return Uint8Array.from({ length }, () => random(256));
}

function scalar(field: protobuf.Field, random: Chance): { ours: unknown; theirs: unknown } {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const same = (value: unknown) => ({ ours: value, theirs: value });
  const signed = field.type === 'int64';
  switch (field.type) {
    case 'bytes':
      return same(randomBytes(random));
    case 'string':
      return same(pick(texts));
    case 'bool':
      return same(random(2) === 1);
    case 'uint32':
      return same(pick(numbers.filter(n => n < 2 ** 32)));
    case 'int64':
    case 'uint64': {
      if (idFields.has(field.name)) {
        const id = pick(signed ? [...bigIds, -1n, -(2n ** 63n)] : [...bigIds, 2n ** 64n - 1n]);
        return { ours: id, theirs: String(id) };
      }
      const value = pick(bigNumbers) * (signed && random(3) === 0 ? -1 : 1) + 0;
      return { ours: value, theirs: String(value) };
    }
    default:
      // An enum: known values and two from the future.
      return same(pick([...Object.values((field.resolvedType as protobuf.Enum).values), 77, -5]));
  }
}

function isDefault(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === '0' || !value;
}

function randomValue(
  field: protobuf.Field,
  random: Chance,
  depth: number,
): { ours: unknown; theirs: unknown } {
  const inner = field.resolvedType;
  return inner instanceof protobuf.Type ? twin(inner, random, depth + 1) : scalar(field, random);
}

/** Random content for a message; what equals the default is left out of `theirs`. */
function twin(type: protobuf.Type, random: Chance, depth = 0): Twin {
  if (type.name === 'RequestOp' || type.name === 'ResponseOp' || type.name === 'WatchRequest') {
    return unionTwin(type, random, depth);
  }
  const ours: Fields = {};
  const theirs: Fields = {};
  for (const field of type.fieldsArray) {
    if (field.partOf === null) fillField(field, { ours, theirs }, random, depth);
  }
  for (const oneof of type.oneofsArray) fillOneof(oneof, { ours, theirs }, random);
  return { ours, theirs };
}

function fillField(
  field: protobuf.Field,
  into: { ours: Fields; theirs: Fields },
  random: Chance,
  depth: number,
): void {
  const isMessage = field.resolvedType instanceof protobuf.Type;
  const name = ourName(field.name);
  if (field.repeated) {
    const count = isMessage && depth > 3 ? 0 : random(4);
    const list = Array.from({ length: count }, () => randomValue(field, random, depth));
    into.ours[name] = list.map(element => element.ours);
    if (count > 0) into.theirs[field.name] = list.map(element => element.theirs);
  } else if (isMessage && (depth > 3 || random(4) === 0)) {
    into.ours[name] = null;
  } else {
    const value = randomValue(field, random, depth);
    into.ours[name] = value.ours;
    if (isMessage || !isDefault(value.theirs)) into.theirs[field.name] = value.theirs;
  }
}

function fillOneof(oneof: protobuf.OneOf, into: { ours: Fields; theirs: Fields }, random: Chance) {
  const chosen = oneof.fieldsArray[random(oneof.fieldsArray.length + 1)];
  const name = ourName(oneof.name);
  if (chosen === undefined) {
    into.ours[name] = null;
    return;
  }
  const value = scalar(chosen, random);
  const kind = ourName(chosen.name);
  into.ours[name] = { kind, [kind]: value.ours };
  into.theirs[chosen.name] = value.theirs;
}

/** A message that is nothing but a oneof is the union itself in our types. */
function unionTwin(type: protobuf.Type, random: Chance, depth: number): Twin {
  const chosen = type.fieldsArray[random(depth > 3 ? 3 : type.fieldsArray.length + 1)];
  if (chosen === undefined) return { ours: null, theirs: {} };
  const value = randomValue(chosen, random, depth);
  const kind = ourName(chosen.name.replace(/^re(quest|sponse)|Request$/g, ''));
  const ours = kind === 'progress' ? { kind } : { kind, [kind]: value.ours };
  return { ours, theirs: { [chosen.name]: value.theirs } };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function theirBytes(type: protobuf.Type, theirs: Fields): Uint8Array {
  return new Uint8Array(type.encode(type.fromObject(theirs)).finish());
}

describe('codecs and proto files agree', () => {
  test('every message of the proto files has a codec, and every codec a message', () => {
    const wanted = new Set(types.map(codecName));
    const have = Object.keys(functions).filter(name => /^(en|de)code/.test(name));
    const expected = [...wanted].flatMap(name => [`encode${name}`, `decode${name}`]);
    expect(have.sort()).toEqual(expected.sort());
    expect(types.length).toBeGreaterThan(100);
  });

  test.each(types.map(type => [type.fullName.slice(1), type] as const))(
    '%s is written and read as the proto file says',
    (_, type) => {
      const { encode, decode } = codecOf(type);
      const random = chance(type.fullName.length * 7919);
      for (let round = 0; round < 60; round++) {
        const { ours, theirs } = twin(type, random);
        const bytes = theirBytes(type, theirs);
        assert.equal(hex(toBytes(encode, ours)), hex(bytes));
        assert.deepStrictEqual(decode(bytes), ours);
      }
    },
  );

  test('every enum has the names and numbers of its proto file', () => {
    const ours = {
      'mvccpb.Event.EventType': EventType,
      'authpb.Permission.Type': PermissionType,
      'etcdserverpb.RangeRequest.SortOrder': SortOrder,
      'etcdserverpb.RangeRequest.SortTarget': SortTarget,
      'etcdserverpb.Compare.CompareResult': CompareResult,
      'etcdserverpb.Compare.CompareTarget': CompareTarget,
      'etcdserverpb.WatchCreateRequest.FilterType': WatchFilter,
      'etcdserverpb.AlarmRequest.AlarmAction': AlarmAction,
      'etcdserverpb.AlarmType': AlarmType,
      'etcdserverpb.DowngradeRequest.DowngradeAction': DowngradeAction,
      'grpc.health.v1.HealthCheckResponse.ServingStatus': ServingStatus,
    };
    expect(Object.fromEntries(allEnums(root))).toEqual(ours);
  });

  test('every RPC of the proto files is in the method table, with its kind', () => {
    const listed = Object.values(methods).flatMap(service =>
      Object.values(service).map(method => `${method.kind} ${method.path}`),
    );
    expect(listed.sort()).toEqual(allServices(root).flatMap(serviceCalls).sort());
    expect(listed.length).toBe(51);
  });

  test('the proto files agree with those of a stock client, wherever both know a field', () => {
    const stock = protobuf.loadSync(
      ['rpc', 'kv', 'auth'].map(name =>
        fileURLToPath(new URL(`../../node_modules/etcd3/proto/${name}.proto`, import.meta.url)),
      ),
    );
    stock.resolveAll();
    const stockFields = new Map(allTypes(stock).flatMap(fieldFacts));
    const shared = types.flatMap(fieldFacts).filter(([name]) => stockFields.has(name));
    for (const [name, fact] of shared)
      expect(`${name} ${fact}`).toBe(`${name} ${stockFields.get(name)}`);
    expect(shared.length).toBeGreaterThan(150);
  });
});

function allEnums(namespace: protobuf.NamespaceBase): [string, Record<string, number>][] {
  return namespace.nestedArray.flatMap(nested => {
    if (nested instanceof protobuf.Enum)
      return [[nested.fullName.slice(1), nested.values] as const];
    return nested instanceof protobuf.Namespace ? allEnums(nested) : [];
  }) as [string, Record<string, number>][];
}

function allServices(namespace: protobuf.NamespaceBase): protobuf.Service[] {
  return namespace.nestedArray.flatMap(nested => {
    if (nested instanceof protobuf.Service) return [nested];
    return nested instanceof protobuf.Namespace ? allServices(nested) : [];
  });
}

function serviceCalls(service: protobuf.Service): string[] {
  return service.methodsArray.map(({ name, requestStream, responseStream }) => {
    const kind = requestStream ? 'bidi' : responseStream ? 'serverStream' : 'unary';
    return `${kind} /${service.fullName.slice(1)}/${name}`;
  });
}

function fieldFacts(type: protobuf.Type): [string, string][] {
  return type.fieldsArray.map(({ name, id, type: kind, repeated }) => [
    `${type.name}.${name}`,
    `= ${id} ${repeated ? 'repeated ' : ''}${kind.split('.').at(-1)}`,
  ]);
}

describe('damaged input', () => {
  /** A value or a ProtoError; anything else fails the test. */
  function survive(decode: AnyDecode, bytes: Uint8Array): boolean {
    try {
      decode(bytes);
      return true;
    } catch (error) {
      if (!(error instanceof ProtoError)) throw error;
      return false;
    }
  }

  const decoders = Object.keys(functions).filter(name => name.startsWith('decode'));

  test('random bytes give a value or a ProtoError in every decoder', () => {
    const random = chance(20_260);
    let values = 0;
    for (const name of decoders) {
      for (let round = 0; round < 300; round++) {
        const bytes = Uint8Array.from({ length: random(40) }, () => random(random(2) ? 256 : 24));
        if (survive(functions[name] as AnyDecode, bytes)) values++;
      }
    }
    expect(values).toBeGreaterThan(0);
    expect(values).toBeLessThan(decoders.length * 300);
  });

  test('a valid message with flipped, cut, doubled or inserted bytes gives a value or a ProtoError', () => {
    const random = chance(4711);
    let errors = 0;
    for (const type of types) {
      const { encode, decode } = codecOf(type);
      for (let round = 0; round < 40; round++) {
        const bytes = toBytes(encode, twin(type, random).ours);
        for (let i = 0; i < 5; i++) if (!survive(decode, damage(bytes, random))) errors++;
      }
    }
    expect(errors).toBeGreaterThan(1000);
  });

  function damage(bytes: Uint8Array, random: Chance): Uint8Array {
    const at = random(bytes.length + 1);
    switch (random(4)) {
      case 0: {
        const flipped = Uint8Array.from(bytes);
        if (at < flipped.length) flipped[at] = flipped[at]! ^ (1 << random(8));
        return flipped;
      }
      case 1:
        return bytes.slice(0, at);
      case 2:
        return Uint8Array.from([...bytes, ...bytes.slice(at)]);
      default:
        return Uint8Array.from([...bytes.slice(0, at), random(256), ...bytes.slice(at)]);
    }
  }

  test('every prefix of a message decodes or fails, and the whole message decodes', () => {
    const random = chance(99);
    for (const type of types) {
      const { encode, decode } = codecOf(type);
      const bytes = toBytes(encode, twin(type, random).ours);
      for (let end = 0; end < bytes.length; end += 1 + (bytes.length >> 7)) {
        survive(decode, bytes.subarray(0, end));
      }
      expect(survive(decode, bytes)).toBe(true);
    }
  });

  test('unknown fields of every wire type are skipped by every decoder', () => {
    const unknown = [
      ...[0xa0, 0x1f, 0x96, 0x01], // field 500: varint
      ...[0xa1, 0x1f, 1, 2, 3, 4, 5, 6, 7, 8], // fixed64
      ...[0xa2, 0x1f, 3, 0xff, 0xff, 0xff], // bytes
      ...[0xa3, 0x1f, 0x08, 0x01, 0x0b, 0x0c, 0xa4, 0x1f], // group with a group inside
      ...[0xa5, 0x1f, 1, 2, 3, 4], // fixed32
    ];
    const random = chance(5);
    for (const type of types) {
      const { encode, decode } = codecOf(type);
      const { ours } = twin(type, random);
      const bytes = toBytes(encode, ours);
      expect(decode(Uint8Array.from([...unknown, ...bytes, ...unknown]))).toEqual(ours);
    }
  });
});

describe('oversized requests', () => {
  test('a txn of a million empty operations is refused before it fills the heap', () => {
    const bytes = new Uint8Array(2 << 20);
    for (let i = 0; i < bytes.length; i += 2) bytes[i] = 0x12;
    expect(() => txn.decodeTxnRequest(bytes)).toThrow('too many nested messages');
  });

  test('a txn nested too deep is refused', () => {
    let request = txn.emptyTxnRequest();
    for (let i = 0; i < 60; i++) {
      request = { compare: [], success: [{ kind: 'txn', txn: request }], failure: [] };
    }
    const bytes = toBytes(txn.encodeTxnRequest, request);
    expect(() => txn.decodeTxnRequest(bytes)).toThrow('nested too deep');
  });
});
