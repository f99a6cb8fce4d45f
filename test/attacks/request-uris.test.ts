/** E09 · Requests by reference: anybody can send a browser here, and nobody has us fetch what the client did not register, reach what only we can, or hammer somebody. */
import { createHash, randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { UnsecuredJWT } from 'jose';
import { arena, basic, call, parallel } from '../support/attack.ts';
import { assertionOf, issuerAt, keySetOf, ownKey, type Signing } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { listen } from '../support/listen.ts';
import { authorizationRequest, Browser, exchange } from '../support/sign-in.ts';

const MISLEADING: Readonly<Record<string, RequestListener>> = {
  '/redirect': (_request, response) => void response.writeHead(302, { location: '/inner' }).end(),
  '/away': (_request, response) => void response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
  '/large': (_request, response) => void response.end('a'.repeat(100_000)),
  '/slow': (_request, response) => void response.write('a'),
  '/missing': (_request, response) => void response.writeHead(404).end('no'),
  '/broken': (_request, response) => void response.writeHead(500).end('database password: hunter2'),
  '/words': (_request, response) => void response.end('database password: hunter2'),
  '/page': (_request, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('a.b.c'),
  '/json': (_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('a.b.c'),
};

forEachEngine((engine) => {
  let shared: ReturnType<typeof start> | undefined;
  const start = async () => {
    const files = new Map<string, string>();
    const source = await listen((request, response) => {
      const [path = ''] = (request.url ?? '').split('?');
      const misleading = MISLEADING[path.replace(/^\/[^/]+/, '')];
      if (misleading) misleading(request, response);
      else response.writeHead(200, { 'content-type': 'application/jwt' }).end(files.get(path) ?? 'a.b.c');
    });
    // The source, by the one name; by the other it is a private address like any.
    const { scene } = arena(engine, { CARDEA_OUTBOUND_ALLOW: `localhost:${source.port}`, CARDEA_TRUST_PROXY: '1' });
    return { files, source, scene };
  };
  const stageOf = async (attributes: Record<string, string> = {}) => {
    shared ??= start();
    const { files, source, scene } = await shared;
    const ours = `http://localhost:${source.port}/${randomUUID()}`;
    const key = await ownKey();
    const stage = await scene({ mfa: 'off' }, { attributes: { ...keySetOf(key), 'request.uris': `${ours}/requests/*`, ...attributes } });
    const { server, realm, rp } = stage;
    /** Each visitor at an address of their own, unless it is about that. */
    const visit = async (
      parameters: Record<string, string> | URLSearchParams,
      ip = `198.18.${Math.floor(Math.random() * 250)}.7`,
      by = rp.client,
    ) => {
      const query = new URLSearchParams(parameters);
      for (const [name, value] of Object.entries({ client_id: by.clientId, redirect_uri: by.redirectUri, state: 'ours', response_type: 'code' }))
        if (!query.has(name)) query.set(name, value);
      const answer = await fetch(`${server.url}/realms/${realm.name}/protocol/openid-connect/auth?${query}`, {
        redirect: 'manual',
        headers: { 'x-forwarded-for': ip, accept: 'text/html' },
      });
      const location = answer.headers.get('location') ?? '';
      const { error = '', error_description: says = '' } = Object.fromEntries(new URL(location, 'http://x').searchParams);
      return {
        status: answer.status,
        headers: answer.headers,
        html: await answer.text(),
        begun: answer.status === 303 && location.includes('/login/'),
        error,
        says,
      };
    };
    const sign = async (how: Signing = {}) => {
      const inside = Object.fromEntries(new URL((await authorizationRequest(rp)).url).searchParams);
      return assertionOf(server, realm, rp.client, { key, ...how, claims: { ...inside, sub: undefined, jti: undefined, ...how.claims } });
    };
    const serve = (object: string): string => {
      const uri = `${ours}/requests/${randomUUID()}`;
      files.set(new URL(uri).pathname, object);
      return uri;
    };
    const asked = (of = ours): number => source.requests.filter(({ url }) => url?.startsWith(new URL(of).pathname)).length;
    return { ...stage, key, ours, place: new URL(ours).pathname, port: source.port, visit, sign, serve, asked };
  };

  engine.serial('scopes beside a request that is fetched are not taken, and those in it are', async (t) => {
    const { server, realm, rp, sign, serve } = await stageOf();
    const user = await server.user(realm);
    const grantedTo = async (inside: string, beside: string): Promise<string[]> => {
      const request = await authorizationRequest(rp);
      const claims = { ...Object.fromEntries(new URL(request.url).searchParams), scope: inside };
      const query = { client_id: rp.client.clientId, request_uri: serve(await sign({ claims })), response_type: 'code', scope: beside };
      const browser = new Browser(server.origin);
      const page = await browser.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/auth?${new URLSearchParams(query)}`);
      const back = await browser.send(page, { username: user.username, password: user.password });
      return String((await exchange(rp, request, back)).scope).split(' ');
    };
    t.false((await grantedTo('openid', 'openid offline_access phone')).some((scope) => ['offline_access', 'phone'].includes(scope)));
    const granted = await grantedTo('openid offline_access', 'openid phone');
    t.true(granted.includes('offline_access') && !granted.includes('phone'), granted.join(' '));
  });

  engine.serial('E09 a visitor with many addresses of one IPv6 line is one visitor', async (t) => {
    const { visit, serve, sign, ours, asked } = await stageOf();
    const uris = await parallel(40, async () => serve(await sign()));
    const answers = await Promise.all(uris.map((uri, index) => visit({ request_uri: uri }, `2001:db8:1:2::${index.toString(16)}`)));
    t.is(answers.filter(({ status }) => status === 429).length, 10);
    t.is(asked(ours), 30);
  });

  engine.serial('E09 what the client did not register is not fetched, however it is written', async (t) => {
    const { visit, ours, place, port, asked, serve, sign, server, realm } = await stageOf();
    for (const uri of [
      ...[
        `${ours}/other`,
        `${ours}/requests`.slice(0, -1),
        `${ours}/requests/../other`,
        `${ours}/requests/%2e%2e/other`,
        `${ours}/requests/..%2fother`,
      ],
      ...[`${ours}/requests//a`, `${ours}/requests/a\\b`, `${ours}/Requests/a`, `${ours}/requests/;/../../other`, `${ours}/requests/@evil.example`],
      ...[
        `http://localhost:${port}@evil.example${place}/requests/a`,
        `http://user@localhost:${port}${place}/requests/a`,
        `HTTP://LOCALHOST:${port}${place}/requests/a`,
      ],
      ...[
        `http://localhost.:${port}${place}/requests/a`,
        `http://127.0.0.1:${port}${place}/requests/a`,
        `http://localhost${place}/requests/a`,
        `https://localhost:${port}${place}/requests/a`,
      ],
      ...['http://169.254.169.254/latest/meta-data/', 'https://[::1]/', 'file:///etc/passwd', 'data:application/jwt,a.b.c', 'urn:x', 'nonsense'],
      ...[`${ours}/requests/a b`, `${ours}/requests/a\r\nx: y`, `${ours}/requests/ä`, `${ours}/requests/${'a'.repeat(512)}`, `${ours}/requests/a#b`],
      'URN:ietf:params:oauth:request_uri:x',
    ])
      t.is((await visit({ request_uri: uri })).error, 'invalid_request_uri', uri);
    const good = serve(await sign());
    const stranger = await server.client(realm, { attributes: { 'request.uris': `${ours}/elsewhere` } });
    t.is((await visit({ request_uri: good }, undefined, stranger)).error, 'invalid_request_uri', 'another client’s');
    t.is((await visit({ request_uri: good }, undefined, await server.client(realm))).error, 'invalid_request_uri', 'of one that has none');
    const elsewhere = await server.realm({ mfa: 'off' });
    await server.client(elsewhere, { clientId: stranger.clientId, attributes: { 'request.uris': `${ours}/requests/*` } });
    t.is((await visit({ request_uri: good }, undefined, stranger)).error, 'invalid_request_uri', 'another realm’s');
    t.is(asked(), 0, 'and nobody was asked for anything');
    t.true((await visit({ request_uri: good })).begun);
  });

  engine.serial('E09 what only the server reaches looks like what is not there, and says nothing of what is', async (t) => {
    const { server, realm, ours, port, visit } = await stageOf();
    const uris = [
      ...Object.keys(MISLEADING).map((path) => `${ours}${path}`),
      ...['https://169.254.169.254/latest', 'https://10.0.0.1/request.jwt', 'https://[::1]/request.jwt', `https://127.0.0.1:${port}/request.jwt`],
      ...['https://nobody.invalid/request.jwt', `https://localhost:${port}/request.jwt`],
    ];
    const client = await server.client(realm, { attributes: { 'request.uris': uris.join('##') } });
    const said = new Set<string>();
    for (const uri of [...uris, `${ours}/words#${createHash('sha256').update('another').digest('base64url')}`]) {
      const { error, says } = await visit({ request_uri: uri }, undefined, client);
      t.is(error, 'invalid_request_uri', uri);
      t.false(says.includes('hunter2'));
      said.add(says);
    }
    t.is(said.size, 1, [...said].join('\n'));
  });

  engine.serial('E09 nobody is hammered by us: an address is asked once for many, and whoever has us ask too much waits', async (t) => {
    const { visit, serve, sign, asked, ours } = await stageOf();
    const uri = serve(await sign());
    const all = await parallel(8, () => visit({ request_uri: uri }));
    t.true(all.every(({ begun }) => begun));
    t.is(asked(uri), 1);
    const many = await parallel(35, (index) => visit({ request_uri: `${ours}/requests/other/${index}` }, '198.19.0.1'));
    t.true(asked(`${ours}/requests/other`) <= 30);
    const waits = many.filter(({ status }) => status === 429);
    t.true(waits.length > 0);
    for (const { headers, html } of waits) {
      t.is(headers.get('retry-after'), '60');
      t.true(html.includes('Wait a minute'));
    }
    t.true((await visit({ request_uri: serve(await sign()) }, '198.19.0.2')).begun, 'and others go on');
  });

  engine.serial('E09 nothing is fetched for a request that cannot be one', async (t) => {
    const { server, realm, rp, visit, serve, sign, asked, ours } = await stageOf();
    const uri = serve(await sign());
    const object = await sign();
    t.is((await visit({ request_uri: uri, request: object })).error, 'invalid_request', 'not both');
    const twice = (name: string, ...values: string[]) => {
      const query = new URLSearchParams({ request_uri: uri });
      for (const value of values) query.append(name, value);
      return visit(query);
    };
    t.is((await twice('request_uri', `${uri}2`)).error, 'invalid_request');
    t.is((await twice('state', 'a', 'b')).error, 'invalid_request');
    t.is((await twice('client_id', rp.client.clientId, rp.client.clientId)).status, 400);
    t.is((await visit({ request_uri: uri, client_id: 'nobody' })).status, 400);
    t.is((await visit({ request_uri: uri, redirect_uri: 'https://evil.example/' })).begun, true, 'what stands beside it is not looked at');
    const seen = asked(uri);
    const any = { attributes: { 'request.uris': `${ours}/requests/*` } };
    const off = await server.client(realm, { ...any, standardFlow: false, serviceAccount: true });
    t.is((await visit({ request_uri: `${uri}3` }, undefined, off)).begun, false);
    const disabled = await server.client(realm, any);
    await server.db.knex('clients').where({ realm_id: realm.id, client_id: disabled.clientId }).update({ enabled: false });
    t.is((await visit({ request_uri: `${uri}3` }, undefined, disabled)).status, 400);
    const byValue = await server.client(realm, { attributes: { ...any.attributes, 'request.object.required': 'request only' } });
    t.is((await visit({ request_uri: `${uri}3` }, undefined, byValue)).error, 'invalid_request_uri');
    for (const path of ['ext/par/request', 'auth/device']) {
      const pushed = await call(server, realm, path, { request_uri: `${uri}3` }, basic(rp.client));
      t.is(pushed.status, 400, path);
      t.falsy(pushed.body.request_uri);
    }
    // An error that leads nowhere but to the client.
    const evil = await visit({ request_uri: `${ours}/other`, redirect_uri: 'https://evil.example/' });
    t.deepEqual([evil.status, evil.headers.get('location')], [400, null]);
    t.is(asked(uri), seen);
  });

  engine.serial('what was fetched is looked at as what was sent: whose it is, for whom, by which key, and once', async (t) => {
    const { server, realm, rp, visit, sign, serve } = await stageOf({ 'request.object.signature.alg': 'ES256' });
    const stranger = await server.client(realm);
    const now = Math.floor(Date.now() / 1000);
    const begins = async (how: Signing) => (await visit({ request_uri: serve(await sign(how)) })).begun;
    t.true(await begins({}));
    t.true(await begins({ claims: { exp: undefined, iat: undefined } }), 'a file that stays where it is');
    t.true(await begins({ claims: { iat: now - 86_400, exp: now + 86_400 } }));
    for (const claims of [
      ...[{ client_id: stranger.clientId }, { client_id: undefined }, { iss: stranger.clientId }, { iss: undefined }, { sub: rp.client.clientId }],
      ...[{ aud: 'https://other.example' }, { aud: undefined }, { aud: [issuerAt(server, realm), 'https://other.example'] }],
      ...[{ exp: now - 60 }, { nbf: now + 600 }, { iat: now + 600 }, { exp: undefined, iat: now + 600 }],
      ...[{ request: 'x' }, { request_uri: 'https://app.example/' }, { redirect_uri: 'https://evil.example/' }],
      ...[
        { jti: 'a', exp: undefined, iat: undefined },
        { jti: 'b', exp: now + 86_400 },
        { jti: '', exp: undefined, iat: undefined },
      ],
    ])
      t.false(await begins({ claims }), JSON.stringify(claims));
    t.false(await begins({ key: await ownKey() }));
    t.false(await begins({ key: { secret: rp.client.secret ?? '' } }), 'the client said ES256');
    t.false(await begins({ header: { crit: ['cardea'], cardea: 1 } }));
    const claims = { iss: rp.client.clientId, client_id: rp.client.clientId, aud: issuerAt(server, realm), redirect_uri: rp.client.redirectUri };
    const unsigned = await visit({ request_uri: serve(new UnsecuredJWT({ ...claims, response_type: 'code', scope: 'openid' }).encode()) });
    t.deepEqual([unsigned.begun, unsigned.error], [false, 'invalid_request_object']);
    t.is((await visit({ client_id: stranger.clientId, request_uri: serve(await sign()) })).begun, false);
    const once = await sign({ claims: { jti: randomUUID() } });
    const uris = [serve(once), serve(once)];
    const many = await parallel(10, (index) => visit({ request_uri: uris[index % 2] ?? '' }));
    t.is(many.filter(({ begun }) => begun).length, 1);
    t.false((await visit({ request: once })).begun, 'nor by value after that');
  });
});
