/** F · Attacks between realms, on what is stored, on the pages, and on the keys. */

import test from 'ava';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { createClient } from '../../src/admin/resources/clients.ts';
import { listKeys, rotateKeys } from '../../src/admin/resources/keys.ts';
import { credentialsOf as storedCredentials } from '../../src/store/credentials.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  at,
  atCode,
  audited,
  backAtApplication,
  begin,
  call,
  codeAt,
  codeExchange,
  codeFrom,
  copyOf,
  credentialsOf,
  giveApp,
  rawRequest,
  type Scene,
  sessionsOf,
  storedLogin,
  type TestUser,
  transactionOf,
  withoutOwnScripts,
} from '../support/attack.ts';
import { allBut, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, keyOf, openid, relyingParty, signIn, text } from '../support/sign-in.ts';

/** What runs as script wherever it is not written as text: in an element, an attribute, an address, a comment, a template. */
const PAYLOADS = [
  '<script>alert(1)</script>',
  '"><img/src=x/onerror=alert(1)>',
  "'><svg/onload=alert(1)>",
  '"autofocus/onfocus="alert(1)',
  '{{range.constructor("return(1)")()}}',
  '{%include"layout.njk"%}',
  '</title><script>alert(1)</script>',
  '<!--<script>alert(1)',
  'javascript:alert(1)',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
];

