// Every RPC of the API: its path and the shape of the call. Codecs are not named here, so that a
// client which calls three methods carries the codecs of three.

export type MethodKind = 'unary' | 'serverStream' | 'bidi';

export interface Method {
  /** The `:path` of the call: '/package.Service/Method'. */
  readonly path: string;
  readonly kind: MethodKind;
}

const unary = (path: string): Method => ({ path, kind: 'unary' });
const serverStream = (path: string): Method => ({ path, kind: 'serverStream' });
const bidi = (path: string): Method => ({ path, kind: 'bidi' });

export const methods = {
  kv: {
    range: unary('/etcdserverpb.KV/Range'),
    rangeStream: serverStream('/etcdserverpb.KV/RangeStream'),
    put: unary('/etcdserverpb.KV/Put'),
    deleteRange: unary('/etcdserverpb.KV/DeleteRange'),
    txn: unary('/etcdserverpb.KV/Txn'),
    compact: unary('/etcdserverpb.KV/Compact'),
  },
  watch: {
    watch: bidi('/etcdserverpb.Watch/Watch'),
  },
  lease: {
    grant: unary('/etcdserverpb.Lease/LeaseGrant'),
    revoke: unary('/etcdserverpb.Lease/LeaseRevoke'),
    keepAlive: bidi('/etcdserverpb.Lease/LeaseKeepAlive'),
    timeToLive: unary('/etcdserverpb.Lease/LeaseTimeToLive'),
    leases: unary('/etcdserverpb.Lease/LeaseLeases'),
  },
  cluster: {
    memberAdd: unary('/etcdserverpb.Cluster/MemberAdd'),
    memberRemove: unary('/etcdserverpb.Cluster/MemberRemove'),
    memberUpdate: unary('/etcdserverpb.Cluster/MemberUpdate'),
    memberList: unary('/etcdserverpb.Cluster/MemberList'),
    memberPromote: unary('/etcdserverpb.Cluster/MemberPromote'),
  },
  maintenance: {
    alarm: unary('/etcdserverpb.Maintenance/Alarm'),
    status: unary('/etcdserverpb.Maintenance/Status'),
    defragment: unary('/etcdserverpb.Maintenance/Defragment'),
    hash: unary('/etcdserverpb.Maintenance/Hash'),
    hashKv: unary('/etcdserverpb.Maintenance/HashKV'),
    snapshot: serverStream('/etcdserverpb.Maintenance/Snapshot'),
    moveLeader: unary('/etcdserverpb.Maintenance/MoveLeader'),
    downgrade: unary('/etcdserverpb.Maintenance/Downgrade'),
  },
  auth: {
    enable: unary('/etcdserverpb.Auth/AuthEnable'),
    disable: unary('/etcdserverpb.Auth/AuthDisable'),
    status: unary('/etcdserverpb.Auth/AuthStatus'),
    authenticate: unary('/etcdserverpb.Auth/Authenticate'),
    userAdd: unary('/etcdserverpb.Auth/UserAdd'),
    userGet: unary('/etcdserverpb.Auth/UserGet'),
    userList: unary('/etcdserverpb.Auth/UserList'),
    userDelete: unary('/etcdserverpb.Auth/UserDelete'),
    userChangePassword: unary('/etcdserverpb.Auth/UserChangePassword'),
    userGrantRole: unary('/etcdserverpb.Auth/UserGrantRole'),
    userRevokeRole: unary('/etcdserverpb.Auth/UserRevokeRole'),
    roleAdd: unary('/etcdserverpb.Auth/RoleAdd'),
    roleGet: unary('/etcdserverpb.Auth/RoleGet'),
    roleList: unary('/etcdserverpb.Auth/RoleList'),
    roleDelete: unary('/etcdserverpb.Auth/RoleDelete'),
    roleGrantPermission: unary('/etcdserverpb.Auth/RoleGrantPermission'),
    roleRevokePermission: unary('/etcdserverpb.Auth/RoleRevokePermission'),
  },
  election: {
    campaign: unary('/v3electionpb.Election/Campaign'),
    proclaim: unary('/v3electionpb.Election/Proclaim'),
    leader: unary('/v3electionpb.Election/Leader'),
    observe: serverStream('/v3electionpb.Election/Observe'),
    resign: unary('/v3electionpb.Election/Resign'),
  },
  lock: {
    lock: unary('/v3lockpb.Lock/Lock'),
    unlock: unary('/v3lockpb.Lock/Unlock'),
  },
  health: {
    check: unary('/grpc.health.v1.Health/Check'),
    watch: serverStream('/grpc.health.v1.Health/Watch'),
  },
} as const;
