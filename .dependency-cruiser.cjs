// The import table of ARCHITECTURE.md, one row a folder. Anything outside it fails the check.
const table = {
  raft: [],
  check: [],
  wire: ['raft'],
  storage: ['raft', 'wire'],
  transport: ['raft', 'wire'],
  api: [],
  grpc: [],
  kv: ['api'],
  node: ['raft', 'wire', 'storage', 'transport'],
  etcd: ['node', 'kv', 'grpc', 'api', 'raft'],
  client: ['grpc', 'api'],
  sim: ['raft', 'wire', 'storage', 'transport', 'kv', 'node', 'check'],
  cli: [
    'raft',
    'wire',
    'storage',
    'transport',
    'node',
    'kv',
    'grpc',
    'api',
    'etcd',
    'client',
    'sim',
    'check',
  ],
};

const layer = ([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `src/${folder} may import: ${allowed.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
});

const pure = ['raft', 'wire', 'api', 'kv', 'sim', 'check'].join('|');

module.exports = {
  forbidden: [
    ...Object.entries(table).map(layer),
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'core-has-no-dependencies',
      severity: 'error',
      from: { path: '^src/(raft|check|wire|api)/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'core', 'npm-peer', 'npm-optional'] },
    },
    {
      name: 'pure-layers-have-no-node',
      severity: 'error',
      from: { path: `^src/(${pure})/`, pathNot: '(\\.test\\.ts$|/lmdb[^/]*\\.ts$)' },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'etcd-takes-only-types-from-raft',
      severity: 'error',
      from: { path: '^src/etcd/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/raft/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: '(\\.d\\.ts$|\\.test\\.ts$)' },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
