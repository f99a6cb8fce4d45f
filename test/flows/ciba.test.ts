/** Users are asked elsewhere (OpenID Connect CIBA Core 1.0), with openid-client as the client that asks. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { decodeJwt, SignJWT } from 'jose';
import { adminOf, callAdmin } from '../support/admin.ts';
import { formsOf } from '../support/agent.ts';
import { arena, at, audited, call, codeAt, credentialsOf, giveApp, sessionsOf } from '../support/attack.ts';
import { ASKS, answer, arrive, ask, askPlainly, isDone, isLeft, isOver, isQuestion, isRefused, linkTo, open, poll, QUICK } from '../support/ciba.ts';
import { keySetOf, ownKey } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { mailsTo } from '../support/recovery.ts';
import { Browser, openid, signIn, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('a client gets tokens once its user has opened the mail, signed in with what was asked for, and said yes', async (t) => {
    const stage = await scene({ ...QUICK, mfa: 'optional' }, ASKS);
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const asked = await ask(stage, user, { acr_values: 'aal2', binding_message: 'Transfer 4711, Zürich' });
    t.is(asked.expires_in, 600);
    t.is(asked.interval, 1);
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'authorization_pending');
    const tokens = openid.pollBackchannelAuthenticationGrant(rp.configuration, asked);

    const [mail] = await mailsTo(server, realm, user.email ?? '');
    t.true(mail?.text.includes('Telephone Bank'), mail?.text);
    t.false(mail?.text.includes('4711'), 'the words of the client are for whoever has signed in');
    const browser = new Browser(server.origin);
    const link = await linkTo(stage, user);
    const begun = await browser.visit(link);
    t.false(begun.html.includes('Telephone Bank') || begun.html.includes(user.username), 'the link says nothing of anybody');
    const login = await browser.send(begun, { confirm: 'yes' });
    t.false(login.html.includes('4711'));
    t.is(formsOf(login)[0]?.names.includes('password'), true, text(login));
    const code = await browser.send(login, { username: user.username, password: user.password });
    t.true(code.html.includes('An application asks whether it is you'), text(code));
    const question = await browser.send(code, { code: codeAt(secret) });
    t.true(isQuestion(question), text(question));
    for (const said of ['Telephone Bank', 'Transfer 4711, Zürich', user.username, 'Your email address']) t.true(question.html.includes(said), said);
    t.is((await poll(stage, asked.auth_req_id)).body.id_token, undefined, 'a sign-in is no yes');
    t.true(isDone(await browser.send(question, { do: 'allow' })));

    const got = await tokens;
    const claims = got.claims();
    t.is(claims?.sub, user.id);
    t.deepEqual([claims?.acr, claims?.amr], ['aal2', ['pwd', 'otp', 'mfa']]);
    t.true(Math.abs(Number(claims?.auth_time) - Date.now() / 1000) < 60);
    const access = decodeJwt(got.access_token);
    for (const name of ['acr', 'amr', 'auth_time', 'sid']) t.deepEqual(access[name], claims?.[name], name);
    t.is((await openid.fetchUserInfo(rp.configuration, got.access_token, user.id)).preferred_username, user.username);
    const refreshed = await openid.refreshTokenGrant(rp.configuration, got.refresh_token ?? '');
    t.deepEqual([refreshed.claims()?.acr, refreshed.claims()?.auth_time], [claims?.acr, claims?.auth_time]);
    t.is((await sessionsOf(stage, user)).length, 1);
    for (const type of ['ciba.requested', 'ciba.approved', 'login.ok'])
      t.is((await audited(stage, type, { client: rp.client.clientId })).length, 1, type);
    t.true(isOver(await open(new Browser(server.origin), link)), 'the link is used');
  });

  engine.serial('whoever is signed in already shows anew who they are; the tokens are of that sign-in', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const web = await scene(QUICK);
    const user = await stage.server.user(stage.realm);
    const { browser, tokens: before } = await signIn(web.server, web.rp, user);
    await at(120_000, async () => {
      const asked = await ask(stage, user);
      const login = await open(browser, await linkTo(stage, user));
      t.is(formsOf(login)[0]?.fields.username, user.username, 'it is known who is asked');
      const question = await browser.send(login, { password: user.password });
      t.true(isQuestion(question), text(question));
      t.true(isDone(await browser.send(question, { do: 'allow' })));
      const { body } = await poll(stage, asked.auth_req_id);
      const claims = decodeJwt(String(body.id_token));
      t.true(Number(claims.auth_time) > Number(before.claims()?.auth_time) + 60);
      t.is((await sessionsOf(stage, user)).length, 1, 'the session was renewed');
    });
  });

  engine.test('a no is told to the client, once; who leaves the sign-in has not answered', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const asked = await ask(stage, user);
    const browser = new Browser(stage.server.origin);
    const login = await open(browser, await linkTo(stage, user));
    t.true(isLeft(await browser.send(login, { do: 'cancel' })));
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'authorization_pending');
    t.true(isRefused(await answer(stage, user, 'deny')));
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'access_denied');
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'invalid_grant');
    const [row, ...others] = await audited(stage, 'ciba.denied', { client: stage.rp.client.clientId });
    t.deepEqual([row?.details, others.length], ['{"reason":"access_denied"}', 0]);
    const clients = await stage.server.db.knex('session_clients').where({ realm_id: stage.realm.id, client_id: stage.rp.client.row.id });
    t.is(clients.length, 0, 'the application is nowhere in the session');
  });

  engine.test('a user may be named by address or by an ID token, and by one of them', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const byAddress = await ask(stage, { username: String(user.email).toUpperCase() });
    t.true(isDone(await answer(stage, user)));
    const { body } = await poll(stage, byAddress.auth_req_id);
    const hint = String(body.id_token);
    const asked = await openid.initiateBackchannelAuthentication(stage.rp.configuration, { scope: 'openid', id_token_hint: hint });
    t.true(isDone(await answer(stage, user)));
    t.is(decodeJwt(String((await poll(stage, asked.auth_req_id)).body.id_token)).sub, user.id);
    const wrong: Record<string, string>[] = [
      {},
      { login_hint: user.username, id_token_hint: hint },
      { id_token_hint: 'nonsense' },
      { login_hint_token: 'x' },
      { login_hint: user.username, user_code: '1234' },
    ];
    for (const fields of wrong) {
      const { status, body: refused } = await askPlainly(stage, fields);
      t.deepEqual([status, refused.error], [400, 'invalid_request'], JSON.stringify(fields));
    }
  });

  engine.test('a user who does not exist or is switched off is unknown, and who asks is recorded', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const off = await stage.server.user(stage.realm);
    await stage.server.db.knex('users').where({ realm_id: stage.realm.id, id: off.id }).update({ enabled: false });
    const answers = [await askPlainly(stage, { login_hint: 'nobody' }), await askPlainly(stage, { login_hint: off.username })];
    t.deepEqual(
      answers.map(({ status, body }) => [status, body.error, body.error_description]),
      answers.map(() => [400, 'unknown_user_id', 'could not identify end-user']),
    );
    t.is((await mailsTo(stage.server, stage.realm, off.email ?? '')).length, 0);
    let recorded = await audited(stage, 'ciba.refused', { client: stage.rp.client.clientId });
    // Rows of what happens with every request are written soon after the answer.
    for (let tries = 0; recorded.length < 2 && tries < 100; tries += 1) {
      await pause(50);
      recorded = await audited(stage, 'ciba.refused', { client: stage.rp.client.clientId });
    }
    t.deepEqual(
      recorded.map(({ details }) => details),
      ['{"reason":"unknown_user_id"}', '{"reason":"unknown_user_id"}'],
    );
  });

  engine.test('what a client says on the page is short, and of what can be read', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    for (const message of ['', ' ', 'x'.repeat(65), 'two\nlines', 'a\u202Eb', 'a\u200Bb', 'a\u0007']) {
      const { status, body } = await askPlainly(stage, { login_hint: user.username, binding_message: message });
      // The library takes an empty one for none.
      if (message === '') t.is(status, 200);
      else t.deepEqual([status, body.error], [400, 'invalid_binding_message'], JSON.stringify(message));
    }
    t.is((await askPlainly(stage, { login_hint: user.username, binding_message: 'Überweisung 12,50 € – W4SCT <b>' })).status, 200);
    const browser = new Browser(stage.server.origin);
    const question = await arrive(browser, await linkTo(stage, user), user);
    t.true(question.html.includes('W4SCT &lt;b&gt;'), text(question));
  });

  engine.serial('a request expires as the realm says, or sooner if its client wishes; everybody is told', async (t) => {
    const stage = await scene({ mfa: 'off', attributes: { cibaExpiresIn: '120', cibaInterval: '7' } }, ASKS);
    const user = await stage.server.user(stage.realm);
    const asked = await ask(stage, user);
    t.deepEqual([asked.expires_in, asked.interval], [120, 7]);
    t.is((await ask(stage, user, { requested_expiry: '60' })).expires_in, 60);
    t.is((await ask(stage, user, { requested_expiry: '6000' })).expires_in, 120);
    const link = await linkTo(stage, user);
    await at(130_000, async () => {
      t.is((await poll(stage, asked.auth_req_id)).body.error, 'expired_token');
      t.true(isOver(await open(new Browser(stage.server.origin), link)));
    });
  });

  engine.test('whoever asks faster than the interval is told to slow down; what was answered is not held back', async (t) => {
    const usual = await scene({ mfa: 'off' }, ASKS);
    t.is((await ask(usual, await usual.server.user(usual.realm))).interval, 5);
    const stage = await scene({ mfa: 'off', attributes: { cibaInterval: '60' } }, ASKS);
    const user = await stage.server.user(stage.realm);
    const asked = await ask(stage, user);
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'authorization_pending');
    t.is((await poll(stage, asked.auth_req_id)).body.error, 'slow_down');
    t.true(isDone(await answer(stage, user)));
    t.is((await poll(stage, asked.auth_req_id)).status, 200);
  });

  engine.test('one that is not switched on may not, nor may a public one; discovery says what there is', async (t) => {
    const off = await scene(QUICK);
    const open = await scene(QUICK, { ...ASKS, publicClient: true, redirectUris: ['https://app.example/callback'] });
    const user = await off.server.user(off.realm);
    const metadata = off.rp.configuration.serverMetadata();
    t.is(metadata.backchannel_authentication_endpoint, `${off.server.origin}/realms/${off.realm.name}/protocol/openid-connect/ext/ciba/auth`);
    t.deepEqual(metadata.backchannel_token_delivery_modes_supported, ['poll']);
    t.is(metadata.backchannel_user_code_parameter_supported, false);
    t.true(metadata.grant_types_supported?.includes('urn:openid:params:grant-type:ciba'));
    for (const [stage, fields, headers] of [
      [off, {}, undefined],
      [open, { client_id: open.rp.client.clientId }, {}],
    ] as const) {
      const { body } = await askPlainly(stage, { login_hint: user.username, ...fields }, headers);
      t.is(body.error, 'unauthorized_client', JSON.stringify(body));
    }
    t.is((await mailsTo(off.server, off.realm, user.email ?? '')).length, 0);
  });

  engine.test('over REST, attributes that could not have an effect are refused by name, of clients and of realms', async (t) => {
    // Of a realm that was made after master, which its administrators have roles of.
    const { server: first } = await scene(QUICK);
    const { token } = await adminOf(first);
    const stage = await scene({ ...QUICK, accessCodeLifespan: 58 }, ASKS);
    const { server, realm, rp } = stage;
    const client = `/realms/${realm.name}/clients/${rp.client.row.id}`;
    for (const [path, name, value] of [
      [client, 'oidc.ciba.grant.enabled', 'yes'],
      [client, 'ciba.backchannel.token.delivery.mode', 'push'],
      [client, 'ciba.backchannel.auth.request.signing.alg', 'HS256'],
      [`/realms/${realm.name}`, 'cibaExpiresIn', '5'],
      [`/realms/${realm.name}`, 'cibaInterval', 'often'],
    ] as const) {
      const { status, body } = await callAdmin(server, 'PUT', path, { token, body: { attributes: { [name]: value } } });
      t.is(status, 400, name);
      t.true(JSON.stringify(body).includes(`attributes.${name}`), JSON.stringify(body));
    }
    const { status } = await callAdmin(server, 'PUT', client, { token, body: { attributes: { 'ciba.backchannel.token.delivery.mode': 'poll' } } });
    t.is(status, 204);
    t.is((await askPlainly(stage, { login_hint: (await server.user(realm)).username })).status, 200);
  });

  engine.test('an application of somebody else gets no more than was allowed on the same page', async (t) => {
    const stage = await scene(QUICK, { ...ASKS, firstParty: false });
    const user = await stage.server.user(stage.realm);
    // A claim by itself means its scope, which is not asked for by name.
    const asked = await ask(stage, user, { claims: JSON.stringify({ userinfo: { phone_number: null } }) });
    const browser = new Browser(stage.server.origin);
    const question = await arrive(browser, await linkTo(stage, user), user);
    t.true(question.html.includes('Your phone number'), text(question));
    t.true(isDone(await browser.send(question, { do: 'allow' })));
    t.is((await poll(stage, asked.auth_req_id)).status, 200);
    t.is((await audited(stage, 'consent.given', { client: stage.rp.client.clientId })).length, 1);
    const again = await ask(stage, user);
    t.true(isRefused(await answer(stage, user, 'deny')), 'what was allowed once is still asked about');
    t.is((await poll(stage, again.auth_req_id)).body.error, 'access_denied');
  });

  engine.test('offline access outlives the session; without it the tokens end with it', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const browser = new Browser(server.origin);
    const [first, second] = [await ask(stage, user), await ask(stage, user, { scope: 'openid offline_access' })];
    const [one, two] = (await mailsTo(server, realm, user.email ?? '')).map((mail) => /https?:\S+\/device\?request=\S+/.exec(mail.text)?.[0] ?? '');
    for (const link of [one, two]) t.true(isDone(await browser.send(await arrive(browser, link ?? '', user), { do: 'allow' })));
    const [bound, offline] = [await poll(stage, first.auth_req_id), await poll(stage, second.auth_req_id)];
    await browser.send(await browser.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`), { logout: 'yes' });
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, String(bound.body.refresh_token)));
    t.truthy((await openid.refreshTokenGrant(rp.configuration, String(offline.body.refresh_token))).access_token);
  });

  engine.test('the policy is asked for that client, and who cannot meet it is told', async (t) => {
    const stage = await scene({ ...QUICK, mfa: 'optional' }, ASKS);
    const user = await stage.server.user(stage.realm);
    const asked = await ask(stage, user, { acr_values: 'phr', claims: JSON.stringify({ id_token: { acr: { essential: true, values: ['phr'] } } }) });
    const browser = new Browser(stage.server.origin);
    const login = await open(browser, await linkTo(stage, user));
    const after = await browser.send(login, { username: user.username, password: user.password });
    t.false(isQuestion(after), text(after));
    t.is((await poll(stage, asked.auth_req_id)).body.id_token, undefined);
  });

  engine.test('requests that wait are in the account console, and lead to the same page; those that were answered are not', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { server, realm } = stage;
    const user = await server.user(realm);
    const browser = new Browser(server.origin);
    const account = `${server.origin}/realms/${realm.name}/account`;
    const asked = await ask(stage, user);
    await ask(stage, await server.user(realm));
    let page = await browser.visit(account);
    page = await browser.send(page, { username: user.username, password: user.password });
    const links = [...page.html.matchAll(/href="([^"]+\/device\?request=[0-9A-F]+)"/g)].map(([, href = '']) => href);
    t.deepEqual(links, [await linkTo(stage, user)], text(page));
    t.true(isDone(await browser.send(await arrive(browser, links[0] ?? '', user), { do: 'allow' })));
    t.is((await poll(stage, asked.auth_req_id)).status, 200);
    t.false((await browser.visit(account)).html.includes('device?request='));
  });

  engine.test('a request may be signed with a key of the client, and has to be where it is said', async (t) => {
    const key = await ownKey();
    const stage = await scene(QUICK, {
      ...ASKS,
      attributes: { ...ASKS.attributes, ...keySetOf(key), 'ciba.backchannel.auth.request.signing.alg': 'ES256' },
    });
    const user = await stage.server.user(stage.realm);
    const issuer = `${stage.server.origin}/realms/${stage.realm.name}`;
    const sign = (claims: Record<string, unknown>) =>
      new SignJWT({ scope: 'openid', login_hint: user.username, jti: randomUUID(), ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: key.kid })
        .setIssuer(stage.rp.client.clientId)
        .setAudience(issuer)
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime('5m')
        .sign(key.privateKey);
    const plain = await askPlainly(stage, { login_hint: user.username });
    t.deepEqual([plain.status, plain.body.error], [400, 'invalid_request']);
    const request = await sign({ binding_message: 'Signed 12' });
    const send = (signed: string) => call(stage.server, stage.realm, 'ext/ciba/auth', { request: signed }, credentialsOf(stage.rp));
    const asked = await send(request);
    t.is(asked.status, 200, JSON.stringify(asked.body));
    t.is((await send(request)).status, 400, 'a jti is good once');
    t.is((await send(await sign({ jti: undefined }))).status, 400);
    t.is((await send(`${request.slice(0, -4)}AAAA`)).status, 400);
    const question = await arrive(new Browser(stage.server.origin), await linkTo(stage, user), user);
    t.true(question.html.includes('Signed 12'), text(question));
  });

  engine.test('its pages and its mail are in the language of the user', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm, { attributes: { locale: ['fr'] } });
    await ask(stage, user);
    const [mail] = await mailsTo(stage.server, stage.realm, user.email ?? '');
    t.true(mail?.subject.includes('Une application vous demande'), mail?.subject);
    const browser = new Browser(stage.server.origin, { 'accept-language': 'de' });
    t.true((await browser.visit(await linkTo(stage, user))).html.includes('Eine Anwendung fragt nach Ihnen'));
  });
});
