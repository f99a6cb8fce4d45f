/** `GET /realms/{realm}/account` with an access token: the profile that keycloak-js loads. */
import { createUser } from '../../src/admin/resources/users.ts';
import { afterPassword, arena, call, codeExchange, codeFrom, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { proofKey, proofOf } from '../support/dpop.ts';
import { acting, stage as impersonationStage, tokensFor } from '../support/impersonation.ts';
import { Browser, relyingParty, signIn } from '../support/sign-in.ts';

const SPA = 'https://spa.example';

forEachEngine((engine) => {
  const { scene, server } = arena(engine);
  const spa = () => scene({ mfa: 'off' }, { publicClient: true, redirectUris: [`${SPA}/callback`], webOrigins: ['+'] });
  const load = async ({ server: at, realm }: Pick<Scene, 'server' | 'realm'>, authorization: string, init: RequestInit = {}, path = '') => {
    const headers = { accept: 'application/json', authorization, ...Object.fromEntries(new Headers(init.headers)) };
    const answer = await fetch(`${at.origin}/realms/${realm.name}/account${path}`, { redirect: 'manual', ...init, headers });
    const text = await answer.text();
    const body: Record<string, unknown> = text.startsWith('{') ? JSON.parse(text) : {};
    return { status: answer.status, headers: answer.headers, body };
  };

  engine.test('it says who the user is, and of the attributes those that tokens of the application say', async (t) => {
    const stage = await spa();
    const password = 'a password of the user of a profile';
    const user = await createUser(stage.server.operator(), stage.realm, {
      ...{ username: 'Erin', password, email: 'Erin@example.com', emailVerified: true, firstName: 'Erin', lastName: 'Ek' },
      attributes: { website: ['https://erin.example'], salary: ['12'] },
    });
    const { tokens } = await signIn(stage.server, stage.rp, { username: 'erin', password });
    for (const scheme of ['bearer', 'Bearer']) {
      const { status, body, headers } = await load(stage, `${scheme} ${tokens.access_token}`, { headers: { origin: SPA } });
      t.is(status, 200);
      t.deepEqual(body, {
        ...{ id: user.id, username: 'Erin', firstName: 'Erin', lastName: 'Ek', email: 'Erin@example.com', emailVerified: true },
        attributes: { website: ['https://erin.example'] },
      });
      t.is(headers.get('access-control-allow-origin'), SPA);
      t.is(headers.get('cache-control'), 'no-store');
    }
    t.is((await load(stage, `Bearer ${tokens.access_token}`, {}, '/')).status, 200);
  });

  engine.test('pages of the client’s origins may read it, errors too; no other page', async (t) => {
    const stage = await spa();
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const from = async (origin: string, token = tokens.access_token) => {
      const { status, headers } = await load(stage, `Bearer ${token}`, { headers: { origin } });
      return [status, headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')];
    };
    t.deepEqual(await from(SPA), [200, SPA, 'true']);
    for (const origin of ['https://evil.example', 'null', `${SPA}:444`]) t.deepEqual(await from(origin), [200, null, null], origin);
    t.deepEqual(await from(SPA, 'made.up.token'), [401, null, null]);
    const asked = await load(stage, '', {
      method: 'OPTIONS',
      headers: { origin: SPA, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
    });
    t.is(asked.status, 204);
    t.is(asked.headers.get('access-control-allow-origin'), SPA);
    t.is(asked.headers.get('access-control-allow-headers'), 'authorization');
    t.is((await call(stage.server, stage.realm, 'revoke', { token: tokens.access_token, client_id: stage.rp.client.clientId })).status, 200);
    t.deepEqual(await from(SPA), [401, SPA, 'true'], 'the page learns that its token was revoked');
  });

  engine.test('only an access token of a user, that stands, for the audience account and with its roles', async (t) => {
    const stage = await spa();
    const user = await stage.server.user(stage.realm);
    const { tokens, browser } = await signIn(stage.server, stage.rp, user);
    const elsewhere = await scene({ mfa: 'optional' }, { publicClient: true });
    const foreign = await signIn(elsewhere.server, elsewhere.rp, await elsewhere.server.user(elsewhere.realm));
    const service = await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true });
    const ofService = await call(stage.server, stage.realm, 'token', {
      ...{ grant_type: 'client_credentials', client_id: service.clientId, client_secret: service.secret ?? '' },
    });
    for (const [what, wrong] of Object.entries({
      nothing: '',
      'another scheme': `DPoP ${tokens.access_token}`,
      'an ID token': `Bearer ${tokens.id_token}`,
      'a refresh token': `Bearer ${tokens.refresh_token}`,
      'another realm': `Bearer ${foreign.tokens.access_token}`,
      'a service account': `Bearer ${ofService.body.access_token}`,
      'a mark': `Bearer ~${tokens.access_token}`,
    })) {
      const { status, headers, body } = await load(stage, wrong);
      t.is(status, 401, what);
      t.regex(headers.get('www-authenticate') ?? '', /^Bearer realm=/, what);
      t.is(body.username, undefined);
    }
    const limited = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm, { fullScope: false }));
    const narrow = await signIn(stage.server, limited, user, { browser });
    t.is((await load(stage, `Bearer ${narrow.tokens.access_token}`)).status, 403, 'no role that it may use');
    t.is((await load(stage, `Bearer ${tokens.access_token}`)).status, 200);
    await stage.server.db.knex('sessions').where({ realm_id: stage.realm.id, user_id: user.id }).update({ ended_at: Date.now() });
    t.is((await load(stage, `Bearer ${tokens.access_token}`)).status, 401, 'the session has ended');
  });

  engine.test('a token that is bound to a key is no bearer token', async (t) => {
    const stage = await spa();
    const { request, page } = await afterPassword(stage, await stage.server.user(stage.realm));
    const code = codeFrom(page, stage.rp) ?? '';
    const dpop = await proofOf(await proofKey(), {
      method: 'POST',
      url: `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/token`,
    });
    const { body } = await call(stage.server, stage.realm, 'token', codeExchange(stage.rp, request, code), { dpop });
    t.is(body.token_type, 'DPoP');
    const answer = await load(stage, `Bearer ${body.access_token}`);
    t.is(answer.status, 401);
    t.regex(String(answer.body.error_description), /bound to a key/);
  });

  engine.test('who acts as a user reads no profile; nobody changes one here; a browser gets the console', async (t) => {
    const on = await impersonationStage(await server());
    const tokens = await tokensFor(await acting(on), on.rp);
    t.is((await load(on, `Bearer ${tokens.access_token}`)).status, 403);
    const stage = await spa();
    const { tokens: own } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const { status, headers, body } = await load(stage, `Bearer ${own.access_token}`, { method, headers: { origin: SPA } });
      t.deepEqual([status, headers.get('allow'), headers.get('access-control-allow-origin')], [405, 'GET, HEAD, OPTIONS', SPA]);
      t.regex(String(body.error_description), /account console/);
    }
    const page = await new Browser(stage.server.origin).request(`${stage.server.origin}/realms/${stage.realm.name}/account`, {
      headers: { authorization: `Bearer ${own.access_token}` },
    });
    t.is(page.status, 303, 'a page is for whoever has the console’s cookie');
  });
});
