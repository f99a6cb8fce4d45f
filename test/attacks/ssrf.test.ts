/** E09 · What the server fetches for somebody else: nothing that only the server can reach. */
import test from 'ava';
import type { AllowedTarget } from '../../src/config/outbound.ts';
import { loadConfig } from '../../src/config.ts';
import { createGuardedClient, type FetchGuarded, type Resolve } from '../../src/http/guarded-client.ts';
import { isPublic } from '../../src/http/outbound-rules.ts';
import { libraryFetch } from '../../src/oidc/clients/fetching.ts';
import { listen } from '../support/listen.ts';

const allowing = (list: string): readonly AllowedTarget[] => loadConfig({ CARDEA_OUTBOUND_ALLOW: list }).outboundAllow;

/** Answers names as told, and keeps what it was asked. */
function resolver(names: Record<string, string[] | string[][]>): { resolve: Resolve; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async resolve(hostname) {
      const answers = names[hostname];
      if (!answers) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' });
      const times = asked.push(hostname) - asked.filter((name) => name !== hostname).length;
      const answer = answers.flatMap((one, index) => (Array.isArray(one) ? (index === Math.min(times, answers.length) - 1 ? one : []) : [one]));
      return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    },
  };
}

/** The addresses of the attacker's wish list: metadata, ourselves, the network around us, and disguises of all of these. */
const INTERNAL = [
  ...['169.254.169.254', '169.254.170.2', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254', 'fe80::a9fe:a9fe'],
  ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3', '::', '::1'],
  ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '198.18.0.1', 'fc00::1', 'fec0::1'],
  ...['224.0.0.1', '239.255.255.250', 'ff02::1', '255.255.255.255', '240.0.0.1', '192.0.2.1', '203.0.113.7', '2001:db8::1', '3fff::1'],
  ...['::ffff:127.0.0.1', '::ffff:169.254.169.254', '::ffff:8.8.8.8', '::ffff:0:127.0.0.1', '::127.0.0.1', '::8.8.8.8'],
  // NAT64, 6to4 and Teredo around 127.0.0.1, 169.254.169.254 and 10.0.0.1.
  ...['64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1', '2002:7f00:1::', '2002:a9fe:a9fe::1', '2001:0:4136:e378:8000:63bf:f5ff:fffe'],
];

test('E09 an address that is not a host of the internet is not one, however it is written', (t) => {
  for (const address of INTERNAL) t.false(isPublic(address), address);
  for (const address of ['8.8.8.8', '1.1.1.1', '172.15.0.1', '172.32.0.1', '2606:4700:4700::1111', '2a00:1450:4001::1', '64:ff9b::808:808'])
    t.true(isPublic(address), address);
});

test('E09 metadata addresses, private networks and ourselves are not fetched, by address or by name', async (t) => {
  const { resolve } = resolver({ ...Object.fromEntries(INTERNAL.map((address, index) => [`host${index}.example`, [address]])) });
  const fetchGuarded = createGuardedClient({ allow: [], resolve });
  for (const [index, address] of INTERNAL.entries()) {
    const literal = address.includes(':') ? `[${address}]` : address;
    for (const url of [`https://${literal}/latest/meta-data/`, `https://host${index}.example/`])
      await t.throwsAsync(fetchGuarded(url), { code: 'outbound_unreachable', message: 'The address cannot be reached from here.' }, url);
  }
});

test('E09 one private address among public ones is enough', async (t) => {
  const { resolve } = resolver({ 'both.example': ['8.8.8.8', '10.0.0.1'], 'mapped.example': ['2606:4700:4700::1111', '::ffff:10.0.0.1'] });
  const fetchGuarded = createGuardedClient({ allow: [], resolve });
  for (const host of ['both.example', 'mapped.example']) await t.throwsAsync(fetchGuarded(`https://${host}/`), { code: 'outbound_unreachable' });
});

test('E09 decimal, octal, hexadecimal and full-width addresses are refused before anything is looked at', async (t) => {
  const { resolve, asked } = resolver({});
  const fetchGuarded = createGuardedClient({ allow: [], resolve });
  for (const host of [
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '0x7f000001',
    '１２７.0.0.1',
    '127。0。0。1',
    '%31%32%37.0.0.1',
    '0x08.8.8.8',
    '8.8.8.8.',
    '134744072',
  ])
    await t.throwsAsync(fetchGuarded(`https://${host}/`), { code: 'outbound_refused' }, host);
  for (const url of ['https:\\\\8.8.8.8/', 'https:8.8.8.8/', 'https://8.8.8.8\t/', 'https://8.8.8.8/a b', '\nhttps://8.8.8.8/', 'https:///8.8.8.8/'])
    await t.throwsAsync(fetchGuarded(url), { code: 'outbound_refused' }, JSON.stringify(url));
  t.deepEqual(asked, []);
});

