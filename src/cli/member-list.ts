// `kontiki member list`: who the members are and where they serve.

import { buildCommand, buildRouteMap } from '@stricli/core';
import type { Member } from '../api/cluster.ts';
import type { CliContext } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import {
  type ClientFlags,
  clientAliases,
  clientFlags,
  request,
  runClientCommand,
} from './session.ts';
import { formatTable, printable } from './table.ts';

async function memberList(this: CliContext, flags: ClientFlags): Promise<void> {
  await runClientCommand(this, flags, async session => {
    const { header, members } = await request(session, { kind: 'read' }, settings =>
      session.client.memberList(settings),
    );
    switch (session.format) {
      case 'json':
        session.printJson({
          schema: 'kontiki.members/1',
          clusterId: (header?.clusterId ?? 0n).toString(16),
          members: members.map(member => ({ ...member, id: member.id.toString(16) })),
        });
        break;
      case 'plain':
        session.print(plainMembers(members));
        break;
      case 'table':
        session.print(membersTable(members));
    }
    return ExitCode.OK;
  });
}

function cells({ id, name, peerUrls, clientUrls, isLearner }: Member): string[] {
  return [
    id.toString(16),
    name === '' ? 'unstarted' : 'started',
    name,
    peerUrls.join(','),
    clientUrls.join(','),
    String(isLearner),
  ].map(printable);
}

/** The fields of etcdctl's member list, which scripts cut up. */
export function plainMembers(members: readonly Member[]): string {
  return members.map(member => `${cells(member).join(', ')}\n`).join('');
}

export function membersTable(members: readonly Member[]): string {
  const titles = ['ID', 'STATUS', 'NAME', 'PEER URLS', 'CLIENT URLS', 'LEARNER'];
  return formatTable(titles, members.map(cells));
}

const listCommand = buildCommand<ClientFlags, [], CliContext>({
  func: memberList,
  parameters: { flags: clientFlags, aliases: clientAliases },
  docs: { brief: 'List the members of the cluster' },
});

export const memberRoutes = buildRouteMap({
  routes: { list: listCommand },
  aliases: { ls: 'list' },
  docs: { brief: 'The members of the cluster' },
});
