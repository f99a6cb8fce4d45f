/** Pages of other origins at every endpoint that a browser may call: which may read the answer, with and without credentials. */
import { arena, at, basic, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { signIn } from '../support/sign-in.ts';

/** What an answer says to the browser of it. */
interface Told {
  status: number;
  origin: string | null;
  credentials: string | null;
  exposed: string | null;
}

const told = ({ status, headers }: Response): Told => ({
  status,
  origin: headers.get('access-control-allow-origin'),
  credentials: headers.get('access-control-allow-credentials'),
  exposed: headers.get('access-control-expose-headers'),
});

const SPA = 'https://spa.example';
const ADMIN = 'https://admin.example:8443';
/** Near, and none of them. */
const FOREIGN = [
  'https://other.example',
  'null',
  'https://spa.example.evil.example',
  'https://evilspa.example',
  'https://evil.spa.example',
  'http://spa.example',
  'https://spa.example:444',
  'https://spa.example:443',
  'https://SPA.example',
  'https://spa.example/',
  'https://spa.example https://evil.example',
  'https://admin.example',
  '*',
];

forEachEngine((engine) => {
  const { scene } = arena(engine);
  const spa = () =>
    scene({ mfa: 'off' }, { publicClient: true, redirectUris: [`${SPA}/callback`], postLogoutRedirectUris: [], webOrigins: ['+', ADMIN] });
  const url = ({ server, realm }: Scene, path: string) => `${server.origin}/realms/${realm.name}${path}`;
  const post = (stage: Scene, endpoint: string, fields: Record<string, string>, headers: Record<string, string>) =>
    fetch(url(stage, `/protocol/openid-connect/${endpoint}`), { method: 'POST', headers, body: new URLSearchParams(fields) });

  /** One request to each endpoint, good or bad, as a page of that origin makes it. */
  const requests = (stage: Scene, accessToken: string) => {
    const { clientId } = stage.rp.client;
    const code = { grant_type: 'authorization_code', code: 'none', redirect_uri: `${SPA}/callback`, client_id: clientId };
    const authorize = { client_id: clientId, redirect_uri: `${SPA}/callback`, response_type: 'code', scope: 'openid', code_challenge_method: 'S256' };
    const userinfo = url(stage, '/protocol/openid-connect/userinfo');
    return {
      token: (headers: Record<string, string>) => post(stage, 'token', code, headers),
      'token, of a client that is wrong': (headers: Record<string, string>) => post(stage, 'token', { ...code, client_secret: 'x' }, headers),
      'token, of a grant that is none': (headers: Record<string, string>) => post(stage, 'token', { ...code, grant_type: 'x' }, headers),
      revocation: (headers: Record<string, string>) => post(stage, 'revoke', { client_id: clientId, token: 'none' }, headers),
      'a device': (headers: Record<string, string>) => post(stage, 'auth/device', { client_id: clientId }, headers),
      'sign-out by a token': (headers: Record<string, string>) => post(stage, 'logout', { client_id: clientId, refresh_token: 'none' }, headers),
      introspection: (headers: Record<string, string>) => post(stage, 'token/introspect', { client_id: clientId, token: 'none' }, headers),
      PAR: (headers: Record<string, string>) =>
        post(stage, 'ext/par/request', { ...authorize, code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM' }, headers),
      'PAR, refused': (headers: Record<string, string>) =>
        post(stage, 'ext/par/request', { ...authorize, redirect_uri: 'https://x.example' }, headers),
      userinfo: (headers: Record<string, string>) => fetch(userinfo, { headers: { ...headers, authorization: `bearer ${accessToken}` } }),
      'userinfo, posted': (headers: Record<string, string>) =>
        post(stage, 'userinfo', { scope: 'x y' }, { ...headers, authorization: `Bearer ${accessToken}` }),
    };
  };

  engine.test('named origins may read every answer, errors too, and with credentials; no other origin any', async (t) => {
    const stage = await spa();
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    for (const [what, ask] of Object.entries(requests(stage, tokens.access_token))) {
      for (const origin of [SPA, ADMIN]) {
        const answer = await ask({ origin });
        const { status, ...said } = told(answer);
        const exposed = 'WWW-Authenticate, Retry-After, DPoP-Nonce, X-Request-Id';
        t.deepEqual(said, { origin, credentials: 'true', exposed }, `${what} ${status} ${origin}`);
        t.regex(answer.headers.get('vary') ?? '', /\bOrigin\b/, what);
        t.true((await answer.text()) !== '' || status === 200, `${what} says something`);
      }
      for (const origin of FOREIGN) {
        const { status, ...said } = told(await ask({ origin }));
        t.deepEqual(said, { origin: null, credentials: null, exposed: null }, `${what} ${origin}`);
        t.true(status >= 400, `${what} ${origin} is refused`);
      }
      t.like(told(await ask({})), { origin: null, credentials: null }, `${what}, of no page`);
    }
  });

  engine.test('a browser may ask before it calls, whosever page it is, and remembers the answer', async (t) => {
    const stage = await spa();
    for (const endpoint of ['token', 'userinfo', 'revoke', 'logout', 'auth/device', 'token/introspect', 'ext/par/request']) {
      const asked = (origin: string) =>
        fetch(url(stage, `/protocol/openid-connect/${endpoint}`), {
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,dpop' },
        });
      const { headers, status } = await asked(SPA);
      const say = (name: string) => headers.get(`access-control-${name}`);
      t.deepEqual([status, say('allow-origin'), say('allow-credentials'), say('max-age')], [204, SPA, 'true', '3600'], endpoint);
      t.regex(say('allow-methods') ?? '', /POST/);
      t.is(say('allow-headers'), 'authorization,dpop');
      t.regex(headers.get('vary') ?? '', /\bOrigin\b/);
      t.is((await asked('null')).headers.get('access-control-allow-credentials'), null);
    }
  });

  engine.test('an answer for no client is for no page', async (t) => {
    const stage = await spa();
    const asked: Promise<Response>[] = [
      post(stage, 'token', { grant_type: 'authorization_code', code: 'x', client_id: 'nobody' }, { origin: SPA }),
      post(stage, 'token', { grant_type: 'authorization_code', code: 'x' }, { origin: SPA }),
      post(stage, 'token', {}, { origin: SPA, ...basic({ clientId: 'nobody', secret: 'x' }) }),
      fetch(url(stage, '/protocol/openid-connect/userinfo'), { headers: { origin: SPA } }),
      fetch(url(stage, '/protocol/openid-connect/userinfo'), { headers: { origin: SPA, authorization: 'Bearer made.up.token' } }),
    ];
    for (const answer of await Promise.all(asked)) {
      t.deepEqual([told(answer).origin, told(answer).credentials], [null, null]);
      t.true(answer.status >= 400);
    }
  });

  engine.test('with `*` every origin may, without credentials; where users are sent back to is named by that', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true, redirectUris: [`${SPA}/callback`], webOrigins: ['*'] });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const { token, userinfo } = requests(stage, tokens.access_token);
    for (const ask of [token, userinfo]) {
      t.like(told(await ask({ origin: SPA })), { origin: SPA, credentials: 'true' });
      for (const origin of ['https://other.example', 'null']) t.like(told(await ask({ origin })), { origin: '*', credentials: null }, origin);
      t.like(told(await ask({})), { origin: null });
    }
    t.is((await userinfo({ origin: 'https://other.example' })).status, 200);
  });

  engine.test('`+` goes by the root URL where redirect URIs are relative, and knows no origin where they have none', async (t) => {
    const stage = await scene(
      { mfa: 'off' },
      { publicClient: true, rootUrl: 'https://relative.example/app', redirectUris: ['/callback/*', 'com.example.app:/back'], webOrigins: ['+'] },
    );
    const { token } = requests(stage, '');
    t.is(told(await token({ origin: 'https://relative.example' })).origin, 'https://relative.example');
    for (const origin of ['null', 'com.example.app:', SPA]) t.is(told(await token({ origin })).origin, null, origin);
  });

  engine.serial('a page learns that its token has expired', async (t) => {
    const stage = await spa();
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    await at(10 * 60_000, async () => {
      const { userinfo } = requests(stage, tokens.access_token);
      const answer = await userinfo({ origin: SPA });
      t.like(told(answer), { status: 401, origin: SPA, credentials: 'true' });
      t.regex(answer.headers.get('www-authenticate') ?? '', /invalid_token/);
      t.like(told(await userinfo({ origin: 'https://other.example' })), { status: 401, origin: null });
    });
  });

  engine.test('keys and metadata are for everybody, pages of a sign-in for nobody', async (t) => {
    const stage = await spa();
    for (const path of ['/.well-known/openid-configuration', '/protocol/openid-connect/certs', '']) {
      const said = told(await fetch(url(stage, path), { headers: { origin: 'https://other.example' } }));
      t.regex(said.origin ?? '', /^(\*|https:\/\/other\.example)$/, path);
      t.is(said.credentials, null);
    }
    for (const path of ['/protocol/openid-connect/auth', '/protocol/openid-connect/logout', '/account']) {
      const said = told(await fetch(url(stage, path), { headers: { origin: SPA }, redirect: 'manual' }));
      t.deepEqual([said.origin, said.credentials], [null, null], path);
    }
  });
});
