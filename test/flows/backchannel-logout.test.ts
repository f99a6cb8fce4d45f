/** Back-channel logout: however a session ends, the applications that it was at hear of it; on both engines. */
import { readFileSync } from 'node:fs';
import express from 'express';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { changeClient } from '../../src/admin/resources/client-changes.ts';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { newPasswordCredential, storePassword } from '../../src/sessions/credential-changes.ts';
import { signOutEverywhere } from '../../src/sessions/endings.ts';
import { endRunOut } from '../../src/sessions/run-out.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { lookAgain, sessionsToLookAt } from '../../src/store/session-endings.ts';
import type { UserRow } from '../../src/store/users.ts';
import { type Admin, adminOf } from '../support/admin.ts';
import { formsOf } from '../support/agent.ts';
import { type Cardea, type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { quickHasher } from '../support/factors.ts';
import { listen } from '../support/listen.ts';
import { type LogoutReceiver, logoutReceiver, verifyLogout } from '../support/logouts.ts';
import { authorizationRequest, Browser, openid, type RelyingParty, relyingParty, type SignedIn, signIn } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

interface World {
  server: Cardea;
  admin: Admin;
}

interface Scene extends World {
  realm: RealmRow;
  issuer: string;
  user: UserRow & { password: string };
  /** A client that listens, and what it hears. */
  listening(attributes?: Record<string, string>): Promise<{ rp: RelyingParty; receiver: LogoutReceiver; sidOf(signedIn: SignedIn): string }>;
  logoutOf(rp: RelyingParty, token: string | undefined): ReturnType<typeof verifyLogout>;
}

const sid = ({ tokens }: SignedIn): string => String(tokens.claims()?.sid);

forEachEngine((engine) => {
  let shared: Promise<World> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: 'localhost:*' });
      return { server, admin: await adminOf(server) };
    });
    return shared;
  };

  async function scene(settings: RealmInput = {}): Promise<Scene> {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off', ...settings });
    const issuer = `${server.origin}/realms/${realm.name}`;
    return {
      ...{ server, admin, realm, issuer },
      user: await server.user(realm),
      async listening(attributes = {}) {
        const receiver = await logoutReceiver();
        const client = await server.client(realm, { attributes: { 'backchannel.logout.url': receiver.url, ...attributes } });
        return { rp: await relyingParty(server, realm, client), receiver, sidOf: sid };
      },
      logoutOf: (rp, token) => verifyLogout(token ?? '', { issuer, clientId: rp.client.clientId }),
    };
  }

  engine.test(
    'every application of a session that listens is told of its end, by the sid that it knows, in a token that it can verify',
    async (t) => {
      const { server, realm, user, listening, logoutOf } = await scene();
      const [wiki, chat, other] = [await listening(), await listening(), await listening()];
      const deaf = await relyingParty(server, realm, await server.client(realm));
      const first = await signIn(server, wiki.rp, user);
      const second = await signIn(server, chat.rp, user, { browser: first.browser });
      await signIn(server, deaf, user, { browser: first.browser });
      const elsewhere = await signIn(server, wiki.rp, user);
      await first.browser.visit(openid.buildEndSessionUrl(wiki.rp.configuration, { id_token_hint: String(first.tokens.id_token) }).href);
      await Promise.all([wiki.receiver.until(1), chat.receiver.until(1)]);
      const told = await logoutOf(wiki.rp, wiki.receiver.received[0]);
      t.like(told, { sub: user.id, sid: sid(first) });
      t.like(await logoutOf(chat.rp, chat.receiver.received[0]), { sub: user.id, sid: sid(second) });
      t.not(sid(first), sid(second));
      t.not(told.jti, (await logoutOf(chat.rp, chat.receiver.received[0])).jti);
      await t.throwsAsync(logoutOf(chat.rp, wiki.receiver.received[0]), undefined, 'it is for nobody else');

      await elsewhere.browser.visit(openid.buildEndSessionUrl(wiki.rp.configuration, { id_token_hint: String(elsewhere.tokens.id_token) }).href);
      await wiki.receiver.until(2);
      t.is((await logoutOf(wiki.rp, wiki.receiver.received[1])).sid, sid(elsewhere), 'the other session ended now, and not before');
      t.is(chat.receiver.received.length, 1);
      t.is(other.receiver.received.length, 0, 'the session was never there');
      const notices = await server.db.knex('logout_notices').where({ realm_id: realm.id });
      t.deepEqual(
        notices.map(({ state, attempts, last_status }) => [state, attempts, last_status]),
        [1, 2, 3].map(() => ['delivered', 1, 200]),
      );
    },
  );

  type Ending = (stage: Scene & { signedIn: SignedIn; rp: RelyingParty }) => Promise<unknown>;
  const rest =
    (method: string, path: (stage: Parameters<Ending>[0]) => string | Promise<string>, body?: unknown): Ending =>
    async (stage) => {
      const { status } = await stage.admin.call(method, `/realms/${stage.realm.name}${await path(stage)}`, body === undefined ? {} : { body });
      if (status >= 300) throw new Error(`${method}: ${status}`);
    };
  const confirm = async (browser: Browser, url: string): Promise<void> => {
    const page = await browser.visit(url);
    await browser.send(page, { logout: 'yes' }, formsOf(page)[0]);
  };

  const ENDINGS: [string, Ending][] = [
    ['the page that asks, with no hint', ({ signedIn, issuer }) => confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`)],
    [
      'an application that shows an ID token by POST',
      async ({ signedIn, issuer, rp }) => {
        const fields = { id_token_hint: String(signedIn.tokens.id_token), client_id: rp.client.clientId };
        await signedIn.browser.post(`${issuer}/protocol/openid-connect/logout`, fields);
      },
    ],
    ['an administrator who signs the user out', rest('POST', ({ user }) => `/users/${user.id}/logout`)],
    [
      'an administrator who ends the session',
      rest('DELETE', async ({ admin, realm, user }) => {
        const { body } = await admin.call('GET', `/realms/${realm.name}/users/${user.id}/sessions`);
        return `/sessions/${body[0].id}`;
      }),
    ],
    ['an administrator who signs everybody out', rest('POST', () => '/logout-all')],
    [
      'its own program, with a refresh token',
      async ({ issuer, signedIn, rp }) => {
        const { clientId, secret } = rp.client;
        const authorization = `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`;
        const body = new URLSearchParams({ refresh_token: String(signedIn.tokens.refresh_token) });
        const { status } = await fetch(`${issuer}/protocol/openid-connect/logout`, { method: 'POST', body, headers: { authorization } });
        if (status !== 204) throw new Error(`logout: ${status}`);
      },
    ],
    [
      'its user, everywhere',
      async ({ server, realm, user }) => {
        const whose = { realmId: realm.id, userId: user.id };
        await server.db.transaction((trx) => signOutEverywhere(trx, whose, { offline: true }, Date.now()));
      },
    ],
    [
      'a password that had to be changed',
      async ({ server, realm, user, rp, admin }) => {
        await admin.call('PUT', `/realms/${realm.name}/users/${user.id}`, { body: { requiredActions: ['UPDATE_PASSWORD'] } });
        const elsewhere = new Browser(server.origin);
        const { url } = await authorizationRequest(rp);
        const page = await elsewhere.send(await elsewhere.visit(url), { username: user.username, password: user.password });
        const password = 'quite another good password';
        await elsewhere.send(page, { 'password-new': password, 'password-confirm': password });
      },
    ],
    ['a user who is switched off', rest('PUT', ({ user }) => `/users/${user.id}`, { enabled: false })],
    ['a user who is deleted', rest('DELETE', ({ user }) => `/users/${user.id}`)],
    [
      'a password that is taken away',
      rest('DELETE', async ({ admin, realm, user }) => {
        const { body } = await admin.call('GET', `/realms/${realm.name}/users/${user.id}/credentials`);
        return `/users/${user.id}/credentials/${body[0].id}`;
      }),
    ],
    [
      'a password that is recovered',
      async ({ server, realm, user }) => {
        const { db, keyring } = server;
        const whose = { realmId: realm.id, userId: user.id };
        const row = await newPasswordCredential({ keyring, passwords: quickHasher() }, whose, 'another good password', Date.now());
        await db.transaction((trx) => storePassword(trx, row, { realmId: realm.id, at: Date.now() }));
      },
    ],
    ['the realm’s not-before', rest('PUT', () => '', { notBefore: Math.floor(Date.now() / 1000) + 1 })],
    [
      'a session that has run out',
      async ({ server, realm }) => {
        const now = Date.now();
        await server.db
          .knex('sessions')
          .where({ realm_id: realm.id })
          .update({ ends_at: now - 1, look_at: now - 1 });
        await endRunOut(server.db, now);
      },
    ],
    [
      'another user who signs in to the browser',
      async ({ server, realm, signedIn, rp }) => {
        const { browser } = signedIn;
        const bob = await server.user(realm);
        const { url } = await authorizationRequest(rp, { prompt: 'select_account' });
        const asked = await browser.send(await browser.visit(url), { username: bob.username, password: bob.password });
        // A form that sends itself: the session of before ends first.
        await browser.send(asked, {});
      },
    ],
  ];
  for (const [what, end] of ENDINGS) {
    engine.test(`applications hear of the end by ${what}`, async (t) => {
      const stage = await scene();
      const { server, user, realm, logoutOf } = stage;
      const { rp, receiver } = await stage.listening();
      const signedIn = await signIn(server, rp, user);
      const begun = await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).first('id');
      await end({ ...stage, signedIn, rp });
      await receiver.until(1);
      t.is(receiver.received.length, 1);
      t.like(await logoutOf(rp, receiver.received[0]), { sid: sid(signedIn), sub: user.id });
      const sessions = await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id });
      t.not(sessions.find(({ id }) => id === begun?.id)?.ended_at, null);
    });
  }

  engine.test('what the application revokes itself ends nothing elsewhere; it hears of the end of its session all the same', async (t) => {
    const stage = await scene();
    const { server, user, realm, issuer, logoutOf } = stage;
    const { rp, receiver } = await stage.listening();
    const signedIn = await signIn(server, rp, user);
    await openid.tokenRevocation(rp.configuration, String(signedIn.tokens.refresh_token), { token_type_hint: 'refresh_token' });
    t.like(await server.db.knex('logout_notices').where({ realm_id: realm.id }).first(), { state: 'held', sid: sid(signedIn) });
    const again = await signIn(server, rp, user, { browser: signedIn.browser });
    t.not(sid(again), sid(signedIn));
    await confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`);
    await receiver.until(2);
    const told = await Promise.all(receiver.received.map((token) => logoutOf(rp, token)));
    t.deepEqual(told.map((one) => one.sid).sort(), [sid(again), sid(signedIn)].sort());
  });

  engine.test('a token used twice ends the family, and the application hears of the end of its session when that comes', async (t) => {
    const stage = await scene();
    const { server, user, realm, issuer, logoutOf } = stage;
    const receiver = await logoutReceiver();
    const client = await server.client(realm, { publicClient: true, attributes: { 'backchannel.logout.url': receiver.url } });
    const rp = await relyingParty(server, realm, client);
    const signedIn = await signIn(server, rp, user);
    const stolen = String(signedIn.tokens.refresh_token);
    await openid.refreshTokenGrant(rp.configuration, stolen);
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, stolen));
    t.is(receiver.received.length, 0);
    await confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`);
    await receiver.until(1);
    t.is((await logoutOf(rp, receiver.received[0])).sid, sid(signedIn));
  });

  // By itself: other tests look at whatever sessions are to be looked at, this one's too.
  engine.serial('an address that is set while a session goes on is told of its end, also when it has lost its tokens before', async (t) => {
    const stage = await scene();
    const { server, user, realm, logoutOf } = stage;
    const [receiver, client] = [await logoutReceiver(), await server.client(realm)];
    const rp = await relyingParty(server, realm, client);
    const signedIn = await signIn(server, rp, user);
    await changeClient(server.operator(), realm, client.row.id, { attributes: { 'backchannel.logout.url': receiver.url } });
    await openid.tokenRevocation(rp.configuration, String(signedIn.tokens.refresh_token), { token_type_hint: 'refresh_token' });
    const sessions = () => server.db.knex('sessions').where({ realm_id: realm.id });
    t.deepEqual(await sessions().pluck('look_at'), [0]);
    await endRunOut(server.db, Date.now());
    t.is(receiver.received.length, 0);
    const now = Date.now();
    await sessions().update({ ends_at: now - 1, look_at: now - 1 });
    await endRunOut(server.db, now);
    await receiver.until(1);
    t.is((await logoutOf(rp, receiver.received[0])).sid, sid(signedIn));
  });

  engine.test('offline tokens outlive the session, unless the client says otherwise', async (t) => {
    const stage = await scene();
    const { server, user, issuer } = stage;
    const keeps = await stage.listening();
    const loses = await stage.listening({ 'backchannel.logout.revoke.offline.tokens': 'true' });
    const parameters = { scope: 'openid offline_access' };
    const first = await signIn(server, keeps.rp, user, { parameters });
    const second = await signIn(server, loses.rp, user, { browser: first.browser, parameters });
    await confirm(first.browser, `${issuer}/protocol/openid-connect/logout`);
    await Promise.all([keeps.receiver.until(1), loses.receiver.until(1)]);
    t.deepEqual([keeps.receiver.received.length, loses.receiver.received.length], [1, 1]);
    t.truthy((await openid.refreshTokenGrant(keeps.rp.configuration, String(first.tokens.refresh_token))).access_token);
    await t.throwsAsync(openid.refreshTokenGrant(loses.rp.configuration, String(second.tokens.refresh_token)), { message: /./ });
  });

  engine.test('a session that goes on is looked at again, and nobody is told', async (t) => {
    const stage = await scene({ ssoSessionIdleTimeout: 3_600 });
    const { server, user, realm } = stage;
    const { rp, receiver } = await stage.listening();
    await signIn(server, rp, user);
    const look = async () => (await server.db.knex('sessions').where({ realm_id: realm.id }).first('look_at')).look_at;
    const now = Date.now();
    const age = (change: object) => server.db.knex('sessions').where({ realm_id: realm.id }).update(change);
    t.true((await look()) > now);
    await age({ look_at: now - 1, last_seen_at: now - 1_800_000 });
    await endRunOut(server.db, now);
    t.is(await look(), now + 1_800_000, 'when it may have run out by idleness');
    t.is((await server.db.knex('logout_notices').where({ realm_id: realm.id })).length, 0);
    await age({ look_at: now - 1, last_seen_at: now - 3_600_000 });
    await endRunOut(server.db, now);
    t.is(await look(), null);
    await receiver.until(1);
    t.is(receiver.received.length, 1);
    t.deepEqual(await server.db.knex('sessions').where({ realm_id: realm.id }).pluck('look_at'), [null]);
  });

  engine.test('whoever says meanwhile when a session is to be looked at is heard', async (t) => {
    const { server, user, realm, listening } = await scene();
    await signIn(server, (await listening()).rp, user);
    const { knex } = server.db;
    const sessions = () => knex('sessions').where({ realm_id: realm.id });
    // So far off that no other test looks.
    const far = Date.now() + 1_000 * 86_400_000;
    await sessions().update({ look_at: far });
    const seen = (await sessionsToLookAt(knex, far, 10_000)).filter(({ realmId }) => realmId === realm.id);
    t.deepEqual(
      seen.map(({ lookAt }) => lookAt),
      [far],
    );
    await sessions().update({ look_at: far - 1 });
    for (const session of seen) await lookAgain(knex, session, far + 1);
    t.deepEqual(await sessions().pluck('look_at'), [far - 1]);
  });

  engine.test('a logout token is signed as the client’s ID tokens are, and by the newest key', async (t) => {
    const stage = await scene();
    const { server, user, realm, issuer } = stage;
    const { rp, receiver } = await stage.listening({ 'id.token.signed.response.alg': 'ES256' });
    const signedIn = await signIn(server, rp, user);
    await rotateKeys(server.operator(), realm, { publishAheadMs: 0 });
    await confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`);
    await receiver.until(1);
    const { clientId } = rp.client;
    t.is((await verifyLogout(receiver.received[0] ?? '', { issuer, clientId, algorithm: 'ES256' })).sid, sid(signedIn));
  });

  engine.test('a realm that signs with Ed25519 signs logout tokens so', async (t) => {
    const stage = await scene({ defaultSignatureAlgorithm: 'EdDSA' });
    const { server, user, issuer } = stage;
    const { rp, receiver } = await stage.listening();
    const signedIn = await signIn(server, rp, user);
    await confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`);
    await receiver.until(1);
    const { clientId } = rp.client;
    t.is((await verifyLogout(receiver.received[0] ?? '', { issuer, clientId, algorithm: 'EdDSA' })).sid, sid(signedIn));
  });

  engine.test('the receiver of docs/clients.md ends what it is told to end, and nothing else', async (t) => {
    const stage = await scene();
    const { server, user, realm, issuer } = stage;
    const docs = readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8');
    const [, code = ''] = /```js\n(import \{ createRemoteJWKSet[\s\S]*?)```/.exec(docs) ?? [];
    const body = code.replace(/^import .*$/m, '').replace('https://id.example.com/realms/staff', issuer);
    const ended: string[] = [];
    const app = express();
    new Function('app', 'express', 'createRemoteJWKSet', 'jwtVerify', 'endSessionsOf', body)(
      ...[app, express, createRemoteJWKSet, jwtVerify, async (of: string) => ended.push(of)],
    );
    const { port } = await listen(app);
    const url = `http://localhost:${port}/backchannel-logout`;
    const client = await server.client(realm, { clientId: 'wiki', attributes: { 'backchannel.logout.url': url } });
    const signedIn = await signIn(server, await relyingParty(server, realm, client), user);
    const post = (token: string) => fetch(url, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
    for (const token of ['x', String(signedIn.tokens.id_token), signedIn.tokens.access_token]) t.is((await post(token)).status, 400);
    await confirm(signedIn.browser, `${issuer}/protocol/openid-connect/logout`);
    const isTold = async () => (await server.db.knex('logout_notices').where({ realm_id: realm.id, state: 'delivered' }).first('id')) !== undefined;
    t.true(await until(isTold));
    t.deepEqual(ended, [sid(signedIn)]);
  });

  engine.test('discovery says that it is so, and the library sends nothing by itself', async (t) => {
    const { issuer } = await scene();
    const metadata: unknown = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
    t.like(metadata, {
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
      frontchannel_logout_supported: undefined,
      frontchannel_logout_session_supported: undefined,
    });
  });

  engine.test('an address is looked at when it is saved; over REST and registration, the field is named', async (t) => {
    const { admin, realm } = await scene();
    const bad = [
      ['http://app.example/out', /https/],
      ['ftp://app.example/out', /https/],
      ['https://user:word@app.example/out', /password/],
      ['https://app.example/out#part', /fragment/],
      ['https://0x7f.1/', /read differently/],
      ['not an address', /https/],
    ] as const;
    for (const [url, says] of bad) {
      const { status, body } = await admin.call('POST', `/realms/${realm.name}/clients`, {
        body: { clientId: 'x', redirectUris: ['https://app.example/cb'], attributes: { 'backchannel.logout.url': url } },
      });
      t.is(status, 400, url);
      t.true(JSON.stringify(body).includes('backchannel.logout.url'), JSON.stringify(body));
      t.regex(JSON.stringify(body), says);
    }
    const half = { clientId: 'y', attributes: { 'backchannel.logout.revoke.offline.tokens': 'perhaps' } };
    t.is((await admin.call('POST', `/realms/${realm.name}/clients`, { body: half })).status, 400);
    const good = { clientId: 'z', redirectUris: ['https://app.example/cb'], attributes: { 'backchannel.logout.url': 'https://app.example/out?x=1' } };
    t.is((await admin.call('POST', `/realms/${realm.name}/clients`, { body: good })).status, 201);
  });

  engine.test('nobody hears of the sessions of another realm, whatever clients are called', async (t) => {
    const [one, two] = [await scene(), await scene()];
    const receivers = [];
    for (const { server, realm } of [one, two]) {
      const receiver = await logoutReceiver();
      const client = await server.client(realm, { clientId: 'same', attributes: { 'backchannel.logout.url': receiver.url } });
      receivers.push({ receiver, rp: await relyingParty(server, realm, client) });
    }
    const [mine, theirs] = receivers;
    if (!mine || !theirs) return t.fail();
    const signedIn = await signIn(one.server, mine.rp, one.user);
    const other = await signIn(two.server, theirs.rp, two.user);
    await one.admin.call('POST', `/realms/${one.realm.name}/logout-all`);
    await mine.receiver.until(1);
    const token = mine.receiver.received[0] ?? '';
    t.is((await one.logoutOf(mine.rp, token)).sid, sid(signedIn));
    await t.throwsAsync(two.logoutOf(theirs.rp, token), undefined, 'another realm’s issuer and keys');
    t.is(theirs.receiver.received.length, 0);
    t.is(decodeJwt(token).iss, one.issuer);
    await two.admin.call('DELETE', `/realms/${two.realm.name}/users/${two.user.id}`);
    await theirs.receiver.until(1);
    t.is((await two.logoutOf(theirs.rp, theirs.receiver.received[0])).sid, sid(other));
    t.is(mine.receiver.received.length, 1);
  });
});
