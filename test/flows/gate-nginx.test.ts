/** The gate with a real nginx and the configuration of examples/nginx: pages, programs, WebSockets, and what browsers make up. */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { createGate } from '../../src/admin/resources/gates.ts';
import { Agent } from '../support/agent.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { open } from '../support/gate.ts';
import { nginxTest, startNginx } from '../support/nginx.ts';
import { freePort } from '../support/postgres.ts';

const HOST = '127.0.0.9';

/** A site that answers with the request that reached it, and takes any WebSocket. */
async function startUpstream(): Promise<number> {
  const port = await freePort();
  const server = createServer((incoming, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ url: incoming.url, headers: incoming.headers }));
  });
  server.on('upgrade', (incoming, socket) => {
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Seen: ${incoming.headers['x-auth-request-user']}\r\n\r\n`,
    );
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

async function begin() {
  const cardea = await startCardea(await onSqlite.database());
  const realm = await cardea.realm();
  const port = await freePort();
  const listen = `${HOST}:${port}`;
  const origin = `http://${listen}`;
  const rules = [
    { path: '/healthz', access: 'public' as const },
    { path: '/open/**', access: 'public' as const },
    { path: '/admin/**', roles: ['nobody-has-it'] },
  ];
  await createGate(cardea.operator(), realm, cardea.origin, { origin, rules });
  await startNginx({ listen, realm: realm.name, cardea: new URL(cardea.url).host, site: `127.0.0.1:${await startUpstream()}` });
  const user = await cardea.user(realm, { emailVerified: true });
  return { cardea, realm, port, origin, user };
}

let shared: ReturnType<typeof begin> | undefined;
const world = () => {
  shared ??= begin();
  return shared;
};

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
}

/** One request with its path exactly as it is given. */
function raw(port: number, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname: HOST, port, path, headers, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    sent.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: '' });
    });
    sent.once('error', reject).end();
  });
}

const PAGE = { 'sec-fetch-mode': 'navigate', accept: 'text/html' };

/** A browser that has signed in; what it shows to the site. */
async function signedIn() {
  const { port, origin, user } = await world();
  const agent = new Agent();
  const sent = await raw(port, '/a/b?c=d', PAGE);
  // The address leads through the gate as a browser's would; only fetch says of itself that it looks at no page.
  await open(agent, `${origin}${sent.headers.location}`, user);
  const cookies = Object.entries(agent.cookies(HOST)).map(([name, value]) => `${name}=${value}`);
  return { sent, cookie: cookies.join('; ') };
}

const test = nginxTest(onSqlite);

test('nginx: a page leads to the sign-in and back, and the site is told who it is and never shown the cookie', async (t) => {
  const { port, user } = await world();
  const { sent, cookie } = await signedIn();
  t.is(sent.status, 302);
  t.is(sent.headers.location, '/.cardea/start?rd=%2Fa%2Fb%3Fc%3Dd');
  t.regex(cookie, /^cardea_gate=[\w-]{43}$/);
  const forged = {
    'x-auth-request-user': 'root',
    'x-auth-request-roles': 'admin',
    'x-auth-request-email': 'root@example.com',
    X_Auth_Request_User: 'root',
  };
  const answer = await raw(port, '/a/b?c=d', { ...forged, cookie: `first=1; ${cookie}; last=2` });
  t.is(answer.status, 200);
  const seen = JSON.parse(answer.text);
  t.is(seen.url, '/a/b?c=d');
  t.is(seen.headers['x-auth-request-user'], user.id);
  t.is(seen.headers['x-auth-request-preferred-username'], user.username);
  t.is(seen.headers['x-auth-request-email'], user.email);
  t.is(seen.headers['x-auth-request-roles'], undefined);
  t.is(seen.headers['x-auth-request-acr'], 'aal1');
  t.false(answer.text.includes('root'));
  t.false(answer.text.includes('cardea_gate'));
  t.regex(seen.headers.cookie, /first=1; ?.*last=2/);
});

test('nginx: public paths are everybody’s, without an identity; the others are not, whoever one says to be', async (t) => {
  const { port, user } = await world();
  const forged = { 'x-auth-request-user': user.id, 'x-cardea-path': '/healthz', 'x-forwarded-host': 'other.example', 'x-forwarded-uri': '/healthz' };
  const open = await raw(port, '/healthz', forged);
  t.is(open.status, 200);
  t.is(JSON.parse(open.text).headers['x-auth-request-user'], undefined);
  t.is((await raw(port, '/other', forged)).status, 401);
  t.is((await raw(port, '/.cardea/auth', forged)).status, 404);
  t.is((await raw(port, '/.cardea/other', forged)).status, 404);
});

test('nginx: a program and a WebSocket get a bare 401; signed in, they get through', async (t) => {
  const { port, user } = await world();
  const socket = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    accept: 'text/html',
  };
  for (const headers of [{ accept: 'application/json' }, socket]) {
    const answer = await raw(port, '/api', headers);
    t.is(answer.status, 401);
    t.is(answer.headers.location, undefined);
    t.regex(answer.headers['www-authenticate'] ?? '', /^Bearer realm=/);
  }
  const { cookie } = await signedIn();
  t.is((await raw(port, '/api', { accept: 'application/json', cookie })).status, 200);
  const upgraded = await raw(port, '/socket', { ...socket, cookie });
  t.is(upgraded.status, 101);
  t.is(upgraded.headers['x-seen'], user.id);
});

test('nginx: no spelling of a path leads past its rule', async (t) => {
  const { port } = await world();
  const { cookie } = await signedIn();
  t.is((await raw(port, '/admin/x', { cookie })).status, 403);
  const tricks = [
    '/open/../admin/x',
    '/open/%2e%2e/admin/x',
    '/open/..%2fadmin/x',
    '//admin/x',
    '/open//../admin/x',
    '/open/..;/admin/x',
    '/%61dmin/x',
    '/ADMIN/x',
    '/admin;a/x',
    '/admin%20/x',
    '/open/%5c..%5cadmin',
    '/open/%0d%0aX-Cardea-Path:%20/open',
    '/open/x%00',
    '/open/%252e%252e/admin',
    '/./admin/x',
    '/admin%2fx',
  ];
  for (const path of tricks) {
    const both: Record<string, string>[] = [{}, { cookie }];
    for (const headers of both) {
      const { status } = await raw(port, path, headers);
      t.true(status === 400 || status === 401 || status === 403, `${path}: ${status}`);
    }
  }
  t.is((await raw(port, '/open/x?a=//&b=..%2f', {})).status, 200);
  t.is((await raw(port, '/caf%C3%A9', { cookie })).status, 200);
});
