/** Our consoles' calls reach our own socket, under the name of the configured origin. */
import { createServer, type RequestListener } from 'node:http';
import test from 'ava';
import { backChannel } from '../../../src/http/back-channel.ts';
import { atEnd } from '../../support/cleanup.ts';

/** No such name resolves anywhere (RFC 6761 section 6.4). */
const origin = 'http://cardea.invalid';

async function listen(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const get = { method: 'GET', headers: {}, body: undefined, redirect: 'manual' } as const;

test('the socket is ours, the Host is the origin, and the form arrives', async (t) => {
  const port = await listen((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ url: request.url, host: request.headers.host, type: request.headers['content-type'], body }));
    });
  });
  // Who listens on every address is reached by the loopback.
  const call = backChannel({ origin, listening: () => `http://0.0.0.0:${port}` });
  const response = await call(`${origin}/realms/acme/token?x=1`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
    body: new URLSearchParams({ code: 'é&=' }),
    redirect: 'manual',
  });
  t.is(response.status, 200);
  t.deepEqual(await response.json(), {
    url: '/realms/acme/token?x=1',
    host: 'cardea.invalid',
    type: 'application/x-www-form-urlencoded;charset=UTF-8',
    body: 'code=%C3%A9%26%3D',
  });
});

test('no other origin is ever called', async (t) => {
  const call = backChannel({ origin, listening: () => 'http://127.0.0.1:1' });
  for (const url of ['http://169.254.169.254/latest', 'http://cardea.invalid.evil.test/', 'https://cardea.invalid/', 'http://cardea.invalid:8080/']) {
    await t.throwsAsync(call(url, get), { message: /not its own origin/ }, url);
  }
});

test('a redirect is an answer, and is not followed', async (t) => {
  let calls = 0;
  const port = await listen((_request, response) => {
    calls += 1;
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  const response = await backChannel({ origin, listening: () => `http://127.0.0.1:${port}` })(`${origin}/`, get);
  t.is(response.status, 302);
  t.is(calls, 1);
});

test('an answer without an end, or without an answer at all, is a fault', async (t) => {
  const endless = await listen((_request, response) => {
    const timer = setInterval(() => response.write('x'.repeat(65_536)), 1);
    response.on('close', () => clearInterval(timer));
  });
  await t.throwsAsync(backChannel({ origin, listening: () => `http://127.0.0.1:${endless}` })(`${origin}/`, get), {
    message: /larger than any of ours/,
  });

  const broken = await listen((_request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('half');
    setTimeout(() => response.destroy(), 5);
  });
  await t.throwsAsync(backChannel({ origin, listening: () => `http://127.0.0.1:${broken}` })(`${origin}/`, get));

  const silent = await listen(() => undefined);
  await t.throwsAsync(
    backChannel({ origin, listening: () => `http://127.0.0.1:${silent}` })(`${origin}/`, { ...get, signal: AbortSignal.timeout(50) }),
  );
});
