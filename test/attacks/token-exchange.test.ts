/** E · Attacks on token exchange (RFC 8693): tokens that are not the client's to exchange, and more than a client may have. */
import KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import { decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { arena, at, audited, basic, call, credentialsOf, giveApp, parallel, type Scene, tally } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { jktOf, proofKey, tokenProof } from '../support/dpop.ts';
import { acting, stage as impersonation, tokensFor } from '../support/impersonation.ts';
import { type RelyingParty, signIn } from '../support/sign-in.ts';
import {
  ACCESS_TOKEN,
  addAudience,
  changeClient,
  eventually,
  exchange,
  ID_TOKEN,
  REFRESH_TOKEN,
  realmKey,
  saidBy,
  serviceBehind,
  serviceToken,
  setAttributes,
  TOKEN_EXCHANGE,
} from '../support/token-exchange.ts';

const INVALID = { error: 'invalid_request' };
const REFRESHES = { 'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION' };

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  const world = async (settings: Parameters<typeof scene>[0] = { mfa: 'off' }, attributes: Record<string, string> = {}) => {
    const stage = await scene(settings);
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, attributes);
    const user = await server.user(realm);
    return { stage, server, realm, rp, service, user, ...(await signIn(server, rp, user)) };
  };
  const isActive = async ({ server, realm }: Pick<Scene, 'server' | 'realm'>, token: unknown, rp: Scene['rp']) =>
    (await call(server, realm, 'token/introspect', { token: String(token) }, credentialsOf(rp))).body.active;

  engine.test('only a user’s access token of this realm that stands is exchanged, whatever it is called', async (t) => {
    const { stage, server, realm, rp, service, tokens } = await world();
    const elsewhere = await scene({ mfa: 'optional' });
    const foreign = await signIn(elsewhere.server, elsewhere.rp, await server.user(elsewhere.realm));
    const parts = tokens.access_token.split('.');
    const { privateKey } = await generateKeyPair('RS256');
    const forged = await new SignJWT({ ...saidBy(tokens.access_token), may_act: { client_id: service.client.clientId } })
      .setProtectedHeader({ ...decodeProtectedHeader(tokens.access_token), alg: 'RS256' })
      .sign(privateKey);
    const tried: Record<string, unknown> = {
      'another realm’s': foreign.tokens.access_token,
      'an ID token': tokens.id_token,
      'a refresh token': tokens.refresh_token,
      'a service account’s': await serviceToken(stage, service),
      'one with a signature of its own': forged,
      'one without a signature': `${parts[0]}.${parts[1]}.`,
      'one that says alg none': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${parts[1]}.`,
      'marked as introspection marks it': `~${tokens.access_token}`,
      'two at once': `${tokens.access_token} ${tokens.access_token}`,
      nothing: '',
      rubbish: 'x'.repeat(5_000),
    };
    for (const [what, subject] of Object.entries(tried)) {
      for (const subject_token_type of [ACCESS_TOKEN, 'urn:ietf:params:oauth:token-type:jwt']) {
        const refused = await exchange(stage, service, subject, { subject_token_type });
        t.like(refused, { status: 400 }, what);
        t.like(refused.body, INVALID, what);
        t.is(refused.body.access_token, undefined, what);
      }
    }
    for (const subject_token_type of [ID_TOKEN, REFRESH_TOKEN, 'urn:ietf:params:oauth:token-type:saml2', 'access_token', ''])
      t.like((await exchange(stage, service, tokens.access_token, { subject_token_type })).body, INVALID, subject_token_type);
    t.like((await exchange(stage, service, tokens.id_token, { subject_token_type: ID_TOKEN })).body, INVALID);
    const twice = new URLSearchParams({ grant_type: TOKEN_EXCHANGE, subject_token: tokens.access_token, subject_token_type: ACCESS_TOKEN });
    twice.append('subject_token', tokens.access_token);
    t.is((await call(server, realm, 'token', twice, credentialsOf(service))).status, 400);
    const refused = await eventually(() => audited(stage, 'token.exchange.refused', { client: service.client.clientId }));
    t.true(refused.length > 0);
    t.false(JSON.stringify(refused).includes(parts[2] ?? '-'), 'no token is recorded');
    t.is((await exchange(stage, service, tokens.access_token)).status, 200, 'and the real one is');
    t.is((await exchange(elsewhere, await serviceBehind(server, elsewhere.realm, elsewhere.rp.client), tokens.access_token)).status, 400);
    t.truthy(rp);
  });

  engine.serial('one that is over is not: expired, revoked, signed out, of a user or a client that is switched off', async (t) => {
    const expired = await world({ mfa: 'off', accessTokenLifespan: 60 });
    await at(70_000, async () => t.like((await exchange(expired.stage, expired.service, expired.tokens.access_token)).body, INVALID));
    const revoked = await world();
    await call(revoked.server, revoked.realm, 'revoke', { token: revoked.tokens.access_token }, credentialsOf(revoked.rp));
    t.like((await exchange(revoked.stage, revoked.service, revoked.tokens.access_token)).body, INVALID);
    const family = await world();
    await call(family.server, family.realm, 'revoke', { token: String(family.tokens.refresh_token) }, credentialsOf(family.rp));
    t.like((await exchange(family.stage, family.service, family.tokens.access_token)).body, INVALID);
    const ended = await world();
    await ended.server.db.knex('sessions').where({ realm_id: ended.realm.id, user_id: ended.user.id }).update({ ended_at: Date.now() });
    t.like((await exchange(ended.stage, ended.service, ended.tokens.access_token)).body, INVALID);
    const off = await world();
    await off.server.db.knex('users').where({ realm_id: off.realm.id, id: off.user.id }).update({ enabled: false });
    t.like((await exchange(off.stage, off.service, off.tokens.access_token)).body, INVALID);
    const client = await world();
    await changeClient(client.server, client.rp.client, { enabled: false });
    t.like((await exchange(client.stage, client.service, client.tokens.access_token)).body, INVALID);
    const service = await world();
    await changeClient(service.server, service.service.client, { enabled: false });
    t.is((await exchange(service.stage, service.service, service.tokens.access_token)).status, 401);
    // Offline access outlives a session; what is exchanged hangs on one.
    const offline = await world();
    const { tokens } = await signIn(offline.server, offline.rp, offline.user, { parameters: { scope: 'openid offline_access' } });
    t.false(String((await exchange(offline.stage, offline.service, tokens.access_token)).body.scope).includes('offline_access'));
    t.like((await exchange(offline.stage, offline.service, tokens.access_token, { scope: 'openid offline_access' })).body, {
      error: 'invalid_scope',
    });
    await offline.server.db.knex('sessions').where({ realm_id: offline.realm.id, user_id: offline.user.id }).update({ ended_at: Date.now() });
    t.true(await isActive(offline.stage, tokens.access_token, offline.rp));
    t.like((await exchange(offline.stage, offline.service, tokens.access_token)).body, INVALID);
  });

  engine.test('only by a client that is allowed it, that shows who it is, and that the token is for', async (t) => {
    const { stage, server, realm, rp, service, tokens } = await world();
    const fields = { grant_type: TOKEN_EXCHANGE, subject_token: tokens.access_token, subject_token_type: ACCESS_TOKEN };
    const without = await server.client(realm);
    await addAudience(server, realm, rp.client, without.clientId);
    t.like((await call(server, realm, 'token', fields, basic(without))).body, { error: 'unauthorized_client' }, 'no switch');
    const open = await server.client(realm, { publicClient: true });
    await setAttributes(server, open, { 'standard.token.exchange.enabled': 'true' });
    t.like((await call(server, realm, 'token', { ...fields, client_id: open.clientId })).body, { error: 'unauthorized_client' }, 'a public client');
    t.is((await call(server, realm, 'token', fields, basic({ ...service.client, secret: 'not the secret' }))).status, 401);
    t.true((await call(server, realm, 'token', { ...fields, client_id: service.client.clientId })).status >= 400);
    const stranger = await server.client(realm);
    await setAttributes(server, stranger, { 'standard.token.exchange.enabled': 'true' });
    const refused = await call(server, realm, 'token', fields, basic(stranger));
    t.like(refused.body, INVALID);
    t.regex(String(refused.body.error_description), /audience/);
    const consenting = await serviceBehind(server, realm, rp.client);
    await changeClient(server, consenting.client, { consent_required: true });
    const fresh = await signIn(server, rp, await server.user(realm));
    t.like((await exchange(stage, consenting, fresh.tokens.access_token)).body, { error: 'invalid_client' });
    for (const name of ['requested_subject', 'requested_issuer', 'subject_issuer']) {
      const left = await exchange(stage, service, tokens.access_token, { [name]: 'admin' });
      t.like(left.body, INVALID, name);
      t.regex(String(left.body.error_description), new RegExp(name), name);
    }
    for (const name of ['may_act', 'act', 'exchanged_from', 'acr', 'amr', 'auth_time', 'sub', 'azp', 'aud', 'sid', 'impersonator']) {
      const made = saidBy((await exchange(stage, service, tokens.access_token, { [name]: '{"sub":"admin"}' })).body.access_token);
      t.not(made[name], '{"sub":"admin"}', name);
    }
  });

  engine.test('nobody is an actor with somebody else’s token, and an act is never lost', async (t) => {
    const { stage, server, realm, rp, service, user, tokens } = await world();
    const other = await serviceBehind(server, realm, rp.client);
    const otherUsers = await signIn(server, other, await server.user(realm));
    const mine = await serviceToken(stage, service);
    const delegated = await exchange(stage, service, tokens.access_token, { actor_token: mine, actor_token_type: ACCESS_TOKEN });
    const tried: Record<string, unknown> = {
      'another client’s service account': await serviceToken(stage, other),
      'another client’s user': otherUsers.tokens.access_token,
      'the subject’s': tokens.access_token,
      'an exchanged one': delegated.body.access_token,
      'an ID token': tokens.id_token,
      rubbish: 'rubbish',
    };
    for (const [what, actor_token] of Object.entries(tried)) {
      const refused = await exchange(stage, service, tokens.access_token, { actor_token: String(actor_token), actor_token_type: ACCESS_TOKEN });
      t.like(refused.body, INVALID, what);
    }
    t.like((await exchange(stage, service, tokens.access_token, { actor_token: mine })).body, INVALID, 'without its type');
    t.like((await exchange(stage, service, tokens.access_token, { actor_token_type: ACCESS_TOKEN })).body, INVALID, 'the type alone');
    const { act } = saidBy(delegated.body.access_token);
    t.like(act, { client_id: service.client.clientId });
    for (const more of [{}, { requested_token_type: ID_TOKEN }] as Record<string, string>[])
      t.deepEqual(saidBy((await exchange(stage, service, delegated.body.access_token, more)).body.access_token).act, act);
    // The actor's service account is switched off.
    t.true(await isActive(stage, delegated.body.access_token, rp));
    await server.db.knex('users').where({ realm_id: realm.id, service_account_of: service.client.row.id }).update({ enabled: false });
    t.false(await isActive(stage, delegated.body.access_token, rp));
    t.truthy(user);
  });

  engine.test('may_act narrows: whom it does not name does not act', async (t) => {
    const { stage, service, tokens } = await world();
    const signed = async (may_act: unknown) => {
      const { header, key } = await realmKey(stage, tokens.access_token);
      return new SignJWT({ ...saidBy(tokens.access_token), may_act }).setProtectedHeader(header).sign(key);
    };
    const actor = await serviceToken(stage, service);
    const acting = { actor_token: actor, actor_token_type: ACCESS_TOKEN };
    const { clientId } = service.client;
    const sub = saidBy(actor).sub;
    t.is((await exchange(stage, service, await signed({ client_id: clientId }))).status, 200);
    t.is((await exchange(stage, service, await signed({ sub, client_id: clientId }), acting)).status, 200);
    for (const may_act of [{ client_id: 'another' }, { sub: 'another' }, { sub }, {}, 'everybody', { sub, iss: 'x' }, null])
      t.like((await exchange(stage, service, await signed(may_act))).body, INVALID, JSON.stringify(may_act));
    for (const may_act of [{ sub: 'another', client_id: clientId }, {}, []])
      t.like((await exchange(stage, service, await signed(may_act), acting)).body, INVALID, JSON.stringify(may_act));
  });

  engine.test('scopes and roles are those that every client on the way has', async (t) => {
    const { stage, server, realm, rp, service, user } = await world();
    await giveRoles(server.operator(), realm, user, [{ name: 'view-users', client: 'realm-management' }]);
    await changeClient(server, rp.client, { full_scope: false });
    const { tokens } = await signIn(server, rp, user, { parameters: { scope: 'openid email' } });
    const first = saidBy(tokens.access_token);
    t.is(Object(first.resource_access)['realm-management'], undefined, 'the first client is not told of it');
    const answer = await exchange(stage, service, tokens.access_token);
    const claims = saidBy(answer.body.access_token);
    t.is(Object(claims.resource_access)['realm-management'], undefined);
    t.deepEqual(Object(claims.realm_access).roles ?? [], Object(first.realm_access).roles ?? []);
    const looked = await call(server, realm, 'token/introspect', { token: String(answer.body.access_token) }, credentialsOf(rp));
    t.is(Object(looked.body.resource_access)['realm-management'], undefined);
    for (const scope of ['openid phone', 'address', 'unheard', 'offline_access', 'openid email profile roles'])
      t.like((await exchange(stage, service, tokens.access_token, { scope })).body, { error: 'invalid_scope' }, scope);
    // A scope that was narrowed away does not come back.
    const narrow = await exchange(stage, service, tokens.access_token, { scope: 'email' });
    t.is(narrow.body.scope, 'email');
    t.like((await exchange(stage, service, narrow.body.access_token, { scope: 'openid email' })).body, { error: 'invalid_scope' });
    t.is((await exchange(stage, service, narrow.body.access_token)).body.scope, 'email');
    t.is((await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${narrow.body.access_token}` })).status, 403, 'it has no openid');
    // Nor does an audience.
    const target = await server.client(realm);
    t.like((await exchange(stage, service, tokens.access_token, { audience: target.clientId })).body, { error: 'invalid_target' });
    t.like((await exchange(stage, service, tokens.access_token, { audience: 'realm-management' })).body, { error: 'invalid_target' });
  });

  engine.test('a level is what the subject token says, and not what is asked for, or was reached since', async (t) => {
    const { stage, server, realm, rp, service } = await world();
    const strict = await serviceBehind(server, realm, rp.client, { 'minimum.acr.value': 'aal2' });
    const user = await server.user(realm);
    const low = await signIn(server, rp, user);
    const asked = await exchange(stage, service, low.tokens.access_token, { acr_values: 'aal2', claims: '{"id_token":{"acr":{"value":"aal2"}}}' });
    t.like(saidBy(asked.body.access_token), { acr: 'aal1', amr: ['pwd'] });
    const high = await signIn(server, rp, user, { browser: low.browser, parameters: { acr_values: 'aal2' } });
    t.like(saidBy(high.tokens.access_token), { acr: 'aal2' });
    t.like(saidBy((await exchange(stage, service, low.tokens.access_token)).body.access_token), { acr: 'aal1', amr: ['pwd'] });
    t.like((await exchange(stage, strict, low.tokens.access_token)).body, INVALID, 'the session is enough by now, and the token is not');
    t.like(saidBy((await exchange(stage, strict, high.tokens.access_token)).body.access_token), { acr: 'aal2' });
  });

  engine.test('a token is passed on so often and no more, and what came of it ends with the first', async (t) => {
    const { stage, server, realm, rp, service, tokens } = await world();
    const made: unknown[] = [];
    for (let subject: unknown = tokens.access_token; made.length < 4; subject = made.at(-1)) {
      const answer = await exchange(stage, service, subject);
      t.is(answer.status, 200, `${made.length}: ${JSON.stringify(answer.body)}`);
      made.push(answer.body.access_token);
    }
    const further = await exchange(stage, service, made.at(-1));
    t.like(further.body, INVALID);
    t.regex(String(further.body.error_description), /4 times/);
    t.is([saidBy(made.at(-1)).exchanged_from].flat().length, 4);
    for (const token of made) t.true(await isActive(stage, token, rp));
    await call(server, realm, 'revoke', { token: tokens.access_token }, credentialsOf(rp));
    for (const token of made) t.false(await isActive(stage, token, rp));
  });

  engine.test('E07 a stolen token that is bound is exchanged for nothing, whatever stands beside it', async (t) => {
    const { stage, server, realm, rp, service, tokens } = await world({ mfa: 'off' }, REFRESHES);
    const { header, key } = await realmKey(stage, tokens.access_token);
    const [owner, thief] = [await proofKey(), await proofKey()];
    const jkt = await jktOf(owner);
    const signed = (cnf: unknown) => new SignJWT({ ...saidBy(tokens.access_token), cnf }).setProtectedHeader(header).sign(key);
    for (const cnf of [{ jkt }, { 'x5t#S256': jkt }, { jkt, 'x5t#S256': jkt }]) {
      const bound = await signed(cnf);
      for (const headers of [{}, await tokenProof(stage, thief)])
        for (const requested_token_type of [ACCESS_TOKEN, ID_TOKEN, REFRESH_TOKEN]) {
          const refused = await exchange(stage, service, bound, { requested_token_type }, headers);
          t.true(refused.status === 400, JSON.stringify(refused.body));
        }
      const refused = await exchange(stage, service, bound, {}, await tokenProof(stage, thief));
      t.like(refused.body, INVALID);
      t.regex(String(refused.body.error_description), /subject_token is bound to a key/);
    }
    const bound = await signed({ jkt });
    t.is((await exchange(stage, service, bound, {}, await tokenProof(stage, owner))).status, 200, 'its owner may');
    t.like(
      (await exchange(stage, service, await signed({ jkt, 'x5t#S256': jkt }), {}, await tokenProof(stage, owner))).body,
      INVALID,
      'both, or neither',
    );
    // Nor by what a client says of itself.
    const trusted = await serviceBehind(server, realm, rp.client, { 'cardea.token.exchange.bound': 'TRUE' });
    const again = await signIn(server, rp, await server.user(realm));
    const theirs = await new SignJWT({ ...saidBy(again.tokens.access_token), cnf: { jkt } }).setProtectedHeader(header).sign(key);
    t.like((await exchange(stage, trusted, theirs, { 'cardea.token.exchange.bound': 'true' }, await tokenProof(stage, thief))).body, INVALID);
  });

  engine.test('E07 a proof for an exchange is good once, on all nodes, and made for the token endpoint', async (t) => {
    const { stage, realm, service, tokens } = await world();
    const key = await proofKey();
    const processes = await nodes();
    const once = await tokenProof(stage, key);
    const answers = await parallel(12, (index) =>
      exchange({ server: processes[index % processes.length] ?? stage.server, realm }, service, tokens.access_token, {}, once),
    );
    t.is(tally(answers)[200], 1, JSON.stringify(tally(answers)));
    for (const node of processes)
      t.like((await exchange({ server: node, realm }, service, tokens.access_token, {}, once)).body, { error: 'invalid_grant' });
    const issuer = `${stage.server.origin}/realms/${realm.name}/protocol/openid-connect`;
    const now = Math.floor(Date.now() / 1000);
    const wrong: Parameters<typeof tokenProof>[2][] = [
      ...[{ claims: { htm: 'GET' } }, { claims: { htu: `${issuer}/userinfo` } }, { claims: { htu: `https://evil.example/token` } }],
      ...[{ claims: { jti: '' } }, { claims: { iat: 0 } }, { header: { typ: 'JWT' } }, { header: { jwk: undefined } }],
      ...[{ header: { jwk: (await proofKey()).publicJwk } }],
    ];
    for (const claims of wrong) {
      const refused = await exchange(stage, service, tokens.access_token, {}, await tokenProof(stage, key, claims));
      t.like(refused.body, { error: 'invalid_dpop_proof' }, JSON.stringify(claims));
    }
    t.like((await exchange(stage, service, tokens.access_token, {}, { dpop: 'x.y.z' })).body, { error: 'invalid_dpop_proof' });
    // Nonces are the library's own: one that it gave is taken here, with whatever clock, and a made up one is not.
    const stale = await exchange(stage, service, tokens.access_token, {}, await tokenProof(stage, key, { claims: { iat: now - 1_000 } }));
    t.like(stale.body, { error: 'use_dpop_nonce' });
    const nonce = stale.headers.get('dpop-nonce') ?? '';
    t.truthy(nonce);
    t.is(
      (await exchange(stage, service, tokens.access_token, {}, await tokenProof(stage, key, { claims: { iat: now - 1_000, nonce } }))).status,
      200,
    );
    const madeUp = await tokenProof(stage, key, { claims: { nonce: 'made up' } });
    t.like((await exchange(stage, service, tokens.access_token, {}, madeUp)).body, { error: 'use_dpop_nonce' });
  });

  engine.test('tokens of a client that were made void take along what came of them, refresh tokens too', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, {
      'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION',
    });
    const { tokens } = await signIn(server, rp, await server.user(realm));
    const { body } = await exchange(stage, service, tokens.access_token, { requested_token_type: REFRESH_TOKEN });
    const isActive = async (token: unknown) =>
      (await call(server, realm, 'token/introspect', { token: String(token) }, credentialsOf(service))).body.active;
    const refreshed = async (of: RelyingParty, token: unknown) =>
      (await call(server, realm, 'token', { grant_type: 'refresh_token', refresh_token: String(token) }, credentialsOf(of))).status;
    t.deepEqual(
      [await isActive(body.access_token), await refreshed(service, body.refresh_token), await refreshed(rp, tokens.refresh_token)],
      [true, 200, 200],
    );
    await changeClient(server, rp.client, { kept: JSON.stringify({ notBefore: Math.floor(Date.now() / 1000) + 1 }) });
    t.deepEqual([await isActive(tokens.access_token), await isActive(body.access_token)], [false, false]);
    t.deepEqual([await refreshed(service, body.refresh_token), await refreshed(rp, tokens.refresh_token)], [400, 400]);
  });

  engine.test('nobody administers with a token that was passed on', async (t) => {
    const { stage, server, realm, rp, service, user } = await world({ mfa: 'optional' });
    await giveRoles(server.operator(), realm, user, [{ name: 'realm-admin', client: 'realm-management' }]);
    const { secret } = await giveApp(server, user);
    const { tokens } = await signIn(server, rp, user, { totpSecret: secret });
    const usersBy = (token: unknown) => {
      const admin = new KeycloakAdminClient({ baseUrl: server.origin, realmName: realm.name });
      admin.setAccessToken(String(token));
      return admin.users.find({ max: 1 });
    };
    t.is((await usersBy(tokens.access_token)).length, 1, 'the user may');
    const answer = await exchange(stage, service, tokens.access_token);
    t.is(answer.status, 200, JSON.stringify(answer.body));
    await t.throwsAsync(usersBy(answer.body.access_token), { message: /invalid_token/ });
  });

  engine.test('where an administrator acts as the user, the token says so, keeps to its limits and ends with it', async (t) => {
    const [server] = await nodes();
    if (!server) return t.fail();
    const on = await impersonation(server);
    const { realm, rp, erin, boss } = on;
    const service = await serviceBehind(server, realm, rp.client);
    const browser = await acting(on);
    const tokens = await tokensFor(browser, rp);
    const answer = await exchange(on, service, tokens.access_token);
    t.is(answer.status, 200, JSON.stringify(answer.body));
    const claims = saidBy(answer.body.access_token);
    t.like(claims, { sub: erin.id, impersonator: { id: boss.id, username: boss.username }, amr: [] });
    t.like(saidBy((await exchange(on, service, tokens.access_token, { requested_token_type: ID_TOKEN })).body.access_token), {
      impersonator: { id: boss.id },
    });
    t.true((claims.exp ?? 0) <= (saidBy(tokens.access_token).exp ?? 0));
    t.true(await isActive(on, answer.body.access_token, rp));
    const [row] = await eventually(() => audited(on, 'token.exchange', { user: erin.id }));
    t.is(row?.actor, boss.id, 'who did it is who acts as the user');
    const strict = await serviceBehind(server, realm, rp.client, { 'minimum.acr.value': 'aal2' });
    const again = await tokensFor(browser, rp);
    t.like((await exchange(on, strict, again.access_token)).body, INVALID);
    // Whoever acts as somebody is nobody's actor.
    const own = await tokensFor(browser, service);
    const posed = await exchange(on, service, tokens.access_token, { actor_token: own.access_token, actor_token_type: ACCESS_TOKEN });
    t.like(posed.body, INVALID);
    await server.db.knex('user_roles').where({ realm_id: realm.id, user_id: boss.id }).delete();
    t.false(await isActive(on, answer.body.access_token, rp), 'the administrator may no longer');
  });

  engine.test('many exchanges at once, on all nodes: each is one, and no grant is taken for a replay', async (t) => {
    const { stage, realm, rp, service, user, tokens } = await world();
    const processes = await nodes();
    const answers = await parallel(20, (index) =>
      exchange(
        { server: processes[index % processes.length] ?? stage.server, realm },
        service,
        tokens.access_token,
        index % 2 ? { scope: 'openid' } : {},
      ),
    );
    t.true(answers.every(({ status }) => status === 200));
    t.is(new Set(answers.map(({ body }) => saidBy(body.access_token).sid)).size, 1);
    for (const { body } of answers) t.true(await isActive(stage, body.access_token, rp));
    t.deepEqual(await audited(stage, 'token.reuse', { user: user.id }), []);
  });
});