test('E09 other schemes, credentials and plain http are refused', async (t) => {
  const fetchGuarded = createGuardedClient({ allow: allowing('hooks.intranet.example:8080'), resolve: resolver({}).resolve });
  for (const url of [
    'file:///etc/passwd',
    'ftp://example.com/',
    'gopher://127.0.0.1:25/_x',
    'data:,x',
    'javascript:1',
    'unix:/run/x.sock',
    'nonsense',
    '',
  ])
    await t.throwsAsync(fetchGuarded(url), { code: 'outbound_refused' }, url);
  for (const url of ['https://user@example.com/', 'https://user:secret@example.com/', 'https://:x@example.com/']) {
    const error = await t.throwsAsync(fetchGuarded(url), { code: 'outbound_refused' });
    t.false(error?.message.includes('secret'));
  }
  for (const url of ['http://example.com/', 'http://8.8.8.8/', 'http://hooks.intranet.example/', 'http://other.intranet.example:8080/'])
    await t.throwsAsync(fetchGuarded(url), { code: 'outbound_refused' }, url);
  await t.throwsAsync(fetchGuarded('http://hooks.intranet.example:8080/'), { code: 'outbound_unreachable' }, 'allowed, but there is no such name');
});

test('E09 ports of other services are not reached, not even on public hosts', async (t) => {
  const fetchGuarded = createGuardedClient({ allow: [], resolve: resolver({ 'db.example': ['8.8.8.8'] }).resolve });
  for (const port of [22, 25, 5432, 6379, 9200, 65_535])
    await t.throwsAsync(fetchGuarded(`https://db.example:${port}/`), { code: 'outbound_unreachable' });
});

test('E09 a name that changes its address meanwhile is reached where it was looked at', async (t) => {
  const ours = await listen((_request, response) => response.end('internal'));
  const { resolve, asked } = resolver({ 'rebind.example': [['127.0.0.2'], ['127.0.0.1']], 'local.example': [['127.0.0.1'], ['127.0.0.2']] });
  const fetchGuarded = createGuardedClient({ allow: allowing(`rebind.example:${ours.port},local.example:${ours.port}`), resolve });
  // The connection goes where the name was, and finds nobody, though the name is ours by then.
  await t.throwsAsync(fetchGuarded(`http://rebind.example:${ours.port}/`), { code: 'outbound_unreachable' });
  t.is(ours.requests.length, 0);
  t.deepEqual(asked, ['rebind.example'], 'the name is resolved once');
  // And the other way round: the connection goes to the address that was allowed.
  const answer = await fetchGuarded(`http://local.example:${ours.port}/path?x=1`);
  t.is(answer.body.toString(), 'internal');
  t.is(ours.requests[0]?.headers.host, `local.example:${ours.port}`);
  t.deepEqual(asked, ['rebind.example', 'local.example']);
});

test('E09 a redirect leads nowhere', async (t) => {
  const inner = await listen((_request, response) => response.end('secret'));
  const outer = await listen((request, response) => {
    const to = new URL(request.url ?? '', 'http://x').searchParams.get('to') ?? '';
    response.writeHead(Number(request.headers['x-status'] ?? 302), to === '' ? {} : { location: to }).end('go there');
  });
  const { resolve } = resolver({ 'hooks.example': ['127.0.0.1'], 'inner.example': ['127.0.0.1'] });
  const fetchGuarded = createGuardedClient({ allow: allowing(`hooks.example:${outer.port},inner.example:${inner.port}`), resolve });
  const from = (to: string): string => `http://hooks.example:${outer.port}/?to=${encodeURIComponent(to)}`;
  for (const status of ['301', '302', '303', '307', '308', '300']) {
    for (const to of [
      `http://inner.example:${inner.port}/`,
      'http://169.254.169.254/latest/',
      `http://hooks.example:${outer.port}/?to=`,
      '/?to=',
      'file:///etc/passwd',
      '',
    ])
      await t.throwsAsync(fetchGuarded(from(to), { headers: { 'x-status': status } }), { code: 'outbound_failed' }, `${status} ${to}`);
  }
  // Where redirects within the origin are followed, those to elsewhere still are not.
  for (const to of [
    `http://inner.example:${inner.port}/`,
    `http://127.0.0.1:${inner.port}/`,
    'http://169.254.169.254/',
    `https://hooks.example:${outer.port}/`,
  ])
    await t.throwsAsync(fetchGuarded(from(to), { redirects: 3 }), { code: 'outbound_failed' }, to);
  t.is(inner.requests.length, 0);
});

