/** What a token exchange brings: tokens for a resource server (RFC 8707), with audience and scope beside it, and each kind of token. */
import { decodeProtectedHeader } from 'jose';
import { createRole, giveRoles } from '../../src/admin/resources/roles.ts';
import { arena, audited, call, credentialsOf, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { type RelyingParty, relyingParty, signIn } from '../support/sign-in.ts';
import {
  ACCESS_TOKEN,
  addAudience,
  changeClient,
  eventually,
  exchange,
  ID_TOKEN,
  JWT,
  REFRESH_TOKEN,
  saidBy,
  serviceBehind,
  setAttributes,
} from '../support/token-exchange.ts';

const ORDERS = 'https://orders.example/api';
const BILLS = 'https://bills.example/';
const REALM = 'urn:cardea:realm';
const ALLOWED = { 'standard.token.exchange.enabled': 'true', 'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION' };
const NO_TARGET = { error: 'invalid_target' };

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** A service that exchanges its callers' tokens for some that a resource server takes, and another one that it may not ask for. */
  const world = async (wants: Record<string, string> = {}) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const receiver = { redirectUris: [], standardFlow: false };
    const orders = await server.client(realm, { ...receiver, attributes: { 'cardea.resource': ORDERS, ...wants } });
    const bills = await server.client(realm, { ...receiver, attributes: { 'cardea.resource': BILLS } });
    const service = await serviceBehind(server, realm, rp.client, { ...ALLOWED, 'cardea.resources': orders.clientId });
    const user = await server.user(realm);
    return { stage, server, realm, rp, service, orders, bills, user, ...(await signIn(server, rp, user)) };
  };
  const look = async ({ server, realm }: Scene, rp: RelyingParty, token: unknown) =>
    (await call(server, realm, 'token/introspect', { token: String(token) }, credentialsOf(rp))).body;
  const userinfo = async ({ server, realm }: Scene, token: unknown) =>
    (await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${token}` })).status;

  for (const format of ['jwt', 'opaque'])
    engine.test(`a token as ${format} for a resource server is for it alone, and as it wants it`, async (t) => {
      const wants = { 'cardea.access.token.format': format, 'access.token.lifespan': '77', 'access.token.signed.response.alg': 'ES256' };
      const { stage, server, realm, rp, service, orders, user, tokens } = await world(wants);
      const answer = await exchange(stage, service, tokens.access_token, { resource: ORDERS });
      t.is(answer.status, 200, JSON.stringify(answer.body));
      t.like(answer.body, { expires_in: 77, issued_token_type: ACCESS_TOKEN });
      const token = String(answer.body.access_token);
      t.is(token.split('.').length === 3, format === 'jwt');
      if (format === 'jwt') {
        t.is(decodeProtectedHeader(token).alg, 'ES256');
        t.like(saidBy(token), { aud: ORDERS, azp: service.client.clientId, sub: user.id });
      }
      for (const who of [rp, await relyingParty(server, realm, orders)])
        t.like(await look(stage, who, token), { active: true, aud: ORDERS, sub: user.id, client_id: service.client.clientId, acr: 'aal1' });
      t.false(String(answer.body.scope).split(' ').includes('openid'));
      t.true([401, 403].includes(await userinfo(stage, token)), 'userinfo is not what it is for');
      const [row] = await eventually(() => audited(stage, 'token.exchange', { user: user.id }));
      t.like(JSON.parse(row?.details ?? '{}'), { audience: [ORDERS] });
      // It ends with what it came from.
      await call(server, realm, 'revoke', { token: tokens.access_token }, credentialsOf(rp));
      t.like(await look(stage, rp, token), { active: false });
    });

  engine.test('nobody exchanges for a resource that an administrator did not name to them', async (t) => {
    const { stage, server, realm, rp, service, tokens, orders } = await world();
    const other = await serviceBehind(server, realm, rp.client, ALLOWED);
    const fresh = await signIn(server, rp, await server.user(realm));
    const asked = (who: RelyingParty, resource: string) => exchange(stage, who, fresh.tokens.access_token, { resource });
    const [notMine, notThere] = [await asked(service, BILLS), await asked(service, 'https://nothing.example')];
    t.like(notMine.body, NO_TARGET);
    t.deepEqual(notMine.body, notThere.body, 'what there is, is not said');
    t.like((await asked(other, ORDERS)).body, NO_TARGET);
    for (const close of [`${ORDERS}/`, ORDERS.toUpperCase(), `${ORDERS}?x`, `${ORDERS}#x`, 'https://orders.example', orders.clientId, 'account'])
      t.like((await asked(service, close)).body, NO_TARGET, close);
    const two: [string, string][] = [
      ['resource', ORDERS],
      ['resource', BILLS],
    ];
    t.like((await exchange(stage, service, tokens.access_token, two)).body, NO_TARGET, 'one token is for one');
    const twice: [string, string][] = [
      ['resource', ORDERS],
      ['resource', ORDERS],
    ];
    t.is((await exchange(stage, service, fresh.tokens.access_token, twice)).status, 200, 'the same one twice is one');
    await changeClient(server, orders, { enabled: false });
    t.like((await asked(service, ORDERS)).body, NO_TARGET, 'switched off, it receives nothing');
  });

  engine.test('the realm by its name is what is meant without one', async (t) => {
    const { stage, service, tokens } = await world();
    for (const resource of [REALM, '']) {
      const answer = await exchange(stage, service, tokens.access_token, { resource });
      t.is(saidBy(answer.body.access_token).aud, 'account', resource);
      t.is(await userinfo(stage, answer.body.access_token), 200);
    }
  });

  engine.test('audience beside a resource names the same one, and roles are the realm’s and those of its client', async (t) => {
    const { stage, server, realm, rp, service, orders, bills, user } = await world();
    await addAudience(server, realm, service.client, bills.clientId);
    const operator = server.operator();
    for (const { clientId } of [orders, bills]) await createRole(operator, realm, { name: 'clerk', client: clientId });
    await giveRoles(operator, realm, user, [
      { name: 'clerk', client: orders.clientId },
      { name: 'clerk', client: bills.clientId },
    ]);
    const { tokens } = await signIn(server, rp, user);
    const all = saidBy((await exchange(stage, service, tokens.access_token)).body.access_token);
    t.deepEqual(Object.keys(Object(all.resource_access)).sort(), ['account', bills.clientId, orders.clientId].sort());
    for (const audience of [undefined, orders.clientId, ORDERS]) {
      const answer = await exchange(stage, service, tokens.access_token, { resource: ORDERS, ...(audience ? { audience } : {}) });
      t.is(answer.status, 200, JSON.stringify(answer.body));
      const claims = saidBy(answer.body.access_token);
      t.is(claims.aud, ORDERS);
      t.deepEqual(claims.resource_access, { [orders.clientId]: { roles: ['clerk'] } });
      t.true(Object(claims.realm_access).roles.length > 0);
      t.deepEqual((await look(stage, rp, answer.body.access_token)).resource_access, claims.resource_access);
    }
    for (const audience of [bills.clientId, BILLS, 'account', 'nobody'])
      t.like((await exchange(stage, service, tokens.access_token, { resource: ORDERS, audience })).body, NO_TARGET, audience);
    const forRealm = await exchange(stage, service, tokens.access_token, { resource: REALM, audience: bills.clientId });
    t.is(saidBy(forRealm.body.access_token).aud, bills.clientId, 'of the realm’s, audience chooses as ever');
  });

  engine.test('a refresh token for a resource refreshes for it alone, while the client may ask for it', async (t) => {
    const { stage, server, realm, rp, service, orders, tokens } = await world();
    const answer = await exchange(stage, service, tokens.access_token, { resource: ORDERS, requested_token_type: REFRESH_TOKEN });
    t.like(answer.body, { issued_token_type: REFRESH_TOKEN });
    t.is(saidBy(answer.body.access_token).aud, ORDERS);
    const refresh = (more: Record<string, string> = {}) =>
      call(
        server,
        realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: String(answer.body.refresh_token), ...more },
        credentialsOf(service),
      );
    for (const more of [{}, { resource: ORDERS }] as Record<string, string>[]) {
      const again = await refresh(more);
      t.is(again.status, 200, JSON.stringify(again.body));
      t.like(saidBy(again.body.access_token), { aud: ORDERS, scope: saidBy(answer.body.access_token).scope });
      t.true((await look(stage, rp, again.body.access_token)).active);
    }
    for (const resource of [REALM, BILLS]) t.like((await refresh({ resource })).body, NO_TARGET, resource);
    await setAttributes(server, service.client, ALLOWED);
    t.like((await refresh()).body, NO_TARGET, `${orders.clientId} is not named to it any more`);
  });

  engine.test('each kind of token, and none that there is not', async (t) => {
    const { stage, server, service, tokens } = await world();
    const asked = (requested_token_type: string, more: Record<string, string> = {}) =>
      exchange(stage, service, tokens.access_token, { requested_token_type, ...more });
    t.like((await asked(JWT)).body, { issued_token_type: JWT, token_type: 'Bearer' });
    t.like((await asked(JWT, { resource: ORDERS })).body, { issued_token_type: JWT });
    t.like((await asked('')).body, { issued_token_type: ACCESS_TOKEN });
    t.like((await asked(ID_TOKEN, { resource: ORDERS })).body, NO_TARGET);
    t.like((await asked(ID_TOKEN, { resource: REALM })).body, { issued_token_type: ID_TOKEN });
    for (const kind of ['saml2', 'saml1', 'access_token ', 'device_code', '']) {
      const refused = await asked(`urn:ietf:params:oauth:token-type:${kind}`);
      t.like(refused.body, { error: 'invalid_request' }, kind);
      t.regex(String(refused.body.error_description), /^requested_token_type must be one of /);
    }
    const attributes = { ...ALLOWED, 'cardea.access.token.format': 'opaque' };
    await setAttributes(server, service.client, attributes);
    const opaque = await asked(JWT);
    t.like(opaque.body, { error: 'invalid_request' });
    t.regex(String(opaque.body.error_description), /opaque/);
    t.is(String((await asked(ACCESS_TOKEN)).body.access_token).split('.').length, 1);
  });
});