/** Tags, handlers and addresses of a page that could run something. */
function live(html: string): string[] {
  const found: string[] = [];
  for (const [tag] of withoutOwnScripts(html).matchAll(/<[a-z!/](?:"[^"]*"|'[^']*'|[^"'>])*>/gi)) {
    if (/^<(?:script|iframe|object|embed|base|img|video|audio|math|style|meta http-equiv|!--)/i.test(tag)) found.push(tag);
    const attributes = tag.replaceAll(/"[^"]*"|'[^']*'/g, '""');
    if (/[\s/"]on[a-z]+\s*=/i.test(attributes) || /\sstyle=/i.test(attributes)) found.push(tag);
    for (const [, value = ''] of tag.matchAll(/\s(?:href|src|action|formaction|xlink:href)="([^"]*)"/gi)) {
      if (/^[\s\0-\x20]*(?:javascript|data|vbscript):/i.test(unescapeHtml(value))) found.push(tag);
    }
  }
  return found;
}

test('F05 what is looked for would be found', (t) => {
  for (const found of [
    '<p><script>alert(1)</script></p>',
    '<input value=""><img/src=x/onerror=alert(1)>">',
    '<a href="JaVaScRiPt:alert(1)">x</a>',
    '<a href="java&#115;cript:x">x</a>',
    '<input value=""autofocus/onfocus="alert(1)">',
    '<p style="x">',
    '<p><!--<script>',
  ]) {
    t.true(live(found).length > 0, found);
  }
  t.deepEqual(live('<p title="&quot; onclick=x">&lt;script&gt; <a href="https://x/?javascript:">x</a></p><!doctype html>'), []);
});

const policyOf = (headers: Headers): string => headers.get('content-security-policy') ?? '';

forEachEngine((engine) => {
  const { scene, server } = arena(engine);

  engine.test('F01 what belongs to one realm is nothing in another', async (t) => {
    const a = await scene({ mfa: 'optional' });
    const b = await scene({ mfa: 'off' });
    const { browser, page, user, secret } = await atCode(a);
    const there = (url: string) => url.replace(`/realms/${a.realm.name}/`, `/realms/${b.realm.name}/`);
    const moved = new Browser(a.server.origin);
    moved.plant(browser.jar.map((cookie) => ({ ...cookie, path: there(`${cookie.path}/`).replace(/\/$/, '') })));
    const everywhere = new Browser(a.server.origin);
    everywhere.plant(browser.jar.map((cookie) => ({ ...cookie, path: '/' })));
    const uid = page.url.split('/').at(-1);
    const unknown = (await moved.visit(there(page.url).replace(/[^/]+$/, 'A'.repeat(21)))).status;
    for (const attacker of [moved, everywhere]) {
      for (const answer of [
        await attacker.visit(there(page.url)),
        await attacker.post(there(page.url), { code: codeAt(secret) }),
        await attacker.post(there(page.url), { username: user.username, password: user.password }),
        await attacker.visit(`${a.server.origin}/realms/${b.realm.name}/protocol/openid-connect/auth/${uid}`),
      ]) {
        t.is(answer.status, unknown, 'as for a sign-in that never was');
        t.true([403, 404].includes(answer.status));
        t.is(backAtApplication(answer, a.rp.client.redirectUri), undefined);
        t.false(answer.html.includes('name="code"'));
      }
    }
    t.is((await storedLogin(a, transactionOf(browser))).at, 'challenge');

    // A session of A at B, and a client of A at B.
    const signedIn = await signIn(a.server, a.rp, user, { totpSecret: secret });
    const session = new Browser(a.server.origin);
    session.plant(signedIn.browser.jar.map((cookie) => ({ ...cookie, path: '/' })));
    const silent = await session.visit((await authorizationRequest(b.rp, { prompt: 'none' })).url);
    t.is(backAtApplication(silent, b.rp.client.redirectUri)?.get('error'), 'login_required');
    const client = await session.visit(there((await authorizationRequest(a.rp)).url));
    t.is(client.status, 400);
    t.is(client.headers.get('location'), null);

    // Its tokens, codes and secrets.
    const { tokens } = signedIn;
    const at_ = (endpoint: string, fields: Record<string, string>, as = b.rp) => call(b.server, b.realm, endpoint, fields, credentialsOf(as));
    t.deepEqual((await at_('token/introspect', { token: tokens.access_token })).body, { active: false });
    t.deepEqual((await at_('token/introspect', { token: tokens.refresh_token ?? '' })).body, { active: false });
    t.is((await at_('token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' })).body.error, 'invalid_grant');
    t.is(
      (await at_('token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }, a.rp)).status,
      401,
      'client and secret of A',
    );
    const info = await fetch(`${b.server.url}/realms/${b.realm.name}/protocol/openid-connect/userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    t.is(info.status, 401);
    const logout = await session.visit(`${b.server.origin}/realms/${b.realm.name}/protocol/openid-connect/logout?id_token_hint=${tokens.id_token}`);
    t.is(logout.status, 400);
    t.is((await sessionsOf(a, user)).length, 1, 'A is still signed in');

    // A user of A at B, and an app of A at B's choice.
    const foreign = await begin(b);
    t.is((await foreign.browser.send(foreign.page, { username: user.username, password: user.password })).status, 400);
  });

  engine.test('F01 an address has one spelling', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await scene({ mfa: 'optional' });
    const name = stage.realm.name;
    const authorize = new URL((await authorizationRequest(stage.rp)).url).search;
    const paths = [
      '/.well-known/openid-configuration',
      `/protocol/openid-connect/auth${authorize}`,
      '/protocol/openid-connect/certs',
      '/account',
      '/login/abc',
      '',
    ];
    const spellings = (path: string): string[] => [
      `/realms/%2e%2e/realms/${name}${path}`,
      `/realms/${other.realm.name}/%2e%2e/${name}${path}`,
      `/realms/${other.realm.name}/../${name}${path}`,
      `/realms/${other.realm.name}/..;/${name}${path}`,
      `/realms/${other.realm.name}%2f..%2f${name}${path}`,
      `/realms/${name}%00${path}`,
      `/realms/${name}%20${path}`,
      `/realms/${name}.${path}`,
      `/realms/${name};a=b${path}`,
      `/realms//${name}${path}`,
      `//realms/${name}${path}`,
      `/realms/${name}/${path}`.replace(`${name}//`, `${name}//`),
      `/realms/./${name}${path}`,
      `/Realms/${name}${path}`,
      `/REALMS/${name}${path}`,
      `/realms/${name.toUpperCase()}${path}`,
      `/realms/${name.replace('realm', 'reаlm')}${path}`,
      `/realms/${name.replace('r', '%72')}${path}`,
      `/%72ealms/${name}${path}`,
      `\\realms\\${name}${path}`,
      `/realms\\${name}${path}`,
      `/realms/${name}\\${path}`,
    ];
    for (const path of paths) {
      for (const target of spellings(path)) {
        if (/[^\x21-\x7e]/.test(target)) continue;
        const answer = await rawRequest(stage.server, { target, headers: { host: new URL(stage.server.origin).host, accept: 'text/html' } });
        t.true([400, 404].includes(answer.status), `${target}: ${answer.status}`);
        t.is(answer.headers.location, undefined, target);
      }
    }
    for (const path of [
      '/protocol/openid-connect/CERTS',
      '/Protocol/openid-connect/certs',
      '/protocol/openid-connect/certs/',
      '/protocol/openid-connect//certs',
      '/.WELL-KNOWN/openid-configuration',
    ]) {
      const answer = await rawRequest(stage.server, { target: `/realms/${name}${path}`, headers: { host: 'x', accept: 'text/html' } });
      t.is(answer.status, 404, path);
    }
  });

  engine.test('F02 a sealed app that was moved does not open: the sign-in is refused, with an alarm', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const required = await scene({ mfa: 'required' });
    const { knex } = stage.server.db;
    const attacker = await stage.server.user(stage.realm);
    const own = await giveApp(stage.server, attacker);
    const elsewhere = await required.server.user(required.realm);
    const foreign = await giveApp(required.server, elsewhere);
    const secretOf = async (id: string): Promise<string> => (await knex('credentials').where({ id }).first('secret')).secret;
    const clientSecret = (await knex('clients').where({ id: stage.rp.client.row.id }).first('secret')).secret;
    const realmSecret = (await knex('realms').where({ id: stage.realm.id }).first('root_secret')).root_secret;
    const ownSealed = await secretOf(own.id);
    const foreignSealed = await secretOf(foreign.id);

    const moves: [string, (own: { sealed: string; other: string }) => string][] = [
      ['of another user', () => ownSealed],
      ['of another realm', () => foreignSealed],
      ['of another row of the same user', ({ other }) => other],
      ['of another table and column', () => clientSecret],
      ['of the realm', () => realmSecret],
      ['one bit changed', ({ sealed }) => sealed.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
      ['another key named', ({ sealed }) => sealed.replace(/^v1\|[^|]+/, 'v1|00000000-0000-4000-8000-000000000000')],
      ['another version', ({ sealed }) => sealed.replace('v1|', 'v0|')],
      ['cut', ({ sealed }) => sealed.slice(0, -10)],
      ['nothing', () => ''],
      ['plain', () => JSON.stringify({ secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', digits: 6, period: 30, algorithm: 'sha1' })],
    ];
    for (const [what, move] of moves) {
      const user = await stage.server.user(stage.realm);
      const { id, secret } = await giveApp(stage.server, user);
      const second = await giveApp(stage.server, await stage.server.user(stage.realm));
      const sealed = await secretOf(id);
      await knex('credentials')
        .where({ id })
        .update({ secret: move({ sealed, other: await secretOf(second.id) }) });
      const logged = stage.server.log.length;
      const { browser, page } = await afterPassword(stage, user);
      t.true(page.status >= 500, `${what}: ${page.status}`);
      t.false(page.html.includes('name="label"'), `${what}: no new app is offered`);
      t.is(codeFrom(page, stage.rp), undefined, what);
      const transaction = transactionOf(browser);
      for (const code of [codeAt(secret), codeAt(own.secret), codeAt('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP')]) {
        const login = `${stage.server.origin}/realms/${stage.realm.name}/login/${(await storedLogin(stage, transaction)).uid}`;
        const refused = await browser.post(login, { code });
        t.true(refused.status >= 500, `${what}: ${refused.status}`);
        t.notRegex(refused.html, /seal|cipher|decrypt|v1\|/i, what);
      }
      t.is((await storedLogin(stage, transaction)).at, 'challenge', what);
      t.is((await sessionsOf(stage, user)).length, 0, what);
      t.true((await audited(stage, 'crypto.unreadable', { transaction })).length >= 1, what);
      t.true(
        stage.server.log.slice(logged).some((line) => line.includes('does not open') && line.includes('"level":"error"')),
        what,
      );
    }
    t.is((await storedCredentials(knex, stage.realm.id, attacker.id)).length, 2);
    const mine = await signIn(stage.server, stage.rp, attacker, { totpSecret: own.secret });
    t.is(mine.tokens.claims()?.acr, 'aal2', 'who was not touched signs in');
  });

  engine.test('F02 nor do passwords, sign-ins and client secrets open where they were not sealed', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { knex } = stage.server.db;
    const [attacker, victim] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const sealed = await knex('credentials').where({ user_id: attacker.id, factor: 'password' }).first('secret');
    await knex('credentials').where({ user_id: victim.id, factor: 'password' }).update({ secret: sealed.secret });
    const taken = await begin(stage);
    const refused = await taken.browser.send(taken.page, { username: victim.username, password: attacker.password });
    t.true(refused.status >= 500, `${refused.status}`);
    t.is((await sessionsOf(stage, victim)).length, 0);
    t.true((await audited(stage, 'crypto.unreadable', { transaction: transactionOf(taken.browser) })).length === 1);

    // The state of a sign-in that is done, written over one that has just begun.
    const done = await begin(stage);
    const body = new URLSearchParams({ ...formsOf(done.page)[0]?.fields, username: attacker.username, password: attacker.password });
    await done.browser.request(done.page.url, { method: 'POST', body, headers: { origin: stage.server.origin } });
    const state = await storedLogin(stage, transactionOf(done.browser));
    const fresh = await begin(stage);
    await knex('logins')
      .where({ realm_id: stage.realm.id, id: transactionOf(fresh.browser) })
      .update({ state: state.state, at: 'done' });
    const uid = fresh.page.url.split('/').at(-1);
    for (const url of [fresh.page.url, `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/auth/${uid}`]) {
      const answer = await fresh.browser.visit(url);
      t.true(answer.status >= 400, `${answer.status}`);
      t.is(codeFrom(answer, stage.rp), undefined);
    }
    await knex('logins')
      .where({ realm_id: stage.realm.id, id: transactionOf(fresh.browser) })
      .update({ state: 'v1|x|y|z|w', at: 'done' });
    t.true((await fresh.browser.visit(fresh.page.url)).status >= 500);
    t.is((await audited(stage, 'crypto.unreadable')).filter(({ details }) => details === '{"what":"sign-in"}').length, 1);

    const other = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true }));
    const another = await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true });
    const theirs = await knex('clients').where({ id: another.row.id }).first('secret');
    await knex('clients')
      .where({ id: other.client.row.id })
      .update({ secret: theirs.secret, updated_at: Date.now() + 1 });
    await stage.server.db.changes.announce(`client:${stage.realm.id}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const secret of [another.secret, other.client.secret]) {
      const answer = await call(stage.server, stage.realm, 'token', {
        grant_type: 'client_credentials',
        client_id: other.client.clientId,
        client_secret: secret ?? '',
      });
      t.true(answer.status >= 400, `${answer.status}`);
      t.is(answer.body.access_token, undefined);
    }
    t.deepEqual((await audited(stage, 'crypto.unreadable')).filter(({ details }) => details === '{"what":"token"}').length, 1);
  });

  engine.test('F02 a signing key of another realm signs nothing here', async (t) => {
    const node = await server();
    const [a, b] = [await node.realm(), await node.realm()];
    const { knex } = node.db;
    const theirs = await knex('signing_keys').where({ realm_id: b.id, algorithm: 'RS256' }).first('private_jwk');
    await knex('signing_keys').where({ realm_id: a.id, algorithm: 'RS256' }).update({ private_jwk: theirs.private_jwk });
    for (const path of ['/.well-known/openid-configuration', '/protocol/openid-connect/certs', '']) {
      const answer = await fetch(`${node.url}/realms/${a.name}${path}`, { headers: { accept: 'application/json' } });
      t.is(answer.status, 500);
      t.notRegex(await answer.text(), /v1\||cipher|unseal|"d"/i);
      t.is((await fetch(`${node.url}/realms/${b.name}${path}`)).status, 200, 'the other realm goes on');
    }
    const alarms = await knex('audit_events').where({ realm_id: a.id, type: 'crypto.unreadable' }).pluck('details');
    t.deepEqual(alarms.sort(), ['{"what":"discovery"}', '{"what":"keys"}', '{"what":"realm"}'], 'one for each door, not for each request');
  });

  engine.serial('F04 the signing key is rotated in the middle: a sign-in under way finishes, and old tokens hold until they expire', async (t) => {
    const stage = await scene({ mfa: 'off', accessTokenLifespan: 120, accessCodeLifespan: 61 });
    const { server: node, realm, rp } = stage;
    const kids = async () =>
      (await listKeys({ db: node.db, now: Date.now() }, realm))
        .filter(({ algorithm, use }) => algorithm === 'RS256' && use === 'signing')
        .map(({ id }) => id);
    const userinfo = async (token: string) =>
      (await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status;
    const user = await node.user(realm);
    const before = await signIn(node, rp, user);
    const [oldKid] = await kids();
    t.is(decodeProtectedHeader(before.tokens.access_token).kid, oldKid);
    const waiting = await begin(stage, { parameters: { prompt: 'login' }, browser: before.browser });
    const coded = await begin(stage, { browser: copyOf(before.browser) });

    await rotateKeys(node.operator(), realm, { publishAheadMs: 0 });
    const [newKid] = await kids();
    t.not(newKid, oldKid);

    const back = await waiting.browser.send(waiting.page, { password: user.password });
    const tokens = await exchange(rp, waiting.request, back);
    t.is(decodeProtectedHeader(tokens.access_token).kid, newKid, 'what is signed now is signed by the new key');
    t.is(decodeProtectedHeader(tokens.id_token ?? '').kid, newKid);
    t.is(decodeJwt(tokens.access_token).sub, user.id);
    const exchanged = await exchange(rp, coded.request, coded.page);
    t.is(decodeProtectedHeader(exchanged.access_token).kid, newKid, 'a code of before is exchanged');

    t.is(await userinfo(before.tokens.access_token), 200, 'the old token holds');
    t.true((await openid.tokenIntrospection(rp.configuration, before.tokens.access_token)).active);
    const refreshed = await openid.refreshTokenGrant(rp.configuration, before.tokens.refresh_token ?? '');
    t.is(decodeProtectedHeader(refreshed.access_token).kid, newKid);
    const published = await (await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/certs`)).text();
    for (const kid of [oldKid, newKid]) t.true(published.includes(`"${kid}"`), 'both are published');
    t.notRegex(published, /"(?:d|p|q|dp|dq|qi|k)":/, 'and nothing private is');
    const silent = await begin(stage, { browser: before.browser, parameters: { id_token_hint: before.tokens.id_token ?? '', prompt: 'none' } });
    t.truthy(codeFrom(silent.page, rp), 'an old ID token is still a hint');

    await at(130_000, async () => {
      t.is(await userinfo(before.tokens.access_token), 401, 'until it expires');
      t.is(await userinfo(tokens.access_token), 401);
    });
    t.is(await userinfo(tokens.access_token), 200);
    const logout = await before.browser.visit(
      `${node.origin}/realms/${realm.name}/protocol/openid-connect/logout?id_token_hint=${before.tokens.id_token}`,
    );
    t.is(logout.status, 200);
  });

  engine.test('F04 a key whose time is over verifies nothing any more', async (t) => {
    const node = await server();
    const realm = await node.realm({ mfa: 'off' });
    const rp = await relyingParty(node, realm, await node.client(realm));
    const { tokens } = await signIn(node, rp, await node.user(realm));
    await rotateKeys(node.operator(), realm, { publishAheadMs: 0, keepMs: 0 });
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    const published = await (await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/certs`)).text();
    t.false(published.includes(`"${decodeProtectedHeader(tokens.access_token).kid}"`));
    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    t.true((await openid.tokenIntrospection(rp.configuration, refreshed.access_token)).active, 'the session itself goes on');
  });

  engine.test('F05 script in names, labels and parameters is text', async (t) => {
    const node = await server();
    for (const [index, payload] of PAYLOADS.entries()) {
      const realm = await node.realm({ mfa: 'optional', disabledFactors: allBut('totp', 'hotp') });
      await node.db
        .knex('realms')
        .where({ id: realm.id })
        .update({ display_name: payload, version: realm.version + 1 });
      await node.db.changes.announce(`realm:${realm.id}`);
      const client = await node.client(realm, { firstParty: false, name: payload, baseUrl: `https://app.example/${encodeURIComponent(payload)}` });
      const stage: Scene = { server: node, realm, rp: await relyingParty(node, realm, client) };
      const user = await node.user(realm, { username: payload, email: `xss-${index}@example.com`, firstName: payload, lastName: payload });
      const pages = [...(await pagesOfSignIn(stage, user, payload)), ...(await pagesOfMistakes(stage, payload))];
      for (const shown of pages) {
        if (shown.status >= 300 && shown.status < 400) continue;
        t.deepEqual(live(shown.html), [], `${payload} at ${shown.url} (${shown.status})`);
        const policy = policyOf(shown.headers);
        t.regex(policy, /script-src 'self'(?:;|$)/, shown.url);
        t.notRegex(policy, /unsafe|\*|data:/, shown.url);
        t.regex(policy, /default-src 'none'/);
        t.regex(policy, /base-uri 'none'/);
        t.is(shown.headers.get('x-content-type-options'), 'nosniff');
        t.regex(shown.headers.get('content-type') ?? '', /^text\/html; charset=utf-8/);
      }
      t.true(pages.filter(({ status }) => status === 200).length >= 6, payload);
    }
  });

  engine.test('F05 the address of an application is one that a browser goes to, not one that it runs', async (t) => {
    const node = await server();
    const realm = await node.realm({ mfa: 'off' });
    for (const baseUrl of [
      'JaVaScRiPt:alert(1)',
      ' javascript:alert(1)',
      'java\nscript:alert(1)',
      'data:text/html,<script>alert(1)</script>',
      'vbscript:x',
      'file:///etc/passwd',
      'blob:https://x/y',
    ]) {
      await t.throwsAsync(
        createClient(node.operator(), realm, { clientId: 'c', redirectUris: ['https://app.example/callback'], baseUrl }),
        { message: /baseUrl/ },
        baseUrl,
      );
    }
    // One that came by another door, such as an import.
    const client = await node.client(realm, { firstParty: false, name: 'Third party' });
    await node.db
      .knex('clients')
      .where({ id: client.row.id })
      .update({ base_url: 'JaVaScRiPt:alert(1)', updated_at: Date.now() + 1 });
    await node.db.changes.announce(`client:${realm.id}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const stage: Scene = { server: node, realm, rp: await relyingParty(node, realm, client) };
    const user = await node.user(realm);
    const first = await begin(stage);
    const consent = await first.browser.send(first.page, { username: user.username, password: user.password });
    const pages = [
      first.page,
      consent,
      await first.browser.visit(`${node.origin}/realms/${realm.name}/protocol/openid-connect/logout?client_id=${client.clientId}`),
      await first.browser.visit(`${node.origin}/realms/${realm.name}/protocol/openid-connect/logout/success?client_id=${client.clientId}`),
    ];
    t.true(consent.html.includes('value="allow"'), text(consent));
    for (const page of pages) {
      t.is(page.status, 200, text(page));
      t.deepEqual(live(page.html), [], page.url);
    }
  });

  engine.test('F05 a label keeps no character that turns or hides a line', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await afterPassword(stage, user);
    t.truthy(codeFrom(await browser.send(page, { code: codeAt(keyOf(page)), label: 'My\u202e phone\u200b\r\n\u0007\u2066 [31m' }), stage.rp));
    const stored = (await storedCredentials(stage.server.db.knex, stage.realm.id, user.id)).find(({ factor }) => factor === 'totp');
    t.is(stored?.label, 'My phone [31m');
    for (const username of ['a\u202eb', 'a\nb', 'a\u0000b', 'a\u2066b'])
      await t.throwsAsync(stage.server.user(stage.realm, { username, email: 'x@example.com' }), undefined, JSON.stringify(username));
  });

  engine.test('F06 no page of ours is shown in a frame', async (t) => {
    const stage = await scene({ mfa: 'required' }, { firstParty: false, name: 'Third party' });
    const plain = await scene({ mfa: 'off' }, { name: 'Ours' });
    const { server: node, realm } = stage;
    const user = await node.user(realm);
    const pages: [string, Page][] = [];
    const keep = (what: string, page: Page) => {
      pages.push([what, page]);
      return page;
    };
    const first = await begin(stage);
    keep('sign-in', first.page);
    keep('wrong password', await first.browser.send(first.page, { username: user.username, password: 'wrong' }));
    const enrol = keep('enrolment', await first.browser.send(first.page, { username: user.username, password: user.password }));
    keep('a wrong code', await first.browser.send(enrol, { code: '1' }));
    const consent = keep('consent', await first.browser.send(enrol, { code: codeAt(keyOf(enrol)) }));
    t.true(consent.html.includes('value="allow"'));
    keep('code', (await afterPassword(stage, user)).page);
    keep('form_post', (await begin(plain, { parameters: { prompt: 'none', response_mode: 'form_post' } })).page);
    const account = `${node.origin}/realms/${realm.name}`;
    keep('sign out', await first.browser.visit(`${account}/protocol/openid-connect/logout`));
    keep('signed out', await first.browser.visit(`${account}/protocol/openid-connect/logout/success`));
    keep('account', await first.browser.visit(`${account}/account`));
    keep('no such page', await first.browser.visit(`${account}/nothing`));
    keep('no such realm', await first.browser.visit(`${node.origin}/realms/nothing/account`));
    keep('over', await first.browser.visit(`${account}/login/nothing`));
    keep('forged', await first.browser.request(first.page.url, { method: 'POST', body: 'do=cancel' }));
    keep('refused', await first.browser.visit(`${account}/protocol/openid-connect/auth?client_id=nobody`));
    keep('method', await first.browser.request(`${account}/protocol/openid-connect/auth`, { method: 'DELETE' }));
    keep('root', await first.browser.request(`${node.origin}/`));
    for (const [what, page] of pages) {
      t.regex(policyOf(page.headers), /frame-ancestors 'none'/, what);
      t.is(page.headers.get('x-frame-options'), 'DENY', what);
      t.notRegex(page.html, /<i?frame/i, what);
    }
    const postable = pages.find(([what]) => what === 'form_post')?.[1];
    t.regex(policyOf(postable?.headers ?? new Headers()), /script-src 'self' 'sha256-[^']+'(?:;|$)/, 'one script, known by its hash');
  });

  engine.test('F09 cookies are for the server alone, for this realm, and for https when there is https', async (t) => {
    const node = await server();
    const secure = await startCardea(node.db, { CARDEA_ORIGIN: 'https://id.example' });
    const realm = await node.realm({ mfa: 'off' });
    const client = await node.client(realm);
    const stage: Scene = { server: node, realm, rp: await relyingParty(node, realm, client) };
    const query = new URL((await authorizationRequest(stage.rp)).url).search;
    const target = `/realms/${realm.name}/protocol/openid-connect/auth${query}`;
    const begun = await rawRequest(secure, { target, headers: { host: 'id.example', accept: 'text/html' } });
    const location = String(begun.headers.location);
    t.true(location.startsWith('https://id.example/realms/'), location);
    const cookie = [begun.headers['set-cookie'] ?? []]
      .flat()
      .map((line) => line.split(';')[0])
      .join('; ');
    const page = await rawRequest(secure, { target: new URL(location).pathname, headers: { host: 'id.example', cookie, accept: 'text/html' } });
    t.is(page.status, 200);
    t.regex(String(page.headers['strict-transport-security']), /max-age=31536000/);
    const lines = [begun.headers['set-cookie'] ?? [], page.headers['set-cookie'] ?? []].flat();
    t.true(lines.length >= 5, lines.join('\n'));
    for (const line of lines) {
      t.regex(line, /;\s*httponly/i, line);
      t.regex(line, /;\s*secure/i, line);
      t.regex(line, /;\s*samesite=lax/i, line);
      t.regex(line, new RegExp(`;\\s*path=/realms/${realm.name}(?:/|;|$)`, 'i'), line);
      t.notRegex(line, /domain=/i, line);
    }
    t.is(page.headers['cache-control'], 'no-store');
    const { browser } = await signIn(node, stage.rp, await node.user(realm));
    // What a browser is known by may not be narrowed to a path (RFC 6265bis section 4.1.3.2, __Host-): its name tells the realm.
    t.true(browser.jar.every(({ name, path }) => path.startsWith(`/realms/${realm.name}`) || (path === '/' && name.includes(realm.id))));
  });

  engine.test('F10 more than is needed is not read, and what cannot be read is refused', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { browser, page } = await begin(stage);
    const large = 'x'.repeat(200_000);
    const post = (body: string, headers: Record<string, string> = {}) =>
      browser.request(page.url, {
        method: 'POST',
        body,
        headers: { origin: stage.server.origin, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      });
    t.is((await post(`username=${large}`)).status, 413);
    t.is((await post(Array.from({ length: 500 }, (_, index) => `f${index}=x`).join('&'))).status, 400);
    t.is((await post('__proto__=x&username=a&password=b')).status, 400);
    t.is((await post('username[$ne]=x&password[$ne]=x')).status, 400);
    t.is((await post('username=a', { 'content-encoding': 'gzip' })).status, 415);
    for (const endpoint of ['token', 'token/introspect', 'revoke', 'ext/par/request']) {
      const answer = await call(stage.server, stage.realm, endpoint, { grant_type: large, token: large }, credentialsOf(stage.rp));
      t.true(answer.status === 413 || answer.status === 400, `${endpoint}: ${answer.status}`);
      for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x']) {
        const odd = await fetch(`${stage.server.url}/realms/${stage.realm.name}/protocol/openid-connect/${endpoint}`, {
          method: 'POST',
          body: '{"grant_type":"client_credentials"}',
          headers: { 'content-type': type, ...credentialsOf(stage.rp) },
        });
        t.true(odd.status >= 400 && odd.status < 500, `${endpoint} ${type}: ${odd.status}`);
      }
    }
    const cookies = await rawRequest(stage.server, {
      target: new URL(page.url).pathname,
      headers: { host: 'x', cookie: `cardea_interaction=${'x'.repeat(4_000)}; cardea_interaction.sig=x; =; ;;; a`, accept: 'text/html' },
    });
    t.true(cookies.status >= 400 && cookies.status < 500, `${cookies.status}`);
    const crlf = await rawRequest(stage.server, {
      target: `/realms/${stage.realm.name}/protocol/openid-connect/auth?client_id=${stage.rp.client.clientId}&state=a%0d%0aSet-Cookie:%20evil=1&prompt=none&response_type=code&scope=openid&redirect_uri=${encodeURIComponent(stage.rp.client.redirectUri)}&code_challenge=${'a'.repeat(43)}&code_challenge_method=S256`,
      headers: { host: 'x' },
    });
    t.false(JSON.stringify(crlf.headers).includes('evil=1"'), 'no header is injected');
    t.is([crlf.headers['set-cookie'] ?? []].flat().filter((line) => line.startsWith('evil')).length, 0);
  });

  engine.serial('F07 a whole sign-in, with its mistakes, leaves no secret in the log', async (t) => {
    const stage = await scene({ mfa: 'required' }, { firstParty: false, name: 'Third party' });
    const { server: node, realm, rp } = stage;
    const from = node.log.length;
    const user = await node.user(realm);
    const { browser, tokens, totpSecret } = await signIn(node, rp, user);
    const wrong = await begin(stage);
    await wrong.browser.send(wrong.page, { username: user.username, password: `${user.password}-wrong` });
    const next = await afterPassword(stage, user);
    await next.browser.send(next.page, { code: codeAt(totpSecret ?? '') });
    const request = await authorizationRequest(rp);
    const again = await browser.visit(request.url);
    const code = codeFrom(again, rp) ?? '';
    t.truthy(code);
    await call(node, realm, 'token', codeExchange(rp, request, code), credentialsOf(rp));
    await call(node, realm, 'token', codeExchange(rp, request, code), credentialsOf(rp));
    await call(node, realm, 'token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }, credentialsOf(rp));
    await call(node, realm, 'token/introspect', { token: tokens.access_token }, credentialsOf(rp));
    await call(node, realm, 'revoke', { token: tokens.refresh_token ?? '' }, credentialsOf(rp));
    await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/userinfo?access_token=${tokens.access_token}`);
    await browser.visit(`${node.origin}/realms/${realm.name}/protocol/openid-connect/logout?id_token_hint=${tokens.id_token}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const lines = node.log.slice(from);
    t.true(lines.length > 20, 'there is a log');
    const secrets: Record<string, string> = {
      password: user.password,
      'TOTP key': totpSecret ?? '',
      'client secret': rp.client.secret ?? '',
      'access token': tokens.access_token.slice(-40),
      'ID token': (tokens.id_token ?? '').slice(-40),
      'refresh token': tokens.refresh_token ?? '',
      code,
      verifier: request.verifier,
    };
    for (const { name, value } of [...browser.jar, ...next.browser.jar, ...wrong.browser.jar])
      if (value.length > 15) secrets[`cookie ${name}`] = value;
    for (const [what, secret] of Object.entries(secrets)) {
      t.true(secret.length > 7, what);
      t.deepEqual(
        lines.filter((line) => line.includes(secret)),
        [],
        what,
      );
    }
    const codes = [-1, 0, 1].map((step) => codeAt(totpSecret ?? '', step));
    t.false(
      lines.some((line) => codes.some((one) => new RegExp(`\\b${one}\\b`).test(line))),
      'codes',
    );
    const rows = JSON.stringify(await node.db.knex('audit_events').where({ realm_id: realm.id }));
    for (const [what, secret] of Object.entries(secrets)) if (!what.startsWith('cookie')) t.false(rows.includes(secret), `audit: ${what}`);
  });
});

/** Every page that a payload is shown on, on the way in and out. */
async function pagesOfSignIn(stage: Scene, user: TestUser, payload: string): Promise<Page[]> {
  const { server: node, realm, rp } = stage;
  const pages: Page[] = [];
  const keep = (page: Page) => {
    pages.push(page);
    return page;
  };
  const { browser, page } = await begin(stage, { parameters: { login_hint: payload, state: payload, acr_values: 'aal2', ui_locales: payload } });
  keep(page);
  keep(await browser.send(page, { username: payload, password: 'wrong' }));
  const enrol = keep(await browser.send(page, { username: payload, password: user.password }));
  if (!enrol.html.includes('name="label"')) throw new Error(`No enrolment: ${text(enrol)}`);
  keep(await browser.send(enrol, { code: '000', label: payload }));
  keep(await browser.send(enrol, { code: 'x'.repeat(60), label: `${payload}${payload}`.slice(0, 60) }));
  const consent = keep(await browser.send(enrol, { code: codeAt(keyOf(enrol)), label: payload }));
  if (!consent.html.includes('value="allow"')) throw new Error(`No consent: ${text(consent)}`);
  await giveApp(node, user, { label: payload, factor: 'hotp' });
  const choose = keep((await afterPassword(stage, { ...user, username: payload })).page);
  if (!choose.html.includes('name="factor"')) throw new Error(`No choice: ${text(choose)}`);
  keep((await begin(stage, { browser, parameters: { prompt: 'login' } })).page);
  keep(
    await browser.visit(
      `${node.origin}/realms/${realm.name}/protocol/openid-connect/logout?client_id=${rp.client.clientId}&state=${encodeURIComponent(payload)}`,
    ),
  );
  keep(await browser.visit(`${node.origin}/realms/${realm.name}/protocol/openid-connect/logout/success?client_id=${rp.client.clientId}`));
  keep(await browser.visit(`${node.origin}/realms/${realm.name}/account`));
  return pages;
}

/** What is said of addresses and parameters that are none. */
async function pagesOfMistakes(stage: Scene, payload: string): Promise<Page[]> {
  const { server: node, realm } = stage;
  const browser = new Browser(node.origin);
  const pages: Page[] = [];
  const keep = (page: Page) => pages.push(page);
  const broken: Record<string, string>[] = [
    { client_id: payload },
    { redirect_uri: payload },
    { redirect_uri: `https://evil.example/${payload}` },
    { response_type: payload },
    { request_uri: payload },
    { request: payload },
    { claims: payload },
    { ui_locales: payload, client_id: 'nobody' },
  ];
  for (const parameters of broken) {
    const url = new URL((await authorizationRequest(stage.rp)).url);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    keep(await browser.request(url.href));
  }
  for (const path of [
    `/login/${encodeURIComponent(payload)}`,
    `/${encodeURIComponent(payload)}`,
    `/protocol/openid-connect/auth/${encodeURIComponent(payload)}`,
  ]) {
    keep(await browser.request(`${node.origin}/realms/${realm.name}${path}`));
  }
  keep(await browser.request(`${node.origin}/realms/${encodeURIComponent(payload)}`));
  return pages;
}
