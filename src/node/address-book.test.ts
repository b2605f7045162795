import { expect, test } from 'vitest';
import { FakeTransport } from '../../test/support/fake-transport.ts';
import { JournalMachine } from '../../test/support/journal-machine.ts';
import type { Entry } from '../raft/types.ts';
import { AddressBook } from './address-book.ts';
import { CONFIG_DATA } from './slice.ts';

function setup() {
  const transport = new FakeTransport();
  const peers = [
    { id: 1, address: 'a:1' },
    { id: 2, address: 'b:1' },
  ];
  return { transport, book: new AddressBook(1, transport, peers) };
}

function configEntry(data: Uint8Array): Entry {
  const config = { voters: [1], outgoing: [], learners: [], learnersNext: [] };
  return { term: 1, index: 1, kind: 'config', data, session: 0, sequence: 0, config };
}

function stored(data: Uint8Array): JournalMachine {
  const machine = new JournalMachine();
  const bookkeeping = { puts: new Map([[CONFIG_DATA, data]]), settle() {} };
  machine.apply({ last: { term: 1, index: 1 }, commands: [], bookkeeping });
  return machine;
}

test('the transport gets all peers but the node itself', () => {
  expect(setup().transport.peers).toEqual([{ id: 2, address: 'b:1' }]);
});

test('an entry that enters the log adds and moves nodes at once', () => {
  const { transport, book } = setup();
  const changes = [
    { kind: 'addVoter', node: 3, address: 'c:1' },
    { kind: 'addVoter', node: 2, address: 'b:2' },
  ];
  book.learn(configEntry(book.with(changes)));
  expect(transport.peers).toEqual([
    { id: 2, address: 'b:2' },
    { id: 3, address: 'c:1' },
  ]);
});

test('what was stored adds unknown nodes but yields to the settings', () => {
  const { transport, book } = setup();
  const changes = [
    { kind: 'addVoter', node: 3, address: 'c:1' },
    { kind: 'addVoter', node: 2, address: 'old:1' },
  ];
  book.recall(stored(book.with(changes)), []);
  expect(transport.peers).toEqual([
    { id: 2, address: 'b:1' },
    { id: 3, address: 'c:1' },
  ]);
});

test('data that is no address book is passed over', () => {
  const { transport, book } = setup();
  for (const text of ['{', '7', '{"x":"y"}', '{"4":5}', '{"-1":"z"}', 'null']) {
    book.learn(configEntry(new TextEncoder().encode(text)));
  }
  expect(transport.peers).toEqual([{ id: 2, address: 'b:1' }]);
});
