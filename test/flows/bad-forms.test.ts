/**
 * What goes wrong with the forms of a sign-in: each answer is the page that is due, says what is wrong next to its field
 * and keeps what was typed, and the sign-in goes on where it was.
 */
import { formsOf, type Page } from '../support/agent.ts';
import { arena, at, atCode, begin, codeAt, codeFrom } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { errorAt, focused, linkOf, said } from '../support/reading.ts';
import { exchange } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('the sign-in page is read and its form is sent, and nothing else', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const refused = await browser.visit(page.url, { method, headers: { origin: stage.server.origin } });
      t.is(refused.status, 405, method);
      t.is(refused.headers.get('allow'), 'HEAD, GET, POST');
      t.regex(said(refused), /does not take requests of this kind/);
    }
    const options = await browser.visit(page.url, { method: 'OPTIONS' });
    t.deepEqual([options.status, options.html], [200, '']);
    const head = await browser.visit(page.url, { method: 'HEAD' });
    t.deepEqual([head.status, head.html, head.headers.get('cache-control')], [200, '', 'no-store']);
    t.is((await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
  });

  engine.test('empty fields and wrong ones are named, and the name that was typed stays', async (t) => {
    const stage = await scene({ mfa: 'off', rememberMe: true });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);

    const empty = await browser.send(page, { username: '', password: '' });
    t.is(empty.status, 400);
    t.truthy(errorAt(empty, 'username'));
    t.truthy(errorAt(empty, 'password'));
    t.is(focused(empty), 'username');
    t.regex(empty.html, /<title>Error: /);

    const blank = await browser.send(page, { username: '   ', password: 'x' });
    t.truthy(errorAt(blank, 'username'));

    const noPassword = await browser.send(page, { username: user.username, password: '' });
    t.truthy(errorAt(noPassword, 'password'));
    t.is(focused(noPassword), 'password');
    t.is(formsOf(noPassword)[0]?.fields.username, user.username);

    const wrong = await browser.send(page, { username: user.username, password: 'not this', remember: 'on' });
    t.is(wrong.status, 400);
    t.regex(errorAt(wrong, 'password') ?? '', /do not belong together/);
    t.is(focused(wrong), 'password');
    t.is(formsOf(wrong)[0]?.fields.username, user.username);
    t.is(formsOf(wrong)[0]?.fields.remember, 'on');
    t.false(wrong.html.includes('not this'));

    const long = await browser.send(page, { username: 'a'.repeat(2_000), password: 'x' });
    t.is(long.status, 400);
    t.regex(errorAt(long, 'username') ?? '', /longer than/);
    const longPassword = await browser.send(page, { username: user.username, password: 'x'.repeat(5_000) });
    t.is(longPassword.status, 400);
    t.is(formsOf(longPassword)[0]?.fields.username, user.username);

    const program = await browser.visit(page.url, {
      method: 'POST',
      body: new URLSearchParams({ username: user.username, password: 'not this' }),
      headers: { accept: 'application/json', origin: stage.server.origin },
    });
    t.is(program.status, 400);
    t.like(JSON.parse(program.html), { error: 'bad_input', field: 'password' });

    const back = await browser.send(longPassword, { password: user.password });
    t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id);
  });

  engine.test('what is no code is refused next to the field, and the right code goes on', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const shapes: [name: string, body: (code: string) => string][] = [
      ['letters', () => 'code=abcdef'],
      ['full-width digits', (code) => `code=${encodeURIComponent(code.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))))}`],
      ['a number', () => 'code=1e5'],
      ['too short', (code) => `code=${code.slice(1)}`],
      ['too long', (code) => `code=${code}0`],
      ['much too long', () => `code=${'1'.repeat(3_000)}`],
      ['a sign', (code) => `code=-${code}`],
      ['a list', (code) => `code[]=${code}`],
      ['twice', (code) => `code=${code}&code=${code}`],
      ['nothing', () => 'code='],
      ['a zero byte', (code) => `code=${code}%00`],
      ['no UTF-8', (code) => `code=${code}%ff`],
    ];
    // Four a user: the fifth wrong code would end the sign-in.
    for (let first = 0; first < shapes.length; first += 4) {
      const { browser, page, secret, user, request } = await atCode(stage);
      const version = formsOf(page)[0]?.fields.version ?? '';
      for (const [name, body] of shapes.slice(first, first + 4)) {
        const refused = await browser.visit(page.url, {
          method: 'POST',
          body: `version=${version}&${body(codeAt(secret))}`,
          headers: { origin: stage.server.origin, 'content-type': 'application/x-www-form-urlencoded' },
        });
        t.is(refused.status, 400, name);
        t.truthy(errorAt(refused, 'code'), `${name}: ${said(refused)}`);
        t.is(focused(refused), 'code', name);
      }
      const back = await browser.send(page, { code: codeAt(secret) });
      t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id);
    }
  });

  engine.test('a body that is too large or of another kind: the page says so, and the sign-in goes on', async (t) => {
    const stage = await scene({ mfa: 'off', rememberMe: true });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const form = new FormData();
    form.set('username', user.username);
    const sent: [status: number, name: string, init: RequestInit][] = [
      [413, 'large', { body: new URLSearchParams({ username: user.username, password: 'x'.repeat(20_000) }) }],
      [
        413,
        'large, in pieces',
        {
          body: new Blob(['username=', 'x'.repeat(200_000)]).stream(),
          duplex: 'half',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        },
      ],
      [415, 'JSON', { body: JSON.stringify({ username: user.username }), headers: { 'content-type': 'application/json' } }],
      [415, 'multipart', { body: form }],
      [415, 'text', { body: `username=${user.username}`, headers: { 'content-type': 'text/plain' } }],
      [
        415,
        'another charset',
        { body: `username=${user.username}`, headers: { 'content-type': 'application/x-www-form-urlencoded; charset=iso-8859-1' } },
      ],
      [
        400,
        'a field twice',
        { body: `username=${user.username}&username=other&password=x`, headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      ],
    ];
    for (const [status, name, init] of sent) {
      const refused = await browser.visit(page.url, { ...init, method: 'POST', headers: { ...init.headers, origin: stage.server.origin } });
      t.is(refused.status, status, name);
      t.regex(said(refused), /There is a problem/, name);
      t.deepEqual(
        formsOf(refused)[0]?.names.filter((field) => !['version', 'webauthn'].includes(field)),
        ['username', 'password', 'remember'],
        name,
      );
    }
    t.is((await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
  });

  engine.serial('a sign-in that took too long says so, and a new one is begun at the application', async (t) => {
    const stage = await scene({ mfa: 'off', accessCodeLifespanLogin: 120, accessCodeLifespan: 60 });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await begin(stage);
    const other = await begin(stage);
    const done = await other.browser.send(other.page, { username: user.username, password: user.password });
    await at(61_000, async () => {
      await t.throwsAsync(exchange(stage.rp, other.request, done), { message: /./, code: 'OAUTH_RESPONSE_BODY_ERROR' }, 'the code has expired');
    });
    await at(121_000, async () => {
      const late: [string, () => Promise<Page>][] = [
        ['reload', () => browser.visit(page.url)],
        ['submit', () => browser.send(page, { username: user.username, password: user.password })],
      ];
      for (const [name, answer] of late) {
        const over = await answer();
        t.is(over.status, 410, name);
        t.regex(said(over), /took too long/, name);
        t.regex(said(over), /go back to the application and sign in again/, name);
      }
      const next = await begin(stage, { browser });
      t.truthy(codeFrom(await browser.send(next.page, { username: user.username, password: user.password }), stage.rp));
    });
  });

  engine.test('too many passwords in a row: how long to wait, and the name stays', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await begin(stage);
    let last = page;
    for (let tries = 0; tries < 11; tries += 1) last = await browser.send(last, { username: user.username, password: 'not this' });
    t.is(last.status, 429);
    t.regex(said(last), /Try again in \d+ minutes/);
    t.true(Number(last.headers.get('retry-after')) > 60);
    t.is(formsOf(last)[0]?.fields.username, user.username);
  });

  engine.test('five wrong codes end the sign-in, and the page leads to a new one', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { browser, page, user, secret, request } = await atCode(stage);
    let last = page;
    for (let tries = 0; tries < 5; tries += 1) last = await browser.send(page, { code: 'abcdef' });
    t.is(last.status, 403);
    t.regex(said(last), /too many codes were wrong/);
    const again = linkOf(last);
    const anew = await browser.visit(again);
    const code = await browser.send(anew, { username: user.username, password: user.password });
    t.is((await exchange(stage.rp, request, await browser.send(code, { code: codeAt(secret) }))).claims()?.acr, 'aal2');
  });

  engine.test('a form from somewhere else does nothing, and the sign-in goes on in its own page', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const senders: [name: string, headers: Record<string, string>][] = [
      ['another site', { origin: 'https://evil.example' }],
      ['a page without an origin', { origin: 'null' }],
      ['a browser that says nothing', {}],
      ['another site, in other words', { 'sec-fetch-site': 'cross-site', referer: 'https://evil.example/' }],
    ];
    for (const [name, headers] of senders) {
      const refused = await browser.visit(page.url, {
        method: 'POST',
        body: new URLSearchParams({ username: user.username, password: user.password }),
        headers,
      });
      t.is(refused.status, 403, name);
      t.regex(said(refused), /did not come from its own page, or your browser hides where it came from/, name);
    }
    t.is((await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
  });
});
