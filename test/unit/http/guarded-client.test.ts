/** What a guarded fetch sends, what it answers, and where it ends. Whom it may reach is in test/attacks/ssrf.test.ts. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import test from 'ava';
import { createGuardedClient, type GuardedRequest } from '../../../src/http/guarded-client.ts';
import { needsOpenssl } from '../../support/certificates.ts';
import { listen } from '../../support/listen.ts';

/** One fetch from a server that answers like this. */
async function fetchFrom(answer: RequestListener, init?: GuardedRequest) {
  const { port, requests } = await listen(answer);
  const fetchGuarded = createGuardedClient({ allow: [{ kind: 'host', target: '127.0.0.1', port }] });
  return { answered: () => fetchGuarded(`http://127.0.0.1:${port}/a/b?c=%20d`, init), requests, port };
}

test('method, path, headers and body arrive; status, headers and body come back', async (t) => {
  const { answered, requests, port } = await fetchFrom(
    (request, response) => {
      response.writeHead(418, { 'X-One': '1', 'set-cookie': ['a', 'b'] });
      request.pipe(response);
    },
    { method: 'POST', headers: { 'content-type': 'application/json', 'x-cardea': 'yes' }, body: '{"hello":"é"}' },
  );
  const { status, headers, body } = await answered();
  t.is(status, 418);
  t.like(headers, { 'x-one': '1', 'set-cookie': 'a, b' });
  t.is(body.toString(), '{"hello":"é"}');
  const [request] = requests;
  t.is(request?.method, 'POST');
  t.is(request?.url, '/a/b?c=%20d');
  t.like(request?.headers, {
    host: `127.0.0.1:${port}`,
    'content-type': 'application/json',
    'content-length': '14',
    'x-cardea': 'yes',
    connection: 'close',
  });
});

test('an answer is bounded, also when it is compressed', async (t) => {
  const small = Buffer.alloc(100, 'x');
  const large = Buffer.alloc(1_000_000, 'x');
  for (const [coding, compress] of Object.entries({
    identity: (bytes: Buffer) => bytes,
    gzip: gzipSync,
    deflate: deflateSync,
    br: brotliCompressSync,
  })) {
    const of = (bytes: Buffer) =>
      fetchFrom((_request, response) => response.writeHead(200, { 'content-encoding': coding }).end(compress(bytes)), { maxBytes: 5_000 });
    t.deepEqual((await (await of(small)).answered()).body, small, coding);
    await t.throwsAsync((await of(large)).answered(), { code: 'outbound_failed' }, coding);
  }
  const endless = await fetchFrom((_request, response) => {
    const timer = setInterval(() => response.write(large), 1);
    response.on('close', () => clearInterval(timer));
  });
  await t.throwsAsync(endless.answered(), { code: 'outbound_failed' });
});

test('a coding that is not known, or not what it says, is no answer', async (t) => {
  for (const coding of ['zstd', 'gzip, gzip', 'gzip', 'constructor']) {
    const { answered } = await fetchFrom((_request, response) => response.writeHead(200, { 'content-encoding': coding }).end('plain'));
    await t.throwsAsync(answered(), { code: 'outbound_failed' }, coding);
  }
});

test('the time is that of everything together', async (t) => {
  const slow: RequestListener[] = [
    () => undefined,
    (_request, response) => {
      response.writeHead(200).write('begins');
    },
    (_request, response) => {
      const timer = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(timer));
    },
  ];
  for (const answer of slow) {
    const { answered } = await fetchFrom(answer, { timeoutMs: 150 });
    const before = performance.now();
    await t.throwsAsync(answered(), { code: 'outbound_failed' });
    t.true(performance.now() - before < 2_000);
  }
  const unresolved = createGuardedClient({ allow: [], resolve: () => new Promise(() => undefined) });
  await t.throwsAsync(unresolved('https://slow.example/', { timeoutMs: 50 }), { code: 'outbound_unreachable' });
});

test('a connection that never comes to be is ended with the time', async (t) => {
  const ended = Promise.withResolvers<void>();
  const mute = createTcpServer((socket) =>
    socket
      .once('close', () => ended.resolve())
      .on('error', () => undefined)
      .resume(),
  );
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  t.teardown(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const fetchGuarded = createGuardedClient({ allow: [{ kind: 'host', target: '127.0.0.1', port }] });
  await t.throwsAsync(fetchGuarded(`https://127.0.0.1:${port}/`, { timeoutMs: 150 }), { code: 'outbound_unreachable' });
  await ended.promise;
});

test('an answer that breaks off, or is not HTTP, is no answer', async (t) => {
  const broken = await fetchFrom((_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('half');
    setTimeout(() => response.destroy(), 5);
  });
  await t.throwsAsync(broken.answered(), { code: 'outbound_failed' });
  const noise = await fetchFrom((request) => request.socket.end('SSH-2.0-OpenSSH\r\n'));
  await t.throwsAsync(noise.answered(), { code: 'outbound_failed' });
  const wide = await fetchFrom((_request, response) => response.writeHead(200, { 'x-wide': 'x'.repeat(20_000) }).end());
  await t.throwsAsync(wide.answered(), { code: 'outbound_failed' });
});

test('redirects within the origin are followed where that was asked for, so many of them', async (t) => {
  const around: RequestListener = (request, response) => {
    const left = Number(new URL(request.url ?? '', 'http://x').searchParams.get('left') ?? 2);
    if (left === 0) response.end(request.url);
    else response.writeHead(307, { location: `?left=${left - 1}` }).end();
  };
  const two = await fetchFrom(around, { redirects: 2 });
  t.is((await two.answered()).body.toString(), '/a/b?left=0');
  for (const init of [{ redirects: 1 }, {}, { redirects: 2, method: 'POST' as const, body: 'x' }]) {
    const { answered, requests } = await fetchFrom(around, init);
    await t.throwsAsync(answered(), { code: 'outbound_failed' });
    t.is(requests.length, init.redirects === 1 ? 2 : 1);
  }
});

needsOpenssl(test.serial)('by https the certificate is that of the name, though the connection goes to an address', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-tls-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=hooks.example', '-addext', 'subjectAltName=DNS:hooks.example'];
  const made = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', ['req', ...made, ...subject], { stdio: 'ignore' });
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
  const { port, requests } = await listen((_request, response) => response.end('by TLS'), { key, cert });
  const fetchGuarded = createGuardedClient({
    allow: [{ kind: 'range', target: '127.0.0.0/8', port }],
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
  });
  await t.throwsAsync(fetchGuarded(`https://hooks.example:${port}/`), { code: 'outbound_unreachable' }, 'nobody vouches for it');
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, cert.toString()]);
  t.teardown(() => setDefaultCACertificates(before));
  t.is((await fetchGuarded(`https://hooks.example:${port}/`)).body.toString(), 'by TLS');
  await t.throwsAsync(fetchGuarded(`https://other.example:${port}/`), { code: 'outbound_unreachable' }, 'it is for another name');
  await t.throwsAsync(fetchGuarded(`https://127.0.0.1:${port}/`), { code: 'outbound_unreachable' }, 'and for no address');
  t.is(requests.length, 1);
});