test('E09 what is inside is not told to whoever chose the address', async (t) => {
  const open = await listen((_request, response) => response.writeHead(500).end('database password: hunter2'));
  const { resolve } = resolver({ 'private.example': ['10.0.0.1'], 'closed.example': ['127.0.0.1'] });
  const fetchGuarded: FetchGuarded = createGuardedClient({ allow: allowing('closed.example:1'), resolve });
  const said = new Set<string>();
  for (const url of [
    `https://127.0.0.1:${open.port}/`,
    'https://private.example/',
    'https://nothing.example/',
    'http://closed.example:1/',
    'https://localhost/',
  ])
    said.add((await t.throwsAsync(fetchGuarded(url), { code: 'outbound_unreachable' }))?.message ?? '');
  t.is(said.size, 1, 'private, unknown, closed and our own look the same');
  t.is(open.requests.length, 0);
});

test('E09 an allow-list names hosts and ranges with their ports, and nothing beside them', async (t) => {
  const ours = await listen((_request, response) => response.end('ok'));
  const names = { 'a.intranet.example': ['127.0.0.1'], 'meta.intranet.example': ['169.254.169.254'], 'b.intranet.example': ['10.1.2.3'] };
  const at = (list: string) => createGuardedClient({ allow: allowing(list), resolve: resolver(names).resolve });
  const { port } = ours;
  t.is((await at(`a.intranet.example:${port}`)(`http://a.intranet.example:${port}/`)).status, 200);
  t.is((await at('a.intranet.example:*')(`http://A.intranet.example:${port}/`)).status, 200, 'host names have no case');
  t.is((await at(`127.0.0.1:${port}`)(`http://127.0.0.1:${port}/`)).status, 200, 'an address names a host too');
  await t.throwsAsync(at('a.intranet.example')(`http://a.intranet.example:${port}/`), { code: 'outbound_refused' }, 'without a port: the usual ones');
  await t.throwsAsync(at(`a.intranet.example:${port + 1}`)(`http://a.intranet.example:${port}/`), { code: 'outbound_refused' }, 'another port');
  await t.throwsAsync(at(`intranet.example:${port}`)(`http://a.intranet.example:${port}/`), { code: 'outbound_refused' }, 'a name stands for itself');
  await t.throwsAsync(
    at(`127.0.0.0/8:${port}`)(`http://a.intranet.example:${port}/`),
    { code: 'outbound_refused' },
    'a range does not allow plain http',
  );
  const tls = await t.throwsAsync(at(`127.0.0.0/8:${port}`)(`https://a.intranet.example:${port}/`), { code: 'outbound_unreachable' });
  t.regex(String(tls?.cause), /SSL|TLS/, 'but it is connected to');
  await t.throwsAsync(at(`10.0.0.0/8:${port}`)(`https://a.intranet.example:${port}/`), { code: 'outbound_unreachable' }, 'another range');
  await t.throwsAsync(
    at('meta.intranet.example:*')('https://meta.intranet.example/'),
    { code: 'outbound_unreachable' },
    'metadata is not reached by a name',
  );
});

test('E09 proxies of the environment are not used', async (t) => {
  const proxy = await listen((_request, response) => response.end('by proxy'));
  const ours = await listen((_request, response) => response.end('direct'));
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']) process.env[name] = `http://127.0.0.1:${proxy.port}`;
  process.env.NODE_USE_ENV_PROXY = '1';
  const fetchGuarded = createGuardedClient({ allow: allowing(`127.0.0.1:${ours.port}`) });
  t.is((await fetchGuarded(`http://127.0.0.1:${ours.port}/`)).body.toString(), 'direct');
  t.is(proxy.requests.length, 0);
});

