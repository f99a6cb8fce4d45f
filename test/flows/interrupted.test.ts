/**
 * People do not go through a sign-in in one straight line: they go back, reload, press twice, and have tabs. Each answer
 * says where they are, and no sign-in is lost that could go on.
 */
import { formsOf, type Page } from '../support/agent.ts';
import { afterPassword, arena, atCode, begin, codeAt, codeFrom, copyOf, giveApp, parallel, postTo } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { linkOf } from '../support/reading.ts';
import { authorizationRequest, exchange, keyOf, openid, signIn, text } from '../support/sign-in.ts';

const has = (page: Page, field: string): boolean => page.html.includes(`name="${field}"`);

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('back button: the form of a step before shows the step that is due, and it goes on from there', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { browser, page, request } = await begin(stage);
    const code = await browser.send(page, { username: user.username, password: user.password });
    t.true(has(code, 'code'));

    const again = await browser.send(page, { username: user.username, password: user.password });
    t.is(again.status, 409);
    t.true(has(again, 'code'));
    t.regex(text(again), /step was done before/);
    const other = await browser.send(page, { username: 'somebody-else', password: 'x' });
    t.is(other.status, 409);
    t.is((await exchange(stage.rp, request, await browser.send(again, { code: codeAt(secret) }))).claims()?.sub, user.id);
  });

  engine.test('back button while an app is set up: the key that was scanned stays', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const enrol = await browser.send(page, { username: user.username, password: user.password });
    const key = keyOf(enrol);
    for (const shown of [
      await browser.visit(page.url),
      await browser.send(page, { username: user.username, password: user.password }),
      await browser.send(enrol, { code: '000000', label: 'My phone' }),
    ]) {
      t.is(keyOf(shown), key);
    }
    const wrong = await browser.send(enrol, { code: 'nothing', label: 'My phone' });
    t.is(formsOf(wrong)[0]?.fields.label, 'My phone', 'the name that was typed stays');
    t.is((await exchange(stage.rp, request, await browser.send(enrol, { code: codeAt(key) }))).claims()?.acr, 'aal2');
  });

  engine.test('one sign-in in two tabs: the second shows where the first has come to, and either finishes it', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { browser, page, request } = await begin(stage);
    const second = await browser.visit(page.url);
    t.is(second.status, 200);
    await browser.send(page, { username: user.username, password: user.password });
    const reloaded = await browser.visit(second.url);
    t.true(has(reloaded, 'code'));
    t.is((await exchange(stage.rp, request, await browser.send(reloaded, { code: codeAt(secret) }))).claims()?.sub, user.id);
    const first = await browser.visit(page.url);
    t.is(first.status, 410);
    t.regex(text(first), /finished already/);
  });

  engine.test('two sign-ins side by side in one browser do not disturb each other', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const one = await begin(stage);
    const two = await begin(stage, { browser: one.browser });
    t.not(one.page.url, two.page.url);
    const oneCode = await one.browser.send(one.page, { username: user.username, password: user.password });
    const twoCode = await two.browser.send(two.page, { username: user.username, password: user.password });
    const oneBack = await one.browser.send(oneCode, { code: codeAt(secret) });
    const twoBack = await two.browser.send(twoCode, { code: codeAt(secret, 1) });
    const [first, second] = [await exchange(stage.rp, one.request, oneBack), await exchange(stage.rp, two.request, twoBack)];
    t.deepEqual([first.claims()?.sub, second.claims()?.sub], [user.id, user.id]);
    t.is(first.claims()?.sid, second.claims()?.sid, 'one session');
    t.truthy((await openid.refreshTokenGrant(stage.rp.configuration, first.refresh_token ?? '')).access_token, 'the first one’s tokens still stand');
  });

  engine.test('two sign-ins side by side as two people: the one who finishes last is signed in, the other is signed out', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const [ada, bob] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const one = await begin(stage);
    const two = await begin(stage, { browser: one.browser });
    const adas = await exchange(stage.rp, one.request, await one.browser.send(one.page, { username: ada.username, password: ada.password }));
    let back = await two.browser.send(two.page, { username: bob.username, password: bob.password });
    // The library asks the browser to end the session that is there; a browser with scripts sends that form by itself.
    if (back.status === 200) back = await two.browser.send(back, {});
    const bobs = await exchange(stage.rp, two.request, back);
    t.is(bobs.claims()?.sub, bob.id);
    await t.throwsAsync(openid.refreshTokenGrant(stage.rp.configuration, adas.refresh_token ?? ''));
    t.truthy((await openid.refreshTokenGrant(stage.rp.configuration, bobs.refresh_token ?? '')).access_token);
    const silent = await authorizationRequest(stage.rp, { prompt: 'none' });
    t.is((await exchange(stage.rp, silent, await one.browser.visit(silent.url))).claims()?.sub, bob.id);
  });

  engine.test('after it is done: reload, back and resume say that it is over, and the session stands', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const before = copyOf(browser);
    const posted = await browser.request(page.url, {
      method: 'POST',
      body: new URLSearchParams({ ...formsOf(page)[0]?.fields, username: user.username, password: user.password }),
      headers: { origin: stage.server.origin },
    });
    const resume = posted.headers.get('location') ?? '';
    const back = await browser.visit(resume);
    const tokens = await exchange(stage.rp, request, back);
    for (const [name, answer] of [
      ['reload', await browser.visit(page.url)],
      ['submit', await browser.send(page, { username: user.username, password: user.password })],
      ['resume', await browser.visit(resume)],
      ['resume, as before', await before.visit(resume)],
    ] as const) {
      t.is(answer.status, name.startsWith('resume') ? 404 : 410, name);
      t.regex(text(answer), /This sign-in is over.*If you are not signed in, go back to the application/, name);
    }
    await t.throwsAsync(
      exchange(stage.rp, request, back),
      { code: 'OAUTH_RESPONSE_BODY_ERROR' },
      'the application reloads its callback: the code was used',
    );
    const silent = await authorizationRequest(stage.rp, { prompt: 'none' });
    t.is((await exchange(stage.rp, silent, await browser.visit(silent.url))).claims()?.sub, user.id);
    t.is(tokens.claims()?.sub, user.id);
  });

  engine.test('pressed twice: the sign-in goes on once, whichever answer the browser shows', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const twice = (from: Page, fields: Record<string, string>) => parallel(2, () => browser.send(from, fields));
    const passwords = await twice(page, { username: user.username, password: user.password });
    t.true(
      passwords.some((answer) => has(answer, 'label')),
      passwords.map((answer) => text(answer)).join('\n'),
    );
    t.true(passwords.every((answer) => answer.status < 500));

    const enrol = await browser.visit(page.url);
    const key = keyOf(enrol);
    const codes = await twice(enrol, { code: codeAt(key) });
    t.true(codes.every((answer) => answer.status < 500));
    const landed = codes.find((answer) => codeFrom(answer, stage.rp));
    t.truthy(landed, codes.map((answer) => text(answer)).join('\n'));
    if (landed) t.is((await exchange(stage.rp, request, landed)).claims()?.acr, 'aal2');
    const apps = await stage.server.db.knex('credentials').where({ realm_id: stage.realm.id, user_id: user.id, factor: 'totp' });
    t.is(apps.length, 1);
  });

  engine.test('an answer that got lost: the page says so, and leads to the same sign-in anew', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { browser, page, request, user, secret } = await atCode(stage);
    const answer = await postTo(stage.server, browser, page.url, { ...formsOf(page)[0]?.fields, code: codeAt(secret) });
    t.is(answer.status, 303, 'it was accepted, but nobody keeps its cookie');
    const repeated = await browser.send(page, { code: codeAt(secret) });
    t.is(repeated.status, 403);
    t.regex(text(repeated), /got lost/);
    const anew = await browser.visit(linkOf(repeated));
    const code = await browser.send(anew, { username: user.username, password: user.password });
    t.is(
      (await exchange(stage.rp, request, await browser.send(code, { code: codeAt(secret, 1) }))).claims()?.sub,
      user.id,
      'state, nonce and verifier are the application’s own',
    );
  });

  engine.test('consent: reload, nothing pressed, pressed twice, and back', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await afterPassword(stage, user);
    t.true(page.html.includes('value="allow"'), text(page));
    t.true((await browser.visit(page.url)).html.includes('value="allow"'));
    t.true((await browser.send(page, {})).html.includes('value="allow"'), 'asked again');
    const large = await browser.send(page, { do: 'allow', more: 'x'.repeat(20_000) });
    t.is(large.status, 413);
    t.true(large.html.includes('value="allow"'));
    const answers = await parallel(2, () => browser.send(page, { do: 'allow' }));
    const codes = answers.filter((answer) => codeFrom(answer, stage.rp));
    t.is(codes.length, 1, answers.map((answer) => `${answer.status} ${text(answer)}`).join('\n'));
    const [back] = codes;
    if (back) t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id);
    t.is((await browser.send(page, { do: 'deny' })).status, 410);
  });

  engine.test('cancelled: the application is told, and the page that is left is over', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { browser, page, request } = await begin(stage);
    const back = await browser.send(page, { do: 'cancel' });
    const told = new URL(back.headers.get('location') ?? 'about:blank').searchParams;
    t.deepEqual([told.get('error'), told.get('state')], ['access_denied', request.state]);
    t.is((await browser.visit(page.url)).status, 410);
  });

  engine.test('sign-out: kept pages, nobody signed in, and requests that are wrong', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const url = openid.buildEndSessionUrl(stage.rp.configuration, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: stage.rp.client.redirectUri,
      state: 'bye',
    }).href;
    const wrong: [string, string, RegExp][] = [
      ['a hint that is none', url.replace(/id_token_hint=[^&]+/, 'id_token_hint=nothing'), /id_token_hint is not an ID token/],
      [
        'an address that is not registered',
        url.replace(/post_logout_redirect_uri=[^&]+/, `post_logout_redirect_uri=${encodeURIComponent('https://evil.example/')}`),
        /not registered/,
      ],
    ];
    for (const [name, address, says] of wrong) {
      const refused = await browser.visit(address);
      t.is(refused.status, 400, name);
      t.regex(refused.html, says, name);
    }
    // Without a hint, and with one of another session, the user is asked.
    const plain = url.replace(/id_token_hint=[^&]+&?/, '');
    const another = await signIn(stage.server, stage.rp, user);
    const asked = await browser.visit(url.replace(tokens.id_token ?? '', another.tokens.id_token ?? ''));
    t.is(asked.status, 200, text(asked));
    const kept = await browser.visit(plain);
    const stale = await browser.send(asked, { logout: 'yes' });
    t.is(stale.status, 410, 'the page of before has another word');
    t.regex(text(stale), /signed out already, have signed in again since, or were asked once more on another page/);
    t.truthy((await openid.refreshTokenGrant(stage.rp.configuration, tokens.refresh_token ?? '')).access_token, 'still signed in');
    const left = await browser.send(kept, { logout: 'yes' });
    t.is(left.headers.get('location'), `${stage.rp.client.redirectUri}?state=bye`, text(left));
    t.is((await browser.send(kept, { logout: 'yes' })).status, 410, 'back, and pressed again');

    const nobody = await browser.visit(url);
    const gone = nobody.status === 200 ? await browser.send(nobody, {}) : nobody;
    t.is(gone.headers.get('location'), `${stage.rp.client.redirectUri}?state=bye`);
    const stay = await signIn(stage.server, stage.rp, user);
    const page = await stay.browser.visit(openid.buildEndSessionUrl(stage.rp.configuration, {}).href);
    const stayed = await stay.browser.send(page, {});
    t.is(stayed.status, 200);
    t.regex(text(stayed), /You stay signed in/);
    const silent = await authorizationRequest(stage.rp, { prompt: 'none' });
    t.is((await exchange(stage.rp, silent, await stay.browser.visit(silent.url))).claims()?.sub, user.id);
  });
});
