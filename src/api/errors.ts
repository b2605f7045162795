// etcd's errors: a gRPC status code and a text. The texts are part of the API, because clients tell
// errors apart by them: Go's by the whole text, npm's by a part of it. Codes are those of etcd 3.6;
// 3.5 answered notCapable, notSupportedForLearner and clusterVersionUnavailable with 14.

/** The gRPC status codes that etcd uses. */
export const Code = {
  OK: 0,
  CANCELED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** A refusal as plain data, as the state machine returns it. */
export interface ErrorStatus {
  readonly code: Code;
  readonly text: string;
}

/** A refusal on its way to, or from, a client. */
export class EtcdError extends Error {
  override readonly name: string = 'EtcdError';
  readonly code: number;

  constructor(status: { readonly code: number; readonly text: string }) {
    super(status.text);
    this.code = status.code;
  }
}

const plain = (code: Code, text: string): ErrorStatus => Object.freeze({ code, text });
const error = (code: Code, text: string): ErrorStatus => plain(code, `etcdserver: ${text}`);

const { CANCELED, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED } = Code;
const { FAILED_PRECONDITION, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED } = Code;

export const etcdErrors = Object.freeze({
  // Keys and transactions.
  emptyKey: error(INVALID_ARGUMENT, 'key is not provided'),
  keyNotFound: error(INVALID_ARGUMENT, 'key not found'),
  valueProvided: error(INVALID_ARGUMENT, 'value is provided'),
  leaseProvided: error(INVALID_ARGUMENT, 'lease is provided'),
  tooManyOps: error(INVALID_ARGUMENT, 'too many operations in txn request'),
  duplicateKey: error(INVALID_ARGUMENT, 'duplicate key given in txn request'),
  invalidSortOption: error(INVALID_ARGUMENT, 'invalid sort option'),
  requestTooLarge: error(INVALID_ARGUMENT, 'request is too large'),
  invalidClientApiVersion: error(INVALID_ARGUMENT, 'invalid client api version'),
  compacted: error(OUT_OF_RANGE, 'mvcc: required revision has been compacted'),
  futureRevision: error(OUT_OF_RANGE, 'mvcc: required revision is a future revision'),
  noSpace: error(RESOURCE_EXHAUSTED, 'mvcc: database space exceeded'),
  tooManyRequests: error(RESOURCE_EXHAUSTED, 'too many requests'),

  // Leases and watches.
  leaseNotFound: error(NOT_FOUND, 'requested lease not found'),
  leaseExists: error(FAILED_PRECONDITION, 'lease already exists'),
  leaseTtlTooLarge: error(OUT_OF_RANGE, 'too large lease TTL'),
  watchCanceled: error(CANCELED, 'watch canceled'),

  // Members.
  memberExists: error(FAILED_PRECONDITION, 'member ID already exist'),
  peerUrlExists: error(FAILED_PRECONDITION, 'Peer URLs already exists'),
  memberNotEnoughStarted: error(
    FAILED_PRECONDITION,
    're-configuration failed due to not enough started members',
  ),
  memberBadUrls: error(INVALID_ARGUMENT, 'given member URLs are invalid'),
  memberNotFound: error(NOT_FOUND, 'member not found'),
  memberNotLearner: error(FAILED_PRECONDITION, 'can only promote a learner member'),
  learnerNotReady: error(
    FAILED_PRECONDITION,
    'can only promote a learner member which is in sync with leader',
  ),
  tooManyLearners: error(FAILED_PRECONDITION, 'too many learner members in cluster'),
  clusterIdMismatch: error(FAILED_PRECONDITION, 'cluster ID mismatch'),

  // Users, roles, permissions.
  rootUserNotFound: error(FAILED_PRECONDITION, 'root user does not exist'),
  rootRoleNotFound: error(FAILED_PRECONDITION, 'root user does not have root role'),
  userExists: error(FAILED_PRECONDITION, 'user name already exists'),
  userEmpty: error(INVALID_ARGUMENT, 'user name is empty'),
  userNotFound: error(FAILED_PRECONDITION, 'user name not found'),
  roleExists: error(FAILED_PRECONDITION, 'role name already exists'),
  roleNotFound: error(FAILED_PRECONDITION, 'role name not found'),
  roleEmpty: error(INVALID_ARGUMENT, 'role name is empty'),
  authFailed: error(INVALID_ARGUMENT, 'authentication failed, invalid user ID or password'),
  permissionNotGiven: error(INVALID_ARGUMENT, 'permission not given'),
  permissionDenied: error(PERMISSION_DENIED, 'permission denied'),
  roleNotGranted: error(FAILED_PRECONDITION, 'role is not granted to the user'),
  permissionNotGranted: error(FAILED_PRECONDITION, 'permission is not granted to the role'),
  authNotEnabled: error(FAILED_PRECONDITION, 'authentication is not enabled'),
  invalidAuthToken: error(UNAUTHENTICATED, 'invalid auth token'),
  invalidAuthManagement: error(INVALID_ARGUMENT, 'invalid auth management'),
  authOldRevision: error(INVALID_ARGUMENT, 'revision of auth store is old'),

  // The state of the cluster.
  noLeader: error(UNAVAILABLE, 'no leader'),
  notLeader: error(FAILED_PRECONDITION, 'not leader'),
  leaderChanged: error(UNAVAILABLE, 'leader changed'),
  notCapable: error(FAILED_PRECONDITION, 'not capable'),
  stopped: error(UNAVAILABLE, 'server stopped'),
  timeout: error(UNAVAILABLE, 'request timed out'),
  timeoutLeaderFailure: error(
    UNAVAILABLE,
    'request timed out, possibly due to previous leader failure',
  ),
  timeoutConnectionLost: error(UNAVAILABLE, 'request timed out, possibly due to connection lost'),
  timeoutAppliedIndex: error(
    UNAVAILABLE,
    'request timed out, waiting for the applied index took too long',
  ),
  unhealthy: error(UNAVAILABLE, 'unhealthy cluster'),
  corrupt: error(DATA_LOSS, 'corrupt cluster'),
  notSupportedForLearner: error(FAILED_PRECONDITION, 'rpc not supported for learner'),
  badLeaderTransferee: error(FAILED_PRECONDITION, 'bad leader transferee'),
  requestCanceled: error(CANCELED, 'request canceled'),

  // Downgrades.
  clusterVersionUnavailable: error(
    FAILED_PRECONDITION,
    'cluster version not found during downgrade',
  ),
  wrongDowngradeVersionFormat: error(INVALID_ARGUMENT, 'wrong downgrade target version format'),
  invalidDowngradeTarget: error(INVALID_ARGUMENT, 'invalid downgrade target version'),
  downgradeInProgress: error(FAILED_PRECONDITION, 'cluster has a downgrade job in progress'),
  noInflightDowngrade: error(FAILED_PRECONDITION, 'no inflight downgrade job'),
});

/** The few errors whose text etcd sends without its prefix. */
export const plainErrors = Object.freeze({
  deadlineExceeded: plain(Code.DEADLINE_EXCEEDED, 'context deadline exceeded'),
  unknownHealthService: plain(Code.NOT_FOUND, 'unknown service'),
  electionNotLeader: plain(Code.UNKNOWN, 'election: not leader'),
  electionNoLeader: plain(Code.UNKNOWN, 'election: no leader'),
  electionLeaderMissing: plain(Code.UNKNOWN, '"leader" field must be provided'),
});

/** Texts of a WatchResponse's cancelReason. */
export const watchCancelReasons = Object.freeze({
  compacted: etcdErrors.compacted.text,
  duplicateId: 'mvcc: duplicate watch ID provided on the WatchStream',
  emptyRange: 'mvcc: watcher range is empty',
});
