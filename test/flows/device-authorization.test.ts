/** Devices without a browser are signed in by their user at another one: RFC 8628, with openid-client as the device. */
import { decodeJwt } from 'jose';
import { formsOf } from '../support/agent.ts';
import { arena, at, audited, codeAt, giveApp, sessionsOf } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { approve, ask, confirm, enter, isConfirmation, isDone, isRefused, ON_DEVICES, poll } from '../support/device.ts';
import { Browser, openid, signIn, text } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

const ENABLED = 'oauth2.device.authorization.grant.enabled';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('a device gets tokens once its user has typed the code, signed in with a second factor, and gone back', async (t) => {
    const stage = await scene({ mfa: 'required' }, ON_DEVICES);
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const waiting = await ask(stage);
    const issuer = `${server.origin}/realms/${realm.name}`;
    t.is(waiting.verification_uri, `${issuer}/device`);
    t.is(waiting.verification_uri_complete, `${issuer}/device?user_code=${waiting.user_code}`);
    t.regex(waiting.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    t.is(waiting.expires_in, 600);
    t.is(waiting.interval, 1);
    t.is((await poll(stage, waiting.device_code)).error, 'authorization_pending');

    const tokens = openid.pollDeviceAuthorizationGrant(rp.configuration, waiting);
    const browser = new Browser(server.origin);
    const sent = await browser.visit(waiting.verification_uri_complete ?? '');
    t.is(formsOf(sent)[0]?.fields.user_code, waiting.user_code, 'what the address has stands in the field, and nothing was done yet');
    const asked = await browser.send(sent, {});
    t.true(isConfirmation(asked), text(asked));
    for (const said of ['Living Room TV', 'in front of you', waiting.user_code, 'Confirmation that it is you', 'Your email address'])
      t.true(asked.html.includes(said), said);
    const login = await browser.send(asked, { confirm: 'yes' });
    t.true(login.html.includes('You are signing in on another device'), text(login));
    const code = await browser.send(login, { username: user.username, password: user.password });
    t.true(code.html.includes('You are signing in on another device'), text(code));
    const done = await browser.send(code, { code: codeAt(secret) });
    t.true(isDone(done), text(done));

    const got = await tokens;
    const claims = got.claims();
    t.is(claims?.sub, user.id);
    t.is(claims?.acr, 'aal2');
    t.deepEqual(claims?.amr, ['pwd', 'otp', 'mfa']);
    t.true(Math.abs(Number(claims?.auth_time) - Date.now() / 1000) < 60);
    const access = decodeJwt(got.access_token);
    for (const name of ['acr', 'amr', 'auth_time', 'sid']) t.deepEqual(access[name], claims?.[name], name);
    t.is(got.session_state, claims?.sid);
    t.is(got.scope?.split(' ').sort().join(' '), 'email openid profile');
    t.is((await openid.fetchUserInfo(rp.configuration, got.access_token, user.id)).preferred_username, user.username);
    const refreshed = await openid.refreshTokenGrant(rp.configuration, got.refresh_token ?? '');
    t.deepEqual([refreshed.claims()?.acr, refreshed.claims()?.auth_time], [claims?.acr, claims?.auth_time]);
    t.is((await sessionsOf(stage, user)).length, 1);
    for (const type of ['device.started', 'device.approved', 'login.ok']) {
      const rows = () => audited(stage, type, { client: rp.client.clientId });
      t.true(await until(async () => (await rows()).length > 0), type);
      t.is((await rows()).length, 1, type);
    }
  });

  engine.test('who is signed in already is asked about the device, and for what the session does not have', async (t) => {
    const stage = await scene({ mfa: 'optional' }, ON_DEVICES);
    const web = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(web.server, web.rp, user);
    const plain = await ask(stage);
    const page = await enter(browser, plain);
    t.true(page.html.includes(user.username), 'the page says who is signed in');
    t.true(isDone(await browser.send(page, { confirm: 'yes' })));
    t.is((await poll(stage, plain.device_code)).status, 200);

    const { secret } = await giveApp(stage.server, user);
    const more = await ask(stage, { scope: 'openid', acr_values: 'aal2' });
    const step = await confirm(browser, more);
    t.true(step.html.includes('name="code"'), text(step));
    t.true(isDone(await browser.send(step, { code: codeAt(secret) })));
    const { body } = await poll(stage, more.device_code);
    t.is(decodeJwt(String(body.id_token)).acr, 'aal2');
    t.is((await sessionsOf(stage, user)).length, 1, 'the session was raised');
  });

  engine.test('a device that asks in the very moment of the approval gets its tokens', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const user = await stage.server.user(stage.realm);
    for (let round = 0; round < 5; round += 1) {
      const waiting = await ask(stage);
      const approved = approve(new Browser(stage.server.origin), waiting, user);
      let answer = await poll(stage, waiting.device_code);
      while (answer.error === 'authorization_pending' || answer.error === 'slow_down') answer = await poll(stage, waiting.device_code);
      t.is(answer.status, 200, JSON.stringify(answer.body));
      t.true(isDone(await approved));
    }
  });

  engine.test('the session list names it, and its tokens end with the session', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const browser = new Browser(server.origin);
    const waiting = await ask(stage);
    t.true(isDone(await approve(browser, waiting, user)));
    const { body } = await poll(stage, waiting.device_code);
    const [session] = await sessionsOf(stage, user);
    const clients = await server.db
      .knex('session_clients')
      .where({ realm_id: realm.id, session_id: session?.id ?? '' })
      .pluck('client_id');
    t.deepEqual(clients, [rp.client.row.id]);
    const out = await browser.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`);
    await browser.send(out, { logout: 'yes' });
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, String(body.refresh_token)), { message: /./ });
    await t.throwsAsync(openid.fetchUserInfo(rp.configuration, String(body.access_token), user.id));
  });

  engine.test('codes are taken in small letters, with spaces and without dashes; a wrong one stays in the field', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const browser = new Browser(stage.server.origin);
    const waiting = await ask(stage);
    const [first = '', second = ''] = waiting.user_code.toLowerCase().split('-');
    for (const typed of [`${first}${second}`, ` ${first} ${second} `, `${first}–${second}`, `${first}-${second}`])
      t.true(isConfirmation(await enter(browser, waiting, typed)), typed);
    const wrong = await enter(browser, waiting, 'bcdf-ghjk');
    t.is(wrong.status, 400);
    t.is(formsOf(wrong)[0]?.fields.user_code, 'bcdf-ghjk');
    t.true(wrong.html.includes('This code is wrong'));
    const none = await enter(browser, waiting, ' ');
    t.is(none.status, 400);
    t.true(isConfirmation(await browser.send(none, { user_code: waiting.user_code })), 'the page with the mistake goes on');
  });

  engine.test('a denied device is told so, and its code is over', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const user = await stage.server.user(stage.realm);
    const browser = new Browser(stage.server.origin);
    const waiting = await ask(stage);
    t.true(isRefused(await browser.send(await enter(browser, waiting), { abort: 'yes' })));
    t.is((await poll(stage, waiting.device_code)).error, 'access_denied');
    t.is((await poll(stage, waiting.device_code)).error, 'invalid_grant');
    t.is((await enter(browser, waiting)).status, 400);

    const left = await ask(stage);
    const login = await confirm(browser, left);
    t.true(isRefused(await browser.send(login, { do: 'cancel' })), 'who leaves the sign-in has denied it too');
    t.is((await poll(stage, left.device_code)).error, 'access_denied');
    t.is((await audited(stage, 'device.denied', { client: stage.rp.client.clientId })).length, 2);
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.serial('a code expires as the realm or its client says; the device and the person are told', async (t) => {
    const stage = await scene(
      { mfa: 'off', oauth2DeviceCodeLifespan: 120, oauth2DevicePollingInterval: 7 },
      { ...ON_DEVICES, attributes: { [ENABLED]: 'true' } },
    );
    const own = { ...ON_DEVICES, attributes: { ...ON_DEVICES.attributes, 'oauth2.device.code.lifespan': '300' } };
    const other = await scene({ mfa: 'off', oauth2DeviceCodeLifespan: 120, oauth2DevicePollingInterval: 7 }, own);
    const [waiting, longer] = [await ask(stage), await ask(other)];
    t.deepEqual([waiting.expires_in, waiting.interval], [120, 7]);
    t.deepEqual([longer.expires_in, longer.interval], [300, 1]);
    const browser = new Browser(stage.server.origin);
    await at(130_000, async () => {
      t.is((await poll(stage, waiting.device_code)).error, 'expired_token');
      t.is((await poll(other, longer.device_code)).error, 'authorization_pending');
      const page = await enter(browser, waiting);
      t.is(page.status, 400);
      t.true(page.html.includes('has expired'));
    });
  });

  engine.test('whoever asks faster than the interval is told to slow down', async (t) => {
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, attributes: { [ENABLED]: 'true', 'oauth2.device.polling.interval': '60' } });
    const waiting = await ask(stage);
    const answers = [await poll(stage, waiting.device_code), await poll(stage, waiting.device_code)];
    t.deepEqual(
      answers.map(({ status, error }) => [status, error]),
      [
        [400, 'authorization_pending'],
        [400, 'slow_down'],
      ],
    );
    const user = await stage.server.user(stage.realm);
    t.true(isDone(await approve(new Browser(stage.server.origin), waiting, user)));
    t.is((await poll(stage, waiting.device_code)).status, 200, 'what is approved is not held back');
  });

  engine.test('a confidential client may, with its secret; one that is not switched on may not, and discovery names the endpoint', async (t) => {
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, publicClient: false });
    const metadata = stage.rp.configuration.serverMetadata();
    t.is(metadata.device_authorization_endpoint, `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/auth/device`);
    t.true(metadata.grant_types_supported?.includes('urn:ietf:params:oauth:grant-type:device_code'));
    const waiting = await ask(stage);
    t.true(isDone(await approve(new Browser(stage.server.origin), waiting, await stage.server.user(stage.realm))));
    t.is((await poll(stage, waiting.device_code)).status, 200);
    const off = await scene({ mfa: 'off' }, { publicClient: true });
    const error = await t.throwsAsync(ask(off));
    t.is(error && 'error' in error ? error.error : undefined, 'unauthorized_client');
  });

  engine.test('without openid there is no ID token, and the default scopes apply', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const waiting = await ask(stage, {});
    t.true(isDone(await approve(new Browser(stage.server.origin), waiting, await stage.server.user(stage.realm))));
    const { status, body } = await poll(stage, waiting.device_code);
    t.is(status, 200);
    t.is(body.id_token, undefined);
    t.is(String(body.scope).split(' ').sort().join(' '), 'email profile');
  });

  engine.test('offline_access gives a token that outlives the session', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { server, realm, rp } = stage;
    const browser = new Browser(server.origin);
    const waiting = await ask(stage, { scope: 'openid offline_access' });
    t.true(isDone(await approve(browser, waiting, await server.user(realm))));
    const { body } = await poll(stage, waiting.device_code);
    await browser.send(await browser.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`), { logout: 'yes' });
    t.truthy((await openid.refreshTokenGrant(rp.configuration, String(body.refresh_token))).access_token);
  });

  engine.test('an application of somebody else asks for consent after the sign-in; to refuse it is to deny the device', async (t) => {
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, firstParty: false });
    const user = await stage.server.user(stage.realm);
    const browser = new Browser(stage.server.origin);
    const refused = await ask(stage);
    const consent = await browser.send(await confirm(browser, refused), { username: user.username, password: user.password });
    t.true(consent.html.includes('value="allow"'), text(consent));
    t.true(consent.html.includes('You are signing in on another device'));
    t.true(isRefused(await browser.send(consent, { do: 'deny' })));
    t.is((await poll(stage, refused.device_code)).error, 'access_denied');

    const allowed = await ask(stage);
    const again = await confirm(browser, allowed);
    t.true(again.html.includes('value="allow"'), text(again));
    t.true(isDone(await browser.send(again, { do: 'allow' })));
    t.is((await poll(stage, allowed.device_code)).status, 200);
    t.true(isDone(await confirm(browser, await ask(stage))), 'what was allowed is remembered');
  });

  engine.test('its pages are in the language of the browser, or the one that the address asks for', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const waiting = await ask(stage);
    const browser = new Browser(stage.server.origin, { 'accept-language': 'fr' });
    t.true((await browser.visit(waiting.verification_uri)).html.includes('Connecter un appareil'));
    const page = await browser.visit(`${waiting.verification_uri_complete}&ui_locales=de`);
    t.true(page.html.includes('Ein Gerät anmelden'));
    t.true((await browser.send(page, {})).html.includes('Auf einem Gerät bei'), 'the next page is in that language too');
  });
});
