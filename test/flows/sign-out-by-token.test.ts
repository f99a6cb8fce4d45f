/** Keycloak's sign-out for programs: a POST to the logout endpoint with a refresh token, by the client that it is of. */
import { DAY, throttling } from '../support/addresses.ts';
import { arena, audited, basic, call, credentialsOf, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, type Browser, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene } = arena(engine, { CARDEA_TRUST_PROXY: '1' });

  const refresh = ({ server, realm, rp }: Scene, token: unknown) =>
    call(
      server,
      realm,
      'token',
      { grant_type: 'refresh_token', refresh_token: String(token), ...(rp.client.secret === null ? { client_id: rp.client.clientId } : {}) },
      credentialsOf(rp),
    );
  const isSignedIn = async (stage: Scene, browser: Browser) => {
    const page = await browser.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
    return new URL(page.headers.get('location') ?? 'x:').searchParams.get('code') !== null;
  };

  engine.test('it ends the session with all of its tokens, and answers 204', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    const other = await relyingParty(server, realm, await server.client(realm));
    const beside = await signIn(server, other, user, { browser });
    const elsewhere = await signIn(server, rp, user);
    const answer = await call(server, realm, 'logout', { refresh_token: String(tokens.refresh_token) }, credentialsOf(rp));
    t.is(answer.status, 204, JSON.stringify(answer.body));
    t.deepEqual(answer.headers.getSetCookie(), []);
    t.like((await refresh(stage, tokens.refresh_token)).body, { error: 'invalid_grant' });
    t.like(
      (await refresh({ ...stage, rp: other }, beside.tokens.refresh_token)).body,
      { error: 'invalid_grant' },
      'of every application of the session',
    );
    t.is((await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${beside.tokens.access_token}` })).status, 401);
    t.false(await isSignedIn(stage, browser));
    t.true(await isSignedIn(stage, elsewhere.browser), 'the user’s other session goes on');
    const [row] = await audited(stage, 'logout', { user: user.id });
    t.is(row?.clientId, rp.client.clientId);
  });

  engine.test('with the secret in the body, and by a public client', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const one = await signIn(server, rp, user);
    const inBody = { client_id: rp.client.clientId, client_secret: rp.client.secret ?? '', refresh_token: String(one.tokens.refresh_token) };
    t.is((await call(server, realm, 'logout', inBody)).status, 204);
    t.false(await isSignedIn(stage, one.browser));
    const open = await scene({ mfa: 'off' }, { publicClient: true });
    const two = await signIn(server, open.rp, user);
    const { clientId } = open.rp.client;
    t.is((await call(server, realm, 'logout', { client_id: clientId, refresh_token: String(two.tokens.refresh_token) })).status, 204);
    t.false(await isSignedIn(open, two.browser));
  });

  engine.test('an offline token ends, and the session does not', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user, { parameters: { scope: 'openid offline_access' } });
    t.is((await call(server, realm, 'logout', { refresh_token: String(tokens.refresh_token) }, credentialsOf(rp))).status, 204);
    t.like((await refresh(stage, tokens.refresh_token)).body, { error: 'invalid_grant' });
    t.true(await isSignedIn(stage, browser));
  });

  engine.test('only by the client that the token is of, with a refresh token, and by nobody else', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const elsewhere = await scene({ mfa: 'optional' });
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    const refresh_token = String(tokens.refresh_token);
    const other = await server.client(realm);
    t.like(await call(server, realm, 'logout', { refresh_token }, basic(other)), { status: 400 });
    t.like((await call(server, realm, 'logout', { refresh_token }, basic(other))).body, { error: 'invalid_grant' });
    t.is((await call(server, realm, 'logout', { refresh_token })).status, 400);
    t.is((await call(server, realm, 'logout', { refresh_token, client_id: rp.client.clientId })).status, 401);
    t.is((await call(server, realm, 'logout', { refresh_token }, basic({ ...rp.client, secret: 'not the secret' }))).status, 401);
    for (const token of ['', 'rubbish', tokens.access_token, tokens.id_token ?? '', `${refresh_token}x`])
      t.is((await call(server, realm, 'logout', { refresh_token: token }, credentialsOf(rp))).status, 400, token);
    const twice = new URLSearchParams({ refresh_token });
    twice.append('refresh_token', refresh_token);
    t.is((await call(server, realm, 'logout', twice, credentialsOf(rp))).status, 400);
    t.true((await call(elsewhere.server, elsewhere.realm, 'logout', { refresh_token }, credentialsOf(elsewhere.rp))).status === 400);
    t.is(
      (await call(server, realm, 'logout', { token: refresh_token, refresh_token: 'rubbish' }, credentialsOf(rp))).status,
      400,
      'a token of another name',
    );
    // A form of another site, in the user's own browser, without what a client knows.
    const url = `${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`;
    const forged = await browser.request(url, {
      method: 'POST',
      body: new URLSearchParams({ refresh_token: 'guessed', client_id: rp.client.clientId }),
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    });
    t.true(forged.status >= 400);
    t.true(await isSignedIn(stage, browser), 'nobody was signed out');
    t.is((await refresh(stage, refresh_token)).status, 200);
    // Without one it is the sign-out of browsers, as ever.
    const asked = await browser.request(url, { method: 'POST', body: new URLSearchParams({ client_id: rp.client.clientId }) });
    t.is(asked.status, 303);
  });

  engine.test('wrong secrets are counted here with those of the other endpoints', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off', throttling: throttling({ client: { failures: 5, within: DAY } }) });
    const { tokens } = await signIn(server, rp, await server.user(realm));
    const wrong = basic({ ...rp.client, secret: 'not the secret' });
    for (let times = 0; times < 5; times += 1) await call(server, realm, 'logout', { refresh_token: String(tokens.refresh_token) }, wrong);
    t.is((await call(server, realm, 'logout', { refresh_token: String(tokens.refresh_token) }, credentialsOf(rp))).status, 429);
    t.is((await call(server, realm, 'token', { grant_type: 'client_credentials' }, credentialsOf(rp))).status, 429);
  });
});