/** What oidc-provider is given to fetch with: keys of clients (`jwks_uri`), and whatever else it may ask for. */
const libraryOn = (allow: string, resolve: Resolve, now: () => number = Date.now) => {
  const warned: object[] = [];
  const log = { warn: (details: object) => void warned.push(details), error: () => undefined, info: () => undefined };
  return { warned, fetch: libraryFetch({ fetchGuarded: createGuardedClient({ allow: allowing(allow), resolve }), log, now }, 'staff') };
};

test('E09 the library reaches nothing that the guarded client does not: metadata, ourselves, mapped addresses, names for them', async (t) => {
  const { resolve } = resolver(Object.fromEntries(INTERNAL.map((address, index) => [`host${index}.example`, [address]])));
  const { fetch, warned } = libraryOn('', resolve);
  const said = new Set<string>();
  for (const [index, address] of INTERNAL.entries()) {
    const literal = address.includes(':') ? `[${address}]` : address;
    for (const url of [`https://${literal}/jwks`, `https://host${index}.example/jwks`])
      said.add((await t.throwsAsync(fetch(url), { code: 'outbound_unreachable' }, url))?.message ?? '');
  }
  for (const url of ['https://nobody.example/jwks']) said.add((await t.throwsAsync(fetch(url)))?.message ?? '');
  t.is(said.size, 1, 'and all of that looks alike');
  t.is(warned.length, INTERNAL.length * 2 + 1, 'but not in the log');
  for (const url of ['http://example.com/jwks', 'file:///etc/passwd', 'data:application/json,{}', 'https://user:pass@example.com/'])
    await t.throwsAsync(fetch(url), { code: 'outbound_refused' }, url);
});

test('E09 keys of a client: a name that moves, a redirect, too much and too slow', async (t) => {
  const inner = await listen((_request, response) => response.end('{"keys":[]}'));
  const outer = await listen((request, response) => {
    switch (new URL(request.url ?? '', 'http://x').pathname) {
      case '/away':
        return response.writeHead(302, { location: `http://inner.example:${inner.port}/` }).end();
      case '/within':
        return response.writeHead(302, { location: '/keys' }).end();
      case '/much':
        return response.end(JSON.stringify({ keys: [], padding: 'x'.repeat(100_000) }));
      case '/slow':
        return response.write('{"keys":');
      default:
        return response.setHeader('cache-control', 'max-age=31536000').end('{"keys":[]}');
    }
  });
  const names = { 'keys.example': ['127.0.0.1'], 'inner.example': ['127.0.0.1'], 'rebind.example': [['127.0.0.2'], ['127.0.0.1']] };
  const { resolve } = resolver(names);
  const { fetch } = libraryOn(`keys.example:${outer.port},inner.example:${inner.port},rebind.example:${inner.port}`, resolve);
  const at = (path: string): string => `http://keys.example:${outer.port}${path}`;
  const good = await fetch(at('/keys'));
  t.is(await good.text(), '{"keys":[]}');
  t.is(good.headers.get('cache-control'), null, 'how long it is believed is not theirs to say');
  for (const path of ['/away', '/within', '/much', '/slow']) await t.throwsAsync(fetch(at(path)), { code: 'outbound_failed' }, path);
  await t.throwsAsync(fetch(`http://rebind.example:${inner.port}/`), { code: 'outbound_unreachable' });
  t.is(inner.requests.length, 0);
});

test('E09 nobody is hammered by us: one address is asked once in ten seconds, one host sixty times a minute', async (t) => {
  const victim = await listen((_request, response) => response.writeHead(500).end());
  let now = Date.now();
  const { fetch } = libraryOn(`victim.example:${victim.port}`, resolver({ 'victim.example': ['127.0.0.1'] }).resolve, () => now);
  const at = (path: string): string => `http://victim.example:${victim.port}${path}`;
  await Promise.all(Array.from({ length: 50 }, () => fetch(at('/one'))));
  t.is(victim.requests.length, 1);
  now += 10_000;
  await fetch(at('/one'));
  t.is(victim.requests.length, 2);
  const many = await Promise.allSettled(Array.from({ length: 200 }, (_, index) => fetch(at(`/${index}`))));
  t.is(victim.requests.length, 60);
  t.is(many.filter(({ status }) => status === 'rejected').length, 142);
  now += 60_000;
  await fetch(at('/two'));
  t.is(victim.requests.length, 61);
});

test('E09 the library sends nothing anywhere', async (t) => {
  const { fetch } = libraryOn('', resolver({}).resolve);
  await t.throwsAsync(fetch('https://example.com/', { method: 'POST', body: 'x' }));
});
