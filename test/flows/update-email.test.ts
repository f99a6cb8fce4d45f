/** Another email address: the account has it once a code that was mailed there was typed, and not before (`UPDATE_EMAIL`). */
import { randomUUID } from 'node:crypto';
import { readInbox } from '../../src/delivery/inbox.ts';
import { addRequiredActions } from '../../src/store/user-changes.ts';
import type { Page } from '../support/agent.ts';
import { afterPassword, arena, audited, giveApp, type Scene, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { codesTo, giveMailbox, newestCode, otherThan, sending } from '../support/sent-codes.ts';
import { authorizationRequest, type Browser, codeOf, exchange, text } from '../support/sign-in.ts';

const newAddress = () => `${randomUUID()}@example.com`;

forEachEngine((engine) => {
  const { scene } = arena(engine);
  const stage = (settings: Parameters<typeof scene>[0] = {}) => scene({ mfa: 'off', ...sending(), ...settings });
  const wishing = async (on: Scene, user: TestUser) => {
    const { browser } = await afterPassword(on, user);
    return { browser, ...(await ask(on, browser)) };
  };
  const ask = async ({ rp }: Scene, browser: Browser, kc_action = 'UPDATE_EMAIL') => {
    const request = await authorizationRequest(rp, { kc_action });
    return { request, page: await browser.visit(request.url) };
  };
  const statusOf = (page: Page) => new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('kc_action_status');
  const stored = ({ server, realm }: Scene, user: TestUser) => server.db.knex('users').where({ realm_id: realm.id, id: user.id }).first();
  /** Time goes by: another code may be asked for. */
  const later = ({ server, realm }: Scene) => server.db.knex('delivery_counts').where({ realm_id: realm.id }).delete();
  const toldOf = async ({ server }: Scene, address: string) =>
    (await readInbox(server)).filter(({ to, subject }) => to === address && /address/i.test(subject ?? ''));

  engine.test('the new address is the account’s once its code is typed; the one of before is told', async (t) => {
    const on = await stage();
    const [old, next] = [newAddress(), newAddress()];
    const user = await on.server.user(on.realm, { email: old, emailVerified: true });
    const { browser, request, page } = await wishing(on, user);
    t.regex(text(page), /Change your email address/);
    t.regex(page.html, /asks for this/);
    t.true(page.html.includes(on.rp.client.clientId));
    t.true(text(page).includes(old));
    for (const [email, said] of [
      ['', /Type your email address/],
      ['no address', /not an email address/],
      ['a\u202eb@example.com', /not an email address/],
    ] as const) {
      const wrong = await browser.send(page, { email });
      t.is(wrong.status, 400, email);
      t.regex(text(wrong), said);
    }
    const sent = await browser.send(page, { email: next });
    t.regex(text(sent), /Verify your email address/);
    t.true(text(sent).includes(next));
    t.like(await stored(on, user), { email: old }, 'nothing changes before the code');
    const code = await newestCode(on.server, next);
    t.deepEqual(await codesTo(on.server, old), []);
    const wrong = await browser.send(sent, { code: otherThan(code) });
    t.is(wrong.status, 400);
    const done = await browser.send(wrong, { code });
    t.is(statusOf(done), 'success');
    t.is((await exchange(on.rp, request, done)).claims()?.email, next);
    const row = await stored(on, user);
    t.is(row.email, next);
    t.truthy(row.email_verified);
    t.is((await toldOf(on, old)).length, 1);
    t.is((await toldOf(on, next)).length, 0);
    const changes = await audited(on, 'user.updated', { user: user.id });
    t.deepEqual(
      changes.map(({ details }) => JSON.parse(details)),
      [{ fields: ['email', 'emailVerified'] }],
    );
    t.truthy((await afterPassword(on, { ...user, username: next })).page.headers.get('location'), 'and signs in with it');
  });

  engine.test('cancelled: at the form and at the code, nothing changes', async (t) => {
    const on = await stage();
    const [old, next] = [newAddress(), newAddress()];
    const user = await on.server.user(on.realm, { email: old });
    const { browser, page } = await wishing(on, user);
    t.is(statusOf(await browser.send(page, { do: 'cancel' })), 'cancelled');
    const again = await ask(on, browser);
    const sent = await browser.send(again.page, { email: next });
    t.is(statusOf(await browser.send(sent, { do: 'cancel' })), 'cancelled');
    t.like(await stored(on, user), { email: old });
    t.deepEqual(await toldOf(on, old), []);
  });

  engine.test('another address instead, and another code; only what was sent to that address proves it', async (t) => {
    const on = await stage();
    const [first, second] = [newAddress(), newAddress()];
    const user = await on.server.user(on.realm, { email: newAddress() });
    const { browser, page } = await wishing(on, user);
    const mistyped = await browser.send(page, { email: first });
    const form = await browser.send(mistyped, { do: 'change' });
    t.regex(text(form), /Change your email address/);
    t.is((await browser.send(form, { email: second })).status, 429, 'no two mails in one moment');
    await later(on);
    const sent = await browser.send(await browser.visit(page.url), { email: second });
    t.is((await browser.send(sent, { code: await newestCode(on.server, first) })).status, 400);
    await later(on);
    const resent = await browser.send(await browser.visit(page.url), { do: 'resend' });
    t.regex(text(resent), /new code|sent again|on its way/i);
    t.is((await codesTo(on.server, second)).length, 2);
    t.is(statusOf(await browser.send(resent, { code: await newestCode(on.server, second) })), 'success');
    t.like(await stored(on, user), { email: second });
  });

  engine.test('somebody else’s address: nothing tells before the code is right, and nothing changes after', async (t) => {
    const on = await stage();
    const taken = newAddress();
    await on.server.user(on.realm, { email: taken });
    const old = newAddress();
    const user = await on.server.user(on.realm, { email: old });
    const { browser, page } = await wishing(on, user);
    const sent = await browser.send(page, { email: taken.toUpperCase() });
    t.is(sent.status, 200);
    t.notRegex(text(sent), /Another account/);
    const refused = await browser.send(sent, { code: await newestCode(on.server, taken.toUpperCase()) });
    t.is(refused.status, 409);
    t.regex(text(refused), /Another account has this address/);
    t.regex(text(refused), /Change your email address/);
    t.like(await stored(on, user), { email: old });
    const free = newAddress();
    const next = await browser.send(refused, { email: free });
    t.is(statusOf(await browser.send(next, { code: await newestCode(on.server, free) })), 'success');
  });

  engine.test('one’s own address once more verifies it, and nobody is told', async (t) => {
    const on = await stage();
    const own = newAddress();
    const user = await on.server.user(on.realm, { email: own });
    const { browser, page } = await wishing(on, user);
    const sent = await browser.send(page, { email: own });
    t.is(statusOf(await browser.send(sent, { code: await newestCode(on.server, own) })), 'success');
    t.truthy((await stored(on, user)).email_verified);
    t.deepEqual(await toldOf(on, own), []);
  });

  engine.test('an administrator requires it: no way around, and a verified address is not asked for besides', async (t) => {
    const on = await stage();
    const user = await on.server.user(on.realm, { email: newAddress() });
    await addRequiredActions(on.server.db.knex, user, ['VERIFY_EMAIL', 'UPDATE_EMAIL'], Date.now());
    const { browser, request, page } = await afterPassword(on, user);
    t.regex(text(page), /Change your email address/);
    t.notRegex(page.html, /asks for this/);
    for (const fields of [{ do: 'skip' }, { do: 'change' }, { do: 'resend' }, { code: '12345678' }] as Record<string, string>[])
      t.regex(text(await browser.send(await browser.visit(page.url), fields)), /Change your email address|done already/);
    const next = newAddress();
    const sent = await browser.send(await browser.visit(page.url), { email: next });
    const done = await browser.send(sent, { code: await newestCode(on.server, next) });
    t.truthy((await exchange(on.rp, request, done)).id_token);
    t.deepEqual(await on.server.db.knex('required_actions').where({ user_id: user.id }).pluck('action'), []);
    const refused = await afterPassword(on, user);
    t.truthy(refused.page.headers.get('location'), 'once');
  });

  engine.test('codes by mail follow the address, and the next sign-in has them', async (t) => {
    const on = await stage({ ...sending({ emailOtp: { level: 'aal2' } }), mfa: 'required' });
    const [old, next] = [newAddress(), newAddress()];
    const user = await on.server.user(on.realm, { email: old, emailVerified: true });
    const credential = await giveMailbox(on.server, user);
    const { browser, page } = await afterPassword(on, user, { parameters: { kc_action: 'UPDATE_EMAIL' } });
    const proved = await browser.send(page, { code: await newestCode(on.server, old) });
    const sent = await browser.send(proved, { email: next });
    t.is(statusOf(await browser.send(sent, { code: await newestCode(on.server, next) })), 'success');
    await later(on);
    const signIn = await afterPassword(on, user);
    t.truthy((await signIn.browser.send(signIn.page, { code: await newestCode(on.server, next) })).headers.get('location'));
    t.is((await codesTo(on.server, next)).length, 2);
    const enrolled = await audited(on, 'mfa.factor.enrolled', { user: user.id });
    t.deepEqual(
      enrolled.map(({ details }) => JSON.parse(details)),
      [{ factor: 'email-otp', credential }],
    );
  });

  engine.test('a realm that has switched it off answers with error', async (t) => {
    const off = await stage({ requiredActions: { UPDATE_EMAIL: { registered: true, enabled: false } } });
    const user = await off.server.user(off.realm, { email: newAddress() });
    t.is(statusOf((await wishing(off, user)).page), 'error');
  });

  engine.test('whoever owns an app shows it first', async (t) => {
    const on = await stage();
    const user = await on.server.user(on.realm, { email: newAddress() });
    const { secret } = await giveApp(on.server, user);
    const { browser, page } = await wishing(on, user);
    t.notRegex(text(page), /Change your email address/);
    t.regex(text(await browser.send(page, { code: codeOf(secret) })), /Change your email address/);
  });
});
