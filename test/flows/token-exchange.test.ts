/** Token exchange (RFC 8693): a service that is called with a user's token gets one of its own, and everything that holds for the first holds for it. */
import { arena, at, audited, call, credentialsOf, giveApp, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';
import {
  ACCESS_TOKEN,
  addAudience,
  changeClient,
  eventually,
  exchange,
  ID_TOKEN,
  REFRESH_TOKEN,
  saidBy,
  serviceBehind,
  serviceToken,
  setAttributes,
  TOKEN_EXCHANGE,
} from '../support/token-exchange.ts';

const REFRESHES = { 'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION' };

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** A user signed in to an application, and a service that this one calls. */
  const world = async (attributes: Record<string, string> = {}, settings: Parameters<typeof scene>[0] = { mfa: 'off' }) => {
    const stage = await scene(settings);
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, attributes);
    const user = await server.user(realm);
    const signedIn = await signIn(server, rp, user);
    return { stage, server, realm, rp, service, user, ...signedIn };
  };
  const isActive = async ({ server, realm }: Pick<Scene, 'server' | 'realm'>, token: unknown, rp: Scene['rp']) =>
    (await call(server, realm, 'token/introspect', { token: String(token) }, credentialsOf(rp))).body.active;
  const userinfo = async ({ server, realm }: Pick<Scene, 'server' | 'realm'>, token: unknown) =>
    call(server, realm, 'userinfo', {}, { authorization: `Bearer ${token}` });

  engine.test('impersonation: a token of the same user, of the service, that says how the user signed in', async (t) => {
    const { stage, server, realm, rp, service, user, tokens } = await world();
    const first = saidBy(tokens.access_token);
    const answer = await openid.genericGrantRequest(service.configuration, TOKEN_EXCHANGE, {
      subject_token: tokens.access_token,
      subject_token_type: ACCESS_TOKEN,
    });
    t.is(answer.issued_token_type, ACCESS_TOKEN);
    t.is(answer.token_type, 'bearer');
    t.true(Number(answer.expires_in) > 0 && Number(answer.expires_in) <= 300);
    t.is(answer.refresh_token, undefined);
    const claims = saidBy(answer.access_token);
    t.like(claims, { sub: user.id, azp: service.client.clientId, typ: 'Bearer', preferred_username: user.username });
    for (const name of ['acr', 'amr', 'auth_time'] as const) t.deepEqual(claims[name], first[name], name);
    t.is(claims.act, undefined);
    t.deepEqual(claims.exchanged_from, [{ azp: rp.client.clientId, sid: first.sid, jti: first.jti }]);
    t.not(claims.sid, first.sid, 'the session as this client knows it');
    t.is(String(answer.session_state), String(claims.sid));
    t.true((claims.exp ?? 0) <= (first.exp ?? 0), 'no longer than what it was made of');

    t.like((await userinfo(stage, answer.access_token)).body, { sub: user.id, preferred_username: user.username });
    const looked = await call(server, realm, 'token/introspect', { token: answer.access_token }, credentialsOf(rp));
    t.like(looked.body, { active: true, sub: user.id, client_id: service.client.clientId, acr: first.acr, auth_time: first.auth_time });
    const [row] = await eventually(() => audited(stage, 'token.exchange', { user: user.id }));
    t.is(row?.clientId, service.client.clientId);
    t.like(JSON.parse(row?.details ?? '{}'), { from: rp.client.clientId, mode: 'impersonation' });
  });

  engine.test('delegation: the token says who acts, and what was said before is kept inside', async (t) => {
    const { stage, server, realm, service, user, tokens } = await world();
    const actor = await serviceToken(stage, service);
    const answer = await exchange(stage, service, tokens.access_token, { actor_token: actor, actor_token_type: ACCESS_TOKEN });
    t.is(answer.status, 200, JSON.stringify(answer.body));
    const act = { sub: saidBy(actor).sub, client_id: service.client.clientId };
    t.like(saidBy(answer.body.access_token), { sub: user.id, act });
    t.like((await call(server, realm, 'token/introspect', { token: String(answer.body.access_token) }, credentialsOf(service))).body, {
      active: true,
      act,
    });

    // The next service, which acts itself, and one that only passes on.
    const next = await serviceBehind(server, realm, service.client);
    const again = await exchange(stage, service, tokens.access_token, { actor_token: actor, actor_token_type: ACCESS_TOKEN });
    const nextActor = await serviceToken(stage, next);
    const nested = await exchange(stage, next, again.body.access_token, { actor_token: nextActor, actor_token_type: ACCESS_TOKEN });
    t.deepEqual(saidBy(nested.body.access_token).act, { sub: saidBy(nextActor).sub, client_id: next.client.clientId, act });
    const passed = await exchange(stage, next, again.body.access_token);
    t.deepEqual(saidBy(passed.body.access_token).act, act, 'who acted goes on to be said');

    // A user of the service who acts for another one.
    const clerk = await server.user(realm);
    const clerks = await signIn(server, service, clerk);
    const helped = await exchange(stage, service, tokens.access_token, { actor_token: clerks.tokens.access_token, actor_token_type: ACCESS_TOKEN });
    t.like(saidBy(helped.body.access_token), { sub: user.id, act: { sub: clerk.id, client_id: service.client.clientId } });
    t.true(await isActive(stage, helped.body.access_token, service));
    await server.db.knex('sessions').where({ realm_id: realm.id, user_id: clerk.id }).update({ ended_at: Date.now() });
    t.false(await isActive(stage, helped.body.access_token, service), 'who acts has signed out');
    t.is((await userinfo(stage, helped.body.access_token)).status, 401);
  });

  engine.test('each mode is switched off by itself', async (t) => {
    const { stage, service, tokens } = await world({ 'cardea.token.exchange.impersonation': 'false' });
    const acting = { actor_token: await serviceToken(stage, service), actor_token_type: ACCESS_TOKEN };
    t.like((await exchange(stage, service, tokens.access_token)).body, { error: 'invalid_request' });
    t.is((await exchange(stage, service, tokens.access_token, acting)).status, 200);
    await setAttributes(stage.server, service.client, { 'standard.token.exchange.enabled': 'true', 'cardea.token.exchange.delegation': 'false' });
    t.is((await exchange(stage, service, tokens.access_token)).status, 200);
    t.like((await exchange(stage, service, tokens.access_token, acting)).body, { error: 'invalid_request' });
  });

  engine.test('scope narrows, and audience chooses among whom the token would be for', async (t) => {
    const { stage, server, realm, service, tokens } = await world();
    const target = await server.client(realm);
    await addAudience(server, realm, service.client, target.clientId);
    const all = saidBy((await exchange(stage, service, tokens.access_token)).body.access_token);
    t.deepEqual(String(all.scope).split(' ').sort(), ['email', 'openid', 'profile']);
    t.deepEqual(all.aud, ['account', target.clientId]);
    const less = await exchange(stage, service, tokens.access_token, { scope: 'openid email' });
    t.is(less.body.scope, 'openid email');
    t.is(saidBy(less.body.access_token).preferred_username, undefined);
    const one = await exchange(stage, service, tokens.access_token, { audience: target.clientId });
    const claims = saidBy(one.body.access_token);
    t.is(claims.aud, target.clientId);
    t.is(Object(claims.resource_access).account, undefined, 'roles elsewhere are not said');
    t.true(await isActive(stage, one.body.access_token, service));
    const both = await exchange(stage, service, tokens.access_token, [
      ['audience', target.clientId],
      ['audience', 'account'],
    ]);
    t.deepEqual([saidBy(both.body.access_token).aud].flat().sort(), ['account', target.clientId].sort());
    for (const audience of ['nobody', 'https://api.example']) {
      const refused = await exchange(stage, service, tokens.access_token, { audience });
      t.like(refused.body, { error: 'invalid_target' });
    }
    t.like((await exchange(stage, service, tokens.access_token, { resource: 'https://api.example' })).body, { error: 'invalid_target' });
  });

  engine.test('a resource server exchanges what it was called with, opaque tokens too', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const resource = `https://orders.example/${rp.client.clientId}`;
    const opaque = { 'cardea.access.token.format': 'opaque' };
    const service = await relyingParty(server, realm, await server.client(realm, { serviceAccount: true }));
    await setAttributes(server, service.client, { 'standard.token.exchange.enabled': 'true', 'cardea.resource': resource, ...opaque });
    await setAttributes(server, rp.client, { 'cardea.resources': service.client.clientId });
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user, { parameters: { resource } });
    t.is(tokens.access_token.split('.').length, 1, 'it is opaque');
    const actor = await serviceToken(stage, service);
    const answer = await exchange(stage, service, tokens.access_token, { actor_token: actor, actor_token_type: ACCESS_TOKEN });
    t.is(answer.status, 200, JSON.stringify(answer.body));
    const look = () => call(server, realm, 'token/introspect', { token: String(answer.body.access_token) }, credentialsOf(service));
    const { body } = await look();
    t.like(body, { active: true, sub: user.id, client_id: service.client.clientId, acr: 'aal1', act: { client_id: service.client.clientId } });
    t.is([body.exchanged_from].flat().length, 1);
    const again = await exchange(stage, service, answer.body.access_token);
    t.is(again.status, 200, JSON.stringify(again.body));
    await call(server, realm, 'revoke', { token: tokens.access_token }, credentialsOf(rp));
    t.false((await look()).body.active);
  });

  engine.test('an ID token for the service, where it is asked for', async (t) => {
    const { stage, service, user, tokens } = await world();
    const answer = await exchange(stage, service, tokens.access_token, { requested_token_type: ID_TOKEN });
    t.like(answer.body, { issued_token_type: ID_TOKEN, token_type: 'N_A' });
    t.like(saidBy(answer.body.access_token), { sub: user.id, aud: service.client.clientId, typ: 'ID', acr: 'aal1' });
    t.deepEqual(saidBy(answer.body.access_token).amr, ['pwd']);
    t.like((await exchange(stage, service, tokens.access_token, { requested_token_type: ID_TOKEN, scope: 'email' })).body, {
      error: 'invalid_scope',
    });
  });

  engine.test('a refresh token only where the client may have one; it says the same of the sign-in, and rotates', async (t) => {
    const without = await world();
    t.like((await exchange(without.stage, without.service, without.tokens.access_token, { requested_token_type: REFRESH_TOKEN })).body, {
      error: 'invalid_request',
    });
    const { stage, server, realm, rp, service, user, tokens } = await world(REFRESHES);
    const actor = await serviceToken(stage, service);
    const answer = await exchange(stage, service, tokens.access_token, {
      requested_token_type: REFRESH_TOKEN,
      actor_token: actor,
      actor_token_type: ACCESS_TOKEN,
    });
    t.like(answer.body, { issued_token_type: REFRESH_TOKEN });
    t.true(Number(answer.body.refresh_expires_in) > 0);
    await changeClient(server, service.client, { revoke_refresh_token: true });
    let refreshToken = String(answer.body.refresh_token);
    const refresh = () => call(server, realm, 'token', { grant_type: 'refresh_token', refresh_token: refreshToken }, credentialsOf(service));
    const before = saidBy(answer.body.access_token);
    for (let times = 0; times < 2; times += 1) {
      const again = await refresh();
      t.is(again.status, 200, JSON.stringify(again.body));
      t.not(again.body.refresh_token, refreshToken, 'it rotates');
      const claims = saidBy(again.body.access_token);
      for (const name of ['sub', 'sid', 'acr', 'amr', 'auth_time', 'act', 'exchanged_from', 'azp'] as const)
        t.deepEqual(claims[name], before[name], name);
      refreshToken = String(again.body.refresh_token);
      t.is((await userinfo(stage, again.body.access_token)).body.sub, user.id);
    }
    // The family that it came from ends, and with it this one.
    await call(server, realm, 'revoke', { token: String(tokens.refresh_token) }, credentialsOf(rp));
    t.like((await refresh()).body, { error: 'invalid_grant' });
  });

  engine.test('it ends with whatever it came from: token, family, session, user, client', async (t) => {
    const ends: [string, (of: Awaited<ReturnType<typeof world>> & { exchanged: unknown }) => Promise<unknown>][] = [
      ['the token was revoked', ({ server, realm, rp, tokens }) => call(server, realm, 'revoke', { token: tokens.access_token }, credentialsOf(rp))],
      [
        'its family was revoked',
        ({ server, realm, rp, tokens }) => call(server, realm, 'revoke', { token: String(tokens.refresh_token) }, credentialsOf(rp)),
      ],
      [
        'the user signed out',
        ({ server, realm, browser, tokens }) =>
          browser.visit(
            `${server.origin}/realms/${realm.name}/protocol/openid-connect/logout?${new URLSearchParams({ id_token_hint: tokens.id_token ?? '' })}`,
          ),
      ],
      [
        'the user was switched off',
        ({ server, realm, user }) => server.db.knex('users').where({ realm_id: realm.id, id: user.id }).update({ enabled: false }),
      ],
      ['the first client was switched off', ({ server, rp }) => changeClient(server, rp.client, { enabled: false })],
      [
        'the service revoked it',
        async ({ server, realm, service, exchanged }) => call(server, realm, 'revoke', { token: String(exchanged) }, credentialsOf(service)),
      ],
    ];
    const look = await scene({ mfa: 'off' });
    for (const [what, end] of ends) {
      const one = { exchanged: undefined as unknown, ...(await world(REFRESHES)) };
      const answer = await exchange(one.stage, one.service, one.tokens.access_token, { requested_token_type: REFRESH_TOKEN });
      one.exchanged = answer.body.access_token;
      t.true(await isActive(one.stage, one.exchanged, look.rp), what);
      await end(one);
      t.false(await isActive(one.stage, one.exchanged, look.rp), what);
      t.is((await userinfo(one.stage, one.exchanged)).status, 401, what);
      const refreshed = await call(
        one.server,
        one.realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: String(answer.body.refresh_token) },
        credentialsOf(one.service),
      );
      // What revokes the exchanged access token alone leaves the rest.
      t.is(refreshed.status, what === 'the service revoked it' ? 200 : 400, what);
    }
  });

  engine.test('a service that its realm wants a second factor for does not get around it', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, { 'minimum.acr.value': 'aal2' });
    const plain = await server.user(realm);
    const low = await signIn(server, rp, plain);
    const refused = await exchange(stage, service, low.tokens.access_token);
    t.like(refused.body, { error: 'invalid_request' });
    t.regex(String(refused.body.error_description), /not enough for this client/);
    const owner = await server.user(realm);
    const { secret } = await giveApp(server, owner);
    const high = await signIn(server, rp, owner, { totpSecret: secret });
    const answer = await exchange(stage, service, high.tokens.access_token);
    t.like(saidBy(answer.body.access_token), { acr: 'aal2' });
  });

  engine.serial('lifetimes: never beyond the subject token', async (t) => {
    const { stage, service, tokens } = await world();
    await at(250_000, async () => {
      const answer = await exchange(stage, service, tokens.access_token);
      t.true(Number(answer.body.expires_in) <= 50, String(answer.body.expires_in));
      // Its own token, exchanged again, does not live longer.
      const again = await exchange(stage, service, answer.body.access_token);
      t.true(Number(again.body.expires_in) <= 50);
    });
    await at(310_000, async () => t.like((await exchange(stage, service, tokens.access_token)).body, { error: 'invalid_request' }));
  });

  engine.test('its switches are validated where they are saved', async (t) => {
    const { server, realm } = await scene({ mfa: 'off' });
    const wrong: [string, string][] = [
      ['standard.token.exchange.enabled', 'yes'],
      ['standard.token.exchange.enableRefreshRequestedTokenType', 'OTHER_SESSION'],
      ['cardea.token.exchange.impersonation', '1'],
      ['cardea.token.exchange.delegation', 'on'],
      ['cardea.refresh.grace', '61'],
      ['cardea.refresh.grace', '-1'],
      ['cardea.refresh.grace', '1.5'],
    ];
    for (const [name, value] of wrong) {
      const refused = await t.throwsAsync(server.client(realm, { attributes: { [name]: value } }), undefined, `${name}=${value}`);
      t.true(refused?.message.includes(`attributes.${name}`), refused?.message);
    }
    const right = { 'cardea.refresh.grace': '60', 'standard.token.exchange.enabled': 'true', ...REFRESHES };
    t.like((await server.client(realm, { attributes: right })).row.attributes, right);
  });

  engine.test('discovery names the grant type', async (t) => {
    const { server, realm } = await scene({ mfa: 'off' });
    const metadata = await (await fetch(`${server.url}/realms/${realm.name}/.well-known/openid-configuration`)).text();
    t.true(metadata.includes(TOKEN_EXCHANGE));
  });
});
