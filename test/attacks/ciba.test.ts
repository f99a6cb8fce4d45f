/** Attacks on requests that are answered elsewhere (CIBA Core 1.0 section 13): each must fail, on whichever node it is tried. */
import { decodeJwt } from 'jose';
import { changeClient } from '../../src/admin/resources/client-changes.ts';
import { formsOf } from '../support/agent.ts';
import { arena, audited, call, copyOf, credentialsOf, getFrom, giveApp, parallel, postTo, type Scene, sessionsOf, tally } from '../support/attack.ts';
import { ASKS, answer, arrive, ask, askPlainly, isDone, isLeft, isOver, isQuestion, isRefused, linkTo, open, poll, QUICK } from '../support/ciba.ts';
import { forEachEngine } from '../support/databases.ts';
import { acting, stage as impersonationStage } from '../support/impersonation.ts';
import { mailsTo } from '../support/recovery.ts';
import { Browser, openid, signIn, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  /** A request, and the browser of its user in front of the question. */
  async function questioned(stage: Scene) {
    const user = await stage.server.user(stage.realm);
    const asked = await ask(stage, user);
    const browser = new Browser(stage.server.origin);
    const link = await linkTo(stage, user);
    return { user, asked, browser, link, page: await arrive(browser, link, user) };
  }

  const isPending = async (stage: Scene, id: string): Promise<boolean> =>
    ['authorization_pending', 'slow_down'].includes(String((await poll(stage, id)).body.error));

  engine.test('E03 of many questions at once for a yes one gets tokens, on two nodes, and they stand', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { asked, browser, page } = await questioned(stage);
    t.true(isDone(await browser.send(page, { do: 'allow' })));
    const all = await nodes();
    const answers = await parallel(20, (index) => poll(stage, asked.auth_req_id, all[index % all.length]));
    t.deepEqual(tally(answers), { 200: 1, 400: 19 });
    t.deepEqual([...new Set(answers.filter(({ status }) => status === 400).map(({ body }) => body.error))], ['invalid_grant']);
    const refreshToken = String(answers.find(({ status }) => status === 200)?.body.refresh_token);
    t.truthy((await openid.refreshTokenGrant(stage.rp.configuration, refreshToken)).access_token, 'a client that asks twice loses nothing');
  });

  engine.test('questions at once on two nodes are held to the interval together', async (t) => {
    const stage = await scene({ mfa: 'off', attributes: { cibaInterval: '60' } }, ASKS);
    const asked = await ask(stage, await stage.server.user(stage.realm));
    const all = await nodes();
    const answers = await parallel(20, (index) => poll(stage, asked.auth_req_id, all[index % all.length]));
    const errors = answers.map(({ body }) => body.error);
    t.is(errors.filter((error) => error === 'authorization_pending').length, 1);
    t.is(errors.filter((error) => error === 'slow_down').length, 19);
  });

  engine.test('yes and no at once end in one of the two', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { user, asked, browser, link, page } = await questioned(stage);
    const other = new Browser(stage.server.origin);
    const second = await arrive(other, link, user);
    const all = await nodes();
    const said = await Promise.all(
      [
        { browser, page, value: 'allow' },
        { browser: other, page: second, value: 'deny' },
      ].map(async ({ browser: by, page: from, value }, index) => {
        const [form] = formsOf(from);
        const posted = await postTo(all[index % all.length] ?? stage.server, by, form?.action ?? '', { ...form?.fields, do: value });
        return by.visit(new URL(posted.headers.get('location') ?? '', from.url).href);
      }),
    );
    const approved = await audited(stage, 'ciba.approved', { client: stage.rp.client.clientId });
    const denied = await audited(stage, 'ciba.denied', { client: stage.rp.client.clientId });
    t.is(approved.length + denied.length, 1, said.map((one) => `${one.status} ${text(one).slice(0, 80)}`).join('\n'));
    t.is(said.filter((one) => isDone(one) || isRefused(one)).length, 1);
    const { status, body } = await poll(stage, asked.auth_req_id);
    t.is(status === 200 ? 'approved' : body.error, approved.length === 1 ? 'approved' : 'access_denied');
  });

  engine.test('another client, another realm, and the stored hash or the link in its place get nothing', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const other = await scene(QUICK, ASKS);
    const elsewhere = await scene({ ...QUICK, accessCodeLifespan: 59 }, ASKS);
    const { asked, browser, page, link } = await questioned(stage);
    const handle = link.split('=').at(-1) ?? '';
    const foreign = await new Browser(stage.server.origin).visit(link.replace(stage.realm.name, elsewhere.realm.name));
    t.true(isOver(await new Browser(stage.server.origin).visit(`${link.replace(handle, 'x')}`)));
    t.false(foreign.html.includes('Telephone Bank'));
    t.true(isDone(await browser.send(page, { do: 'allow' })));
    for (const one of [other, elsewhere]) t.is((await poll(one, asked.auth_req_id)).body.error, 'invalid_grant');
    const rows = await stage.server.db.knex('oidc_payloads').where({ realm_id: stage.realm.id, user_code: handle });
    t.is(rows.length, 1);
    t.false(JSON.stringify(rows).includes(asked.auth_req_id), 'only its hash is stored');
    for (const stolen of [rows[0].id, `@${rows[0].id}`, `#${rows[0].id}`, handle]) t.is((await poll(stage, stolen)).body.error, 'invalid_grant');
    for (const [name, value] of [
      ['device_code', asked.auth_req_id],
      ['device_code', `@${rows[0].id}`],
      ['refresh_token', asked.auth_req_id],
      ['code', asked.auth_req_id],
    ] as const) {
      const grants = { device_code: 'urn:ietf:params:oauth:grant-type:device_code', refresh_token: 'refresh_token', code: 'authorization_code' };
      const { status } = await askToken(stage, { grant_type: grants[name], [name]: value });
      t.is(status, 400, name);
    }
    t.is((await poll(stage, asked.auth_req_id)).status, 200, 'none of that has spent it');
  });

  engine.test('B02 the link of another user: whoever signs in there as somebody else says neither yes nor no', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const web = await scene(QUICK);
    const victim = await stage.server.user(stage.realm);
    const mallory = await stage.server.user(stage.realm);
    const asked = await ask(stage, victim, { binding_message: 'Only for the victim' });
    const link = await linkTo(stage, victim);
    const fresh = new Browser(stage.server.origin);
    const login = await open(fresh, link);
    const after = await fresh.send(login, { username: mallory.username, password: mallory.password });
    t.true(isLeft(after), text(after));
    t.false(after.html.includes('Only for the victim'));
    const { browser: signedIn } = await signIn(web.server, web.rp, mallory);
    const page = await open(signedIn, link);
    t.false(isQuestion(page) || page.html.includes('Only for the victim'), text(page));
    t.false(isDone(await signedIn.send(page, { do: 'allow' })));
    // The library's own way to refuse a device, without any sign-in, and in mallory's session.
    for (const browser of [new Browser(stage.server.origin), signedIn]) {
      const refused = await browser.send(await browser.visit(link), { abort: 'yes' });
      t.true(isLeft(refused), text(refused));
    }
    t.true(await isPending(stage, asked.auth_req_id));
    for (const type of ['ciba.approved', 'ciba.denied']) t.is((await audited(stage, type, { client: stage.rp.client.clientId })).length, 0, type);
    t.true(isDone(await answer(stage, victim)), 'it waits for whom it was meant');
  });

  engine.test('B03 a yes from another site, or without the browser that signed in, is none', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { user, asked, browser, link, page } = await questioned(stage);
    const [form] = formsOf(page);
    const fields = new URLSearchParams({ ...form?.fields, do: 'allow' });
    const action = form?.action ?? '';
    const foreign = copyOf(browser);
    const posted = await foreign.request(action, {
      method: 'POST',
      body: fields,
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    });
    t.is(posted.status, 403);
    t.false(isDone(await foreign.visit(`${action}?${fields}`)), 'no link says yes');
    const bare = new Browser(stage.server.origin);
    t.true((await bare.post(action, Object.fromEntries(fields))).status >= 400);
    const uid = action.split('/').at(-1);
    t.false(isDone(await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/device/${uid}`)), 'nor does the way back by itself');
    // The form behind the link, from elsewhere, and with somebody else's word.
    const begun = formsOf(await browser.visit(link))[0];
    const cross = await browser.request(begun?.action ?? '', {
      method: 'POST',
      body: new URLSearchParams({ ...begun?.fields, confirm: 'yes' }),
      headers: { origin: 'https://evil.example' },
    });
    t.is(cross.status, 403);
    t.false(isQuestion(await browser.post(begun?.action ?? '', { ...begun?.fields, xsrf: 'x', confirm: 'yes' })));
    t.true(await isPending(stage, asked.auth_req_id));
    t.true(isDone(await answer(stage, user)), 'the request is as good as it was');
  });

  engine.test('B05 an attacker who begins the sign-in and plants it does not come back with the victim’s', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const victim = await stage.server.user(stage.realm);
    const asked = await ask(stage, victim);
    const attacker = new Browser(stage.server.origin);
    const [form] = formsOf(await attacker.visit(await linkTo(stage, victim)));
    const begun = await attacker.request(form?.action ?? '', {
      method: 'POST',
      body: new URLSearchParams({ ...form?.fields, confirm: 'yes' }),
      headers: { origin: stage.server.origin },
    });
    const login = begun.headers.get('location') ?? '';
    const browser = new Browser(stage.server.origin);
    browser.plant(attacker.jar.filter((cookie) => cookie.name.startsWith('cardea_interaction')));
    const page = await browser.visit(login);
    const posted = await browser.request(login, {
      method: 'POST',
      body: new URLSearchParams({ ...formsOf(page)[0]?.fields, username: victim.username, password: victim.password }),
      headers: { origin: stage.server.origin },
    });
    const back = new URL(posted.headers.get('location') ?? '', login).href;
    t.true(back.includes('/device/'), back);
    const taken = await getFrom(stage.server, attacker, back);
    t.true(taken.status >= 400 && taken.status < 500, `${taken.status}`);
    t.true(await isPending(stage, asked.auth_req_id));
    t.is((await audited(stage, 'ciba.approved', { client: stage.rp.client.clientId })).length, 0);
  });

  engine.test('B01 with the password alone there is no question where the policy wants more', async (t) => {
    const stage = await scene({ ...QUICK, mfa: 'required' }, ASKS);
    const user = await stage.server.user(stage.realm);
    await giveApp(stage.server, user);
    const asked = await ask(stage, user);
    const browser = new Browser(stage.server.origin);
    const login = await open(browser, await linkTo(stage, user));
    const half = await browser.send(login, { username: user.username, password: user.password });
    t.false(isQuestion(half));
    t.false(isDone(await browser.send(half, { do: 'allow' })));
    const uid = login.url.split('/').at(-1);
    t.false(isDone(await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/device/${uid}`)));
    t.true(await isPending(stage, asked.auth_req_id));
  });

  engine.test('a link that was used is over for everybody; one that is open in two browsers is answered by one', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { user, browser, link, page } = await questioned(stage);
    const late = new Browser(stage.server.origin);
    const lateLogin = await open(late, link);
    t.true(isDone(await browser.send(page, { do: 'allow' })));
    t.false(isDone(await browser.send(page, { do: 'allow' })), 'the same form again');
    t.true(isOver(await late.send(lateLogin, { username: user.username, password: user.password })));
    t.true(isOver(await open(new Browser(stage.server.origin), link)));
    t.is((await audited(stage, 'ciba.approved', { client: stage.rp.client.clientId })).length, 1);
  });

  engine.test('an administrator who acts as a user answers nothing', async (t) => {
    const { server } = await scene(QUICK);
    const on = await impersonationStage(server, { client: ASKS, settings: { attributes: { cibaInterval: '1' } } });
    const asked = await ask(on, on.erin);
    const browser = await acting(on);
    const link = await linkTo(on, on.erin);
    const refused = await open(browser, link);
    t.false(isQuestion(refused) || isDone(refused), text(refused));
    const aborted = await browser.send(await browser.visit(link), { abort: 'yes' });
    t.true(isLeft(aborted), text(aborted));
    t.true(await isPending(on, asked.auth_req_id));
    t.is((await audited(on, 'ciba.approved')).length + (await audited(on, 'ciba.denied')).length, 0);
    t.true(isDone(await answer(on, on.erin)), 'the user does');
  });

  engine.test('a user or a client that was switched off after the yes, or a session that ended, gets nothing', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const { server, realm } = stage;
    const ended = await questioned(stage);
    t.true(isDone(await ended.browser.send(ended.page, { do: 'allow' })));
    await ended.browser.send(await ended.browser.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`), { logout: 'yes' });
    t.is((await sessionsOf(stage, ended.user)).length, 0);
    t.is((await poll(stage, ended.asked.auth_req_id)).body.error, 'invalid_grant');

    const off = await questioned(stage);
    t.true(isDone(await off.browser.send(off.page, { do: 'allow' })));
    await server.db.knex('users').where({ realm_id: realm.id, id: off.user.id }).update({ enabled: false });
    t.is((await poll(stage, off.asked.auth_req_id)).body.error, 'invalid_grant');

    const gone = await scene(QUICK, ASKS);
    const last = await questioned(gone);
    t.true(isDone(await last.browser.send(last.page, { do: 'allow' })));
    await changeClient(server.operator(), realm, gone.rp.client.row.id, { attributes: { 'oidc.ciba.grant.enabled': null } });
    const refused = await poll(gone, last.asked.auth_req_id);
    t.deepEqual([refused.status, refused.body.error], [400, 'unauthorized_client']);
  });

  engine.test('bombing: three requests wait for a user, whoever asks, and no more; nobody else waits for it', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const other = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const asked = [await ask(stage, user), await ask(other, user), await ask(stage, user)];
    for (const from of [stage, other]) {
      const { status, body, headers } = await askPlainly(from, { login_hint: user.username });
      t.deepEqual([status, body.error], [429, 'temporarily_unavailable']);
      t.true(Number(headers.get('retry-after')) > 0);
    }
    t.is((await mailsTo(stage.server, stage.realm, user.email ?? '')).length, 3);
    t.is((await askPlainly(stage, { login_hint: (await stage.server.user(stage.realm)).username })).status, 200);
    t.true(isDone(await answer(stage, user)));
    t.is((await askPlainly(stage, { login_hint: user.username })).status, 200, 'what was answered waits no more');
    t.is(asked.length, 3);
  });

  engine.serial('bombing: however fast each is answered, a user is asked six times in a quarter of an hour, on all nodes together', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const all = await nodes();
    const answers: number[] = [];
    await inNoTime(async () => {
      for (let index = 0; index < 8; index += 1) {
        const { status } = await askPlainly({ ...stage, server: all[index % all.length] ?? stage.server }, { login_hint: user.username });
        if (status === 200) t.true(isRefused(await answer(stage, user, 'deny')));
        answers.push(status);
      }
    });
    t.deepEqual(answers, [200, 200, 200, 200, 200, 200, 429, 429]);
  });

  engine.serial('D01 a client finds out by its questions about twenty names, and then has to wait', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const other = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const all = await nodes();
    await inNoTime(async () => {
      const guesses = await parallel(30, (index) =>
        askPlainly({ ...stage, server: all[index % all.length] ?? stage.server }, { login_hint: `nobody-${index}` }),
      );
      t.deepEqual(tally(guesses), { 400: 20, 429: 10 });
      t.is((await askPlainly(stage, { login_hint: user.username })).status, 429, 'a name that there is tells nothing either');
      t.is((await askPlainly(other, { login_hint: user.username })).status, 200, 'other clients go on');
    });
  });

  engine.test('nobody asks without a secret, or with a wrong one', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const user = await stage.server.user(stage.realm);
    const named = { login_hint: user.username, client_id: stage.rp.client.clientId };
    for (const fields of [named, { ...named, client_secret: 'wrong' }]) {
      const { status, body } = await askPlainly(stage, fields, {});
      t.deepEqual([status, body.error], [401, 'invalid_client']);
    }
    const bare = await fetch(`${stage.server.url}/realms/${stage.realm.name}/protocol/openid-connect/ext/ciba/auth`);
    t.is(bare.status, 405);
    t.is((await mailsTo(stage.server, stage.realm, user.email ?? '')).length, 0);
  });

  engine.test('what a client sends beside its request decides nothing: no fresh sign-in is talked away, and no other user in', async (t) => {
    const stage = await scene(QUICK, ASKS);
    const web = await scene(QUICK);
    const victim = await stage.server.user(stage.realm);
    const mallory = await stage.server.user(stage.realm);
    const asked = await ask(stage, victim, {
      max_age: '86400',
      prompt: 'none',
      claims: JSON.stringify({ id_token: { sub: { value: mallory.id } } }),
    });
    const { browser } = await signIn(web.server, web.rp, mallory);
    t.false(isQuestion(await open(browser, await linkTo(stage, victim))));
    const { browser: own } = await signIn(web.server, web.rp, victim);
    const login = await open(own, await linkTo(stage, victim));
    t.false(isQuestion(login), 'a session is no answer');
    const question = await own.send(login, { username: victim.username, password: victim.password });
    t.true(isQuestion(question), text(question));
    t.true(isDone(await own.send(question, { do: 'allow' })));
    t.is((await tokenClaims(stage, asked.auth_req_id)).sub, victim.id);
  });
});

/** However long it takes, a few milliseconds; for tests that run alone. */
async function inNoTime(work: () => Promise<void>): Promise<void> {
  const before = Date.now;
  let now = before();
  Date.now = () => {
    now += 0.01;
    return Math.floor(now);
  };
  try {
    await work();
  } finally {
    Date.now = before;
  }
}

const askToken = (stage: Scene, fields: Record<string, string>) => call(stage.server, stage.realm, 'token', fields, credentialsOf(stage.rp));

async function tokenClaims(stage: Scene, id: string): Promise<Record<string, unknown>> {
  const { body } = await poll(stage, id);
  return decodeJwt(String(body.id_token));
}
