/**
 * Whom access tokens are for, and what they look like: for the realm or for a resource server that the request names (RFC 8707), as a
 * JWT or opaque. Whatever they look like, the endpoints say the same of them.
 */
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { createClient } from '../../src/admin/resources/clients.ts';
import { endSessionsOf } from '../../src/sessions/sessions.ts';
import { adminOf, callAdmin } from '../support/admin.ts';
import { arena, type Scene } from '../support/attack.ts';
import type { TestClient } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty, relyingParty, signIn } from '../support/sign-in.ts';

const ORDERS = 'https://orders.example/api';
const BILLS = 'https://bills.example/';
const REALM = 'urn:cardea:realm';

const isJwt = (token: string): boolean => token.split('.').length === 3;

const refused = async (work: Promise<unknown>): Promise<string | undefined> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof openid.ResponseBodyError || error instanceof openid.AuthorizationResponseError) return error.error;
    throw error;
  }
  return undefined;
};

forEachEngine((engine) => {
  const { server, scene } = arena(engine);

  /** A resource server, and an application that may ask for tokens for it. */
  async function world(attributes: Record<string, string> = {}, client: Record<string, unknown> = {}) {
    const stage = await scene({ mfa: 'off' });
    const { server: cardea, realm } = stage;
    const api = await cardea.client(realm, { redirectUris: [], standardFlow: false, attributes: { 'cardea.resource': ORDERS, ...attributes } });
    const other = await cardea.client(realm, { redirectUris: [], standardFlow: false, attributes: { 'cardea.resource': `${BILLS}##${BILLS}v2` } });
    const allowed = { 'cardea.resources': `${api.clientId}##${other.clientId}` };
    const rp = await relyingParty(cardea, realm, await cardea.client(realm, { serviceAccount: true, attributes: allowed, ...client }));
    const user = await cardea.user(realm);
    return { stage: { ...stage, rp }, cardea, realm, api, rp, user, apiRp: await relyingParty(cardea, realm, api) };
  }

  const userinfo = async ({ server: cardea, realm }: Pick<Scene, 'server' | 'realm'>, token: string) =>
    (await fetch(`${cardea.origin}/realms/${realm.name}/protocol/openid-connect/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status;

  for (const format of ['jwt', 'opaque']) {
    const FORMAT = { 'cardea.access.token.format': format };

    engine.test(`tokens for the realm as ${format}: at userinfo, introspection, refresh and revocation`, async (t) => {
      const stage = await scene({ mfa: 'optional' }, { attributes: FORMAT });
      const { server: cardea, realm, rp } = stage;
      const user = await cardea.user(realm);
      const { tokens } = await signIn(cardea, rp, user, { parameters: { acr_values: 'aal2' } });
      t.is(isJwt(tokens.access_token), format === 'jwt');
      t.is((await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id)).preferred_username, user.username);
      const looked = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
      const { sub, acr, amr, auth_time, sid }: Record<string, unknown> = { ...tokens.claims() };
      t.is(acr, 'aal2');
      t.like(looked, { active: true, sub, acr, auth_time, sid, client_id: rp.client.clientId, azp: rp.client.clientId, typ: 'Bearer' });
      t.like(looked, { iss: `${cardea.origin}/realms/${realm.name}`, aud: 'account', token_type: 'Bearer', preferred_username: user.username });
      t.deepEqual(looked.amr, amr);
      t.deepEqual(Object(looked.realm_access).roles.includes(`default-roles-${realm.name}`), true);
      t.true(String(looked.scope).split(' ').includes('openid'));
      t.deepEqual([Number(looked.exp) - Number(looked.iat)], [tokens.expires_in]);

      const again = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
      t.is(isJwt(again.access_token), format === 'jwt');
      const after = await openid.tokenIntrospection(rp.configuration, again.access_token);
      t.like(after, { active: true, acr, auth_time, sid });
      t.deepEqual(after.amr, amr);
      await openid.tokenRevocation(rp.configuration, again.access_token);
      t.false((await openid.tokenIntrospection(rp.configuration, again.access_token)).active);
      t.is(await userinfo(stage, again.access_token), 401);
      t.true((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active, 'the other one stands');
      await openid.tokenRevocation(rp.configuration, tokens.refresh_token ?? '');
      t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active, 'with the family');
      const rows = await cardea.db.knex('oidc_payloads').where({ realm_id: realm.id, model: 'AccessToken' }).select('id', 'payload');
      t.false(JSON.stringify(rows).includes(tokens.access_token), 'nothing is stored that could be used');
    });

    engine.test(`tokens as ${format} end with their session, their user and their client at once`, async (t) => {
      const stage = await scene({ mfa: 'off' }, { attributes: FORMAT });
      const { server: cardea, realm, rp } = stage;
      const looker = await relyingParty(cardea, realm, await cardea.client(realm));
      const active = async (token: string) => (await openid.tokenIntrospection(looker.configuration, token)).active;
      const [ada, bob] = [await cardea.user(realm), await cardea.user(realm)];
      const [hers, his] = [(await signIn(cardea, rp, ada)).tokens.access_token, (await signIn(cardea, rp, bob)).tokens.access_token];
      t.deepEqual([await active(hers), await active(his)], [true, true]);
      await endSessionsOf(cardea.db, realm.id, { userId: ada.id }, Date.now());
      t.deepEqual([await active(hers), await active(his)], [false, true]);
      t.is(await userinfo(stage, hers), 401);
      await cardea.db.knex('users').where({ realm_id: realm.id, id: bob.id }).update({ enabled: false });
      t.false(await active(his));
      await cardea.db.knex('users').where({ realm_id: realm.id, id: bob.id }).update({ enabled: true });
      t.true(await active(his));
      await cardea.db
        .knex('clients')
        .where({ realm_id: realm.id, id: rp.client.row.id })
        .update({ enabled: false, updated_at: Date.now() + 1 });
      await cardea.db.changes.announce(`client:${realm.id}`);
      t.false(await active(his));
      const elsewhere = await scene({ mfa: 'off', accessTokenLifespan: 299 });
      t.false((await openid.tokenIntrospection(elsewhere.rp.configuration, his)).active, 'in another realm it was never anything');
    });

    engine.test(`a service account has tokens as ${format}`, async (t) => {
      const { rp } = await scene({ mfa: 'off' }, { serviceAccount: true, attributes: FORMAT });
      const tokens = await openid.clientCredentialsGrant(rp.configuration);
      t.is(isJwt(tokens.access_token), format === 'jwt');
      const looked = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
      t.like(looked, { active: true, aud: 'account', preferred_username: `service-account-${rp.client.clientId}`, typ: 'Bearer' });
      await openid.tokenRevocation(rp.configuration, tokens.access_token);
      t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    });

    engine.test(`a token as ${format} for a resource server is for it alone, and as it wants it`, async (t) => {
      const wants = {
        ...FORMAT,
        'access.token.lifespan': '77',
        'access.token.signed.response.alg': 'ES256',
        'access.token.header.type.rfc9068': 'true',
      };
      const { stage, cardea, realm, rp, user, apiRp } = await world(wants);
      const { tokens, browser } = await signIn(cardea, rp, user, { parameters: { resource: ORDERS, scope: 'openid offline_access' } });
      t.is(tokens.expires_in, 77);
      t.is(isJwt(tokens.access_token), format === 'jwt');
      t.like(tokens.claims(), { sub: user.id, preferred_username: user.username, aud: rp.client.clientId }, 'the ID token is what it ever was');
      if (format === 'jwt') {
        const jwks = createRemoteJWKSet(new URL(`${cardea.origin}/realms/${realm.name}/protocol/openid-connect/certs`));
        const { payload } = await jwtVerify(tokens.access_token, jwks, { audience: ORDERS, typ: 'at+jwt', algorithms: ['ES256'] });
        t.is(payload.aud, ORDERS, 'and nobody else');
        t.is(payload.azp, rp.client.clientId);
      }
      for (const who of [apiRp, rp]) {
        const looked = await openid.tokenIntrospection(who.configuration, tokens.access_token);
        t.like(looked, { active: true, aud: ORDERS, sub: user.id, client_id: rp.client.clientId, preferred_username: user.username });
        t.false(String(looked.scope).split(' ').includes('openid'));
      }
      t.true([401, 403].includes(await userinfo(stage, tokens.access_token)), 'userinfo is not what it is for');

      const again = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
      t.is((await openid.tokenIntrospection(apiRp.configuration, again.access_token)).aud, ORDERS);
      t.is(
        await refused(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '', { resource: BILLS })),
        'invalid_target',
        'was not granted',
      );
      t.is(await refused(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '', { resource: REALM })), 'invalid_target');
      await openid.tokenRevocation(rp.configuration, again.access_token);
      t.false((await openid.tokenIntrospection(apiRp.configuration, again.access_token)).active);

      // Beside it, the usual ones.
      const usual = await authorizationRequest(rp);
      const tokensForUs = await exchange(rp, usual, await browser.visit(usual.url));
      t.is(await userinfo(stage, tokensForUs.access_token), 200);
      const own = await openid.clientCredentialsGrant(rp.configuration, { resource: ORDERS });
      t.is(own.expires_in, 77);
      t.like(await openid.tokenIntrospection(apiRp.configuration, own.access_token), { active: true, aud: ORDERS });
    });
  }

  engine.test('several resources are asked for at once, and each token is for one of them', async (t) => {
    const { cardea, rp, user, stage, apiRp } = await world();
    const browser = new Browser(cardea.origin);
    await signIn(cardea, rp, user, { browser });
    const granted = async (asked: string[], parameters?: Record<string, string>) => {
      const request = await authorizationRequest(rp, { scope: 'openid email' });
      const url = new URL(request.url);
      for (const resource of asked) url.searchParams.append('resource', resource);
      return exchange(rp, request, await browser.visit(url.href), parameters && { parameters });
    };
    const one = await granted([ORDERS, BILLS, REALM], { resource: BILLS });
    t.is((await openid.tokenIntrospection(apiRp.configuration, one.access_token)).aud, BILLS);
    const two = await openid.refreshTokenGrant(rp.configuration, one.refresh_token ?? '', { resource: ORDERS });
    t.is((await openid.tokenIntrospection(apiRp.configuration, two.access_token)).aud, ORDERS);
    const three = await openid.refreshTokenGrant(rp.configuration, one.refresh_token ?? '', { resource: REALM });
    t.is(await userinfo(stage, three.access_token), 200);
    t.is(await refused(openid.refreshTokenGrant(rp.configuration, one.refresh_token ?? '')), 'invalid_target', 'which one has to be said');
    const realm = await granted([REALM]);
    t.like(realm.claims(), { preferred_username: user.username }, 'with the scopes that apply unasked');
    t.is(await userinfo(stage, realm.access_token), 200);
    t.is(await refused(granted([ORDERS, BILLS])), 'invalid_target');
    t.is(await refused(granted([ORDERS], { resource: BILLS })), 'invalid_target', 'was not asked for');
    t.is(await refused(granted([ORDERS], { resource: 'https://else.example' })), 'invalid_target');
    const pushed = await authorizationRequest(rp, { resource: ORDERS });
    const url = await openid.buildAuthorizationUrlWithPAR(rp.configuration, new URL(pushed.url).searchParams);
    const tokens = await exchange(rp, pushed, await browser.visit(url.href));
    t.like(await openid.tokenIntrospection(apiRp.configuration, tokens.access_token), { aud: ORDERS, preferred_username: user.username });
  });

  engine.test('a client has at+jwt in the header of its own access tokens, and its ID tokens stay as they are', async (t) => {
    const stage = await scene({ mfa: 'off' }, { attributes: { 'access.token.header.type.rfc9068': 'true' } });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    t.is(decodeProtectedHeader(tokens.access_token).typ, 'at+jwt');
    t.not(decodeProtectedHeader(tokens.id_token ?? '').typ, 'at+jwt');
    t.is(await userinfo(stage, tokens.access_token), 200);
    t.true((await openid.tokenIntrospection(stage.rp.configuration, tokens.access_token)).active);
  });

  engine.test('scopes are those that the resource server has too', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server: cardea, realm } = stage;
    const api = await cardea.client(realm, { redirectUris: [], standardFlow: false, attributes: { 'cardea.resource': ORDERS } });
    const scopeIds = await cardea.db.knex('client_scopes').where({ realm_id: realm.id, name: 'email' }).pluck('id');
    await cardea.db.knex('client_scope_assignments').where({ realm_id: realm.id, client_id: api.row.id }).whereIn('scope_id', scopeIds).delete();
    await cardea.db.changes.announce(`client:${realm.id}`);
    const rp = await relyingParty(cardea, realm, await cardea.client(realm, { attributes: { 'cardea.resources': api.clientId } }));
    const { tokens } = await signIn(cardea, rp, await cardea.user(realm), { parameters: { scope: 'openid email phone', resource: ORDERS } });
    const looked = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
    t.deepEqual(String(looked.scope).split(' ').sort(), ['phone', 'profile']);
    t.is(looked.email, undefined);
    t.truthy(tokens.claims()?.email, 'the ID token is for the application');
  });

  engine.test('nobody asks for a resource that an administrator did not name to them', async (t) => {
    const { cardea, realm, rp, user, api } = await world();
    const browser = new Browser(cardea.origin);
    await signIn(cardea, rp, user, { browser });
    const asked = async (who: RelyingParty, resource: string) => {
      const request = await authorizationRequest(who, { resource });
      const page = await browser.visit(request.url);
      const { searchParams } = new URL(page.headers.get('location') ?? 'about:blank');
      return { error: searchParams.get('error'), description: searchParams.get('error_description') };
    };
    const stranger = await relyingParty(cardea, realm, await cardea.client(realm, { serviceAccount: true }));
    const [notMine, notThere] = [await asked(stranger, ORDERS), await asked(stranger, 'https://nothing.example')];
    t.is(notMine.error, 'invalid_target');
    t.deepEqual(notMine, notThere, 'what there is, is not said');
    t.is(await refused(openid.clientCredentialsGrant(stranger.configuration, { resource: ORDERS })), 'invalid_target');
    for (const close of [
      `${ORDERS}/`,
      ORDERS.toUpperCase(),
      `${ORDERS}?x`,
      `${ORDERS}#x`,
      'https://orders.example',
      'orders',
      api.clientId,
      'account',
    ])
      t.is((await asked(rp, close)).error, 'invalid_target', close);
    // Switched off, it receives nothing.
    await cardea.db
      .knex('clients')
      .where({ realm_id: realm.id, id: api.row.id })
      .update({ enabled: false, updated_at: Date.now() + 1 });
    await cardea.db.changes.announce(`client:${realm.id}`);
    t.is((await asked(rp, ORDERS)).error, 'invalid_target');

    const refusedAt = async (attribute: string, value: string) => {
      const making = createClient(cardea.operator(), realm, { clientId: 'x', attributes: { [attribute]: value } });
      const error = await t.throwsAsync(making, undefined, value);
      t.true(error?.message.startsWith(`attributes.${attribute}: `), error?.message);
    };
    for (const wrong of ['orders', '/orders', `${ORDERS}#x`, `${ORDERS}##`, 'urn:cardea:realm', `${ORDERS} x`])
      await refusedAt('cardea.resource', wrong);
    await refusedAt('cardea.resources', 'a client');
    await refusedAt('cardea.access.token.format', 'paseto');
    await refusedAt('access.token.header.type.rfc9068', 'yes');
  });

  engine.test('a token for a resource server administers nothing, whoever it is of', async (t) => {
    const cardea = await server();
    const admin = await adminOf(cardea);
    const api = await cardea.client(admin.master, { redirectUris: [], standardFlow: false, attributes: { 'cardea.resource': ORDERS } });
    const secret = 'the secret of the other automation';
    const attributes = { 'cardea.resources': api.clientId };
    const account = { clientId: 'robot', secret, serviceAccount: true, serviceAccountRoles: ['admin' as const], attributes };
    await createClient(cardea.operator(), admin.master, account);
    const client: TestClient = { row: api.row, clientId: 'robot', secret, redirectUri: '' };
    const robot = await relyingParty(cardea, admin.master, client);
    const status = async (token: string) => (await callAdmin(cardea, 'GET', '/realms/master/clients', { token })).status;
    t.is(await status((await openid.clientCredentialsGrant(robot.configuration)).access_token), 200);
    const narrowed = (await openid.clientCredentialsGrant(robot.configuration, { resource: ORDERS })).access_token;
    t.is(decodeProtectedHeader(narrowed).typ, 'JWT');
    t.is(await status(narrowed), 401);
  });
});
