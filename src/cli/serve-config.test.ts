import { describe, expect, test } from 'vitest';
import { CONFIG_DEFAULTS } from '../etcd/config.ts';
import { CliError } from './report.ts';
import { serveSettings } from './serve-config.ts';

const settings = (args: string[], env: Record<string, string> = {}) => serveSettings(args, env);

function refusal(args: string[], env: Record<string, string> = {}) {
  try {
    settings(args, env);
  } catch (error) {
    if (error instanceof CliError) return error.report;
    throw error;
  }
  throw new Error('was accepted');
}

describe('defaults', () => {
  test('are those of etcd', () => {
    const { config, logLevel, logTo, warnings } = settings([]);
    expect(config).toEqual({ ...CONFIG_DEFAULTS, dataDir: 'default.etcd' });
    expect({ logLevel, logTo, warnings }).toEqual({
      logLevel: 'info',
      logTo: 'stderr',
      warnings: [],
    });
  });

  test('the data directory is named after the member', () => {
    expect(settings(['--name=a']).config.dataDir).toBe('a.etcd');
    expect(settings(['--name=a', '--data-dir=/d']).config.dataDir).toBe('/d');
  });

  test('what is advertised is what is listened on', () => {
    const { config } = settings([
      '--listen-client-urls=http://10.0.0.1:1,http://127.0.0.1:2',
      '--listen-peer-urls=http://10.0.0.1:3',
    ]);
    expect(config.advertiseClientUrls).toEqual(['http://10.0.0.1:1', 'http://127.0.0.1:2']);
    expect(config.initialAdvertisePeerUrls).toEqual(['http://10.0.0.1:3']);
  });

  test('the advertised peer URLs are those that --initial-cluster gives this member', () => {
    const { config } = settings([
      '--name=b',
      '--listen-peer-urls=http://0.0.0.0:2380',
      '--initial-cluster=a=http://a:2380,b=http://b:2380',
    ]);
    expect(config.initialAdvertisePeerUrls).toEqual(['http://b:2380']);
  });

  test('a quota of 0 is the default and a negative one is none, as in etcd', () => {
    const quota = (n: string) => settings([`--quota-backend-bytes=${n}`]).config.quotaBackendBytes;
    expect([quota('0'), quota('-1'), quota('7')]).toEqual([2 ** 31, Number.MAX_SAFE_INTEGER, 7]);
  });
});

describe('sources', () => {
  test('a flag beats a variable, and the shadowed variable is told', () => {
    const { config, warnings } = settings(['--name=f'], { ETCD_NAME: 'e', ETCD_MAX_TXN_OPS: '9' });
    expect(config.name).toBe('f');
    expect(config.maxTxnOps).toBe(9);
    expect(warnings).toEqual(['environment variable ETCD_NAME is shadowed by --name']);
  });

  test('unknown ETCD_ variables are told', () => {
    expect(settings([], { ETCD_FOO: 'x' }).warnings).toEqual([
      'unrecognized environment variable ETCD_FOO',
    ]);
  });

  test('flags without effect are told, one line each', () => {
    const args = ['--logger=zap', '-unsafe-no-fsync', '--snapshot-count=5'];
    expect(settings(args).warnings).toEqual([
      '--logger has no effect here: log lines are always structured',
      '--unsafe-no-fsync has no effect here: writes are always synced',
    ]);
  });

  test("kubeadm's flags without TLS are understood", () => {
    const { config } = settings([
      '--name=n1',
      '--feature-gates=InitialCorruptCheck=true',
      '--listen-client-urls=http://127.0.0.1:2379,http://10.0.0.1:2379',
      '--advertise-client-urls=http://10.0.0.1:2379',
      '--listen-peer-urls=http://10.0.0.1:2380',
      '--initial-advertise-peer-urls=http://10.0.0.1:2380',
      '--data-dir=/var/lib/etcd',
      '--snapshot-count=10000',
      '--listen-metrics-urls=http://127.0.0.1:2381',
      '--watch-progress-notify-interval=5s',
      '--initial-cluster=n1=http://10.0.0.1:2380',
    ]);
    expect(config.listenMetricsUrls).toEqual(['http://127.0.0.1:2381']);
  });
});

describe('what would make the server less safe than it looks is refused', () => {
  test.each([
    ['--cert-file=x', 'TLS is not supported yet'],
    ['--client-cert-auth', 'TLS is not supported yet'],
    ['--auto-tls=true', 'TLS is not supported yet'],
    ['--peer-trusted-ca-file=x', 'TLS is not supported yet'],
    ['--auth-token=jwt,pub-key=x', 'users and tokens are not supported yet'],
    ['--host-whitelist=a.example', 'host names are not checked'],
    ['--force-new-cluster', 'never forced'],
    ['--discovery-srv=example.com', 'discovery is not supported'],
    ['--config-file=x.yaml', 'a configuration file is not supported'],
    ['--listen-client-urls=https://h:1', 'the scheme https'],
    ['--listen-client-urls=unix://s:1', 'the scheme unix'],
  ])('%s', (flag, words) => {
    const { headline, exitCode } = refusal([flag]);
    expect(headline).toContain(words);
    expect(headline).toContain(flag.split('=')[0]);
    expect(exitCode).toBe(64);
  });

  test('a refused setting is named by the variable that it came from', () => {
    expect(refusal([], { ETCD_CERT_FILE: 'x' }).headline).toContain('ETCD_CERT_FILE: TLS');
  });

  test('turning such a thing off is no reason to refuse', () => {
    const args = ['--client-cert-auth=false', '--auth-token=simple', '--cert-file='];
    expect(settings(args).config.name).toBe('default');
  });
});

describe('contradictions', () => {
  test.each<[string, string[], string]>([
    [
      'a wildcard can not be advertised',
      ['--listen-client-urls=http://0.0.0.0:1'],
      "can't be told",
    ],
    ['nor for peers', ['--listen-peer-urls=http://[::]:1'], '--listen-peer-urls is http://[::]:1'],
    [
      'this member is missing in --initial-cluster',
      ['--name=x', '--initial-cluster=a=http://a:1'],
      'couldn\'t find local name "x"',
    ],
    [
      '--initial-cluster and the advertised URL differ',
      [
        '--name=a',
        '--initial-cluster=a=http://a:1',
        '--initial-advertise-peer-urls=http://other:1',
      ],
      'must name the same URLs',
    ],
    ['one port for two things', ['--listen-metrics-urls=http://localhost:2379'], 'both name'],
    ['two peer URLs', ['--listen-peer-urls=http://a:1,http://a:2'], 'only one URL'],
    ['an election timeout that is too short', ['--election-timeout=200'], '--election-timeout'],
    ['no name', ['--name='], '--name must not be empty'],
    ['no URL', ['--listen-client-urls='], '--listen-client-urls must not be empty'],
    ['a URL without a port', ['--listen-client-urls=http://h'], 'http://host:port'],
    ['an unknown state', ['--initial-cluster-state=old'], 'neither new nor existing'],
    ['an unknown level', ['--log-level=loud'], '"loud" is none of'],
    ['a log file', ['--log-outputs=/x.log'], 'only stderr and stdout'],
    ['a number that is none', ['--max-txn-ops=many'], '--max-txn-ops: "many"'],
    ['zero operations', ['--max-txn-ops=0'], '--max-txn-ops must be a positive whole number'],
  ])('%s', (_, args, words) => {
    const { headline, exitCode } = refusal(args);
    expect(headline).toContain(words);
    expect(exitCode).toBe(64);
  });
});
