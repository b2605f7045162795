import { describe, expect, test } from 'vitest';
import { portsFrom, usualPorts } from './demo-ports.ts';
import { type BannerFacts, banner, eventLine } from './demo-text.ts';
import { NO_STYLE } from './style.ts';

function facts(overrides: Partial<BannerFacts> = {}): BannerFacts {
  const nodes = usualPorts(3).map(({ client, peer }, i) => ({
    name: 'abc'[i]!,
    role: i === 0 ? 'leader' : 'follower',
    clientUrl: `http://127.0.0.1:${client}`,
    peerAddress: `127.0.0.1:${peer}`,
  }));
  return {
    version: '0.4.1',
    dir: '/tmp/kontiki-demo-x',
    nodes,
    electedMs: 214,
    term: 1,
    canLose: 1,
    takenPort: null,
    hasKeys: true,
    ...overrides,
  };
}

describe('the banner', () => {
  test('tells where everything is and what to do next', () => {
    expect(
      banner(facts(), NO_STYLE),
    ).toBe(`kontiki 0.4.1 demo · 3 nodes in this process · data on disk in /tmp/kontiki-demo-x, removed at exit · loopback only

  NODE  ROLE      CLIENT (etcd API)       PEER
  a     leader    http://127.0.0.1:2379   127.0.0.1:2380
  b     follower  http://127.0.0.1:22379  127.0.0.1:22380
  c     follower  http://127.0.0.1:32379  127.0.0.1:32380

  Leader elected in 214 ms (term 1). Can lose 1 of 3.
  Try    export KONTIKI_ENDPOINTS=127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
         kontiki put greeting hello      kontiki status      etcdctl get greeting
  Keys   k kill leader · r restart · h help · q quit
`);
  });

  test('says why the ports are others, and how to stop without a terminal', () => {
    const text = banner(facts({ takenPort: 2379, hasKeys: false }), NO_STYLE);
    expect(text).toContain(
      '  Port 2379 is in use, so these are free ports (--base-port N chooses).',
    );
    expect(text).toContain('  Stop   with SIGTERM or SIGINT (Ctrl-C)');
    expect(text).not.toContain('Keys');
  });

  test('commands name the endpoint where it is not the default', () => {
    const [node] = facts().nodes;
    const nodes = [{ ...node!, clientUrl: 'http://127.0.0.1:7000' }];
    const text = banner(facts({ nodes }), NO_STYLE);
    expect(text).toContain('export KONTIKI_ENDPOINTS=127.0.0.1:7000');
    expect(text).toContain('etcdctl --endpoints=127.0.0.1:7000 get greeting');
  });
});

test('a base port gives each node two ports side by side', () => {
  expect(portsFrom(7000, 2)).toEqual([
    { client: 7000, peer: 7001 },
    { client: 7002, peer: 7003 },
  ]);
});

test('events carry the time and the key that caused them', () => {
  const time = new Date(2026, 0, 2, 14, 2, 7);
  expect(eventLine(time, 'k', 'killed a')).toBe('[14:02:07] k  killed a');
  expect(eventLine(time, '', 'b is leader')).toBe('[14:02:07]    b is leader');
});
