/** D02, D04 and the fallback: limits of what is sent, over HTTP and across processes, and what names do to mails, pages and logs. */
import { actionToEnrol } from '../../src/policy/request.ts';
import { formsOf, type Page } from '../support/agent.ts';
import type { Scene } from '../support/attack.ts';
import {
  afterPassword,
  arena,
  at,
  audited,
  backAtApplication,
  begin,
  codeFrom,
  copyOf,
  parallel,
  postTo,
  type TestUser,
  tally,
  type Underway,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { startMailServer, unencoded } from '../support/mail-server.ts';
import { codesTo, giveMailbox, giveNumber, messagesTo, newestCode, newNumber, sending } from '../support/sent-codes.ts';
import { text } from '../support/sign-in.ts';

const HOUR = 3_600_000;

/** What a terminal or a line acts on, and what a page would run. */
const ESCAPES = ['\u001b', '\u202e'];
const evilIn = (shown: string, evil = [...ESCAPES, '<script>alert', '<script> ']): string[] => evil.filter((part) => shown.includes(part));

async function rename({ server: { db }, realm }: Scene, displayName: string): Promise<void> {
  await db
    .knex('realms')
    .where({ id: realm.id })
    .update({ display_name: displayName, version: realm.version + 1 });
  await db.changes.announce(`realm:${realm.id}`);
}

/** Past what is offered once a sign-in is complete. */
const pastOffers = async ({ browser }: Underway, page: Page): Promise<Page> =>
  page.html.includes('value="skip"') ? browser.send(page, { do: 'skip' }) : page;

/** Past the password, to the page where a second factor is enrolled, and on to the one that is wanted. */
async function enrolling(stage: Scene, factor: string): Promise<Underway & { user: TestUser }> {
  const user = await stage.server.user(stage.realm);
  const underway = await afterPassword(stage, user);
  const chosen = formsOf(underway.page).find(({ fields }) => fields.factor === factor);
  if (!chosen) return { ...underway, user };
  return { ...underway, user, page: await underway.browser.send(underway.page, {}, chosen) };
}

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('D02 a hundred resends at once, to every process: the limits hold', async (t) => {
    const stage = await scene(sending());
    const servers = await nodes();
    const user = await stage.server.user(stage.realm);
    const number = newNumber();
    await giveNumber(stage.server, user, number);
    const { browser, page } = await afterPassword(stage, user);
    t.is((await codesTo(stage.server, number)).length, 1);
    const version = formsOf(page)[0]?.fields.version ?? '';
    const resend = () =>
      parallel(50, (index) => postTo(servers[index % servers.length] ?? stage.server, copyOf(browser), page.url, { do: 'resend', version }));
    const early = await resend();
    t.deepEqual(Object.keys(tally(early)), ['429']);
    t.is((await codesTo(stage.server, number)).length, 1);
    await stage.server.db.knex('delivery_counts').where({ realm_id: stage.realm.id, user_id: user.id }).update({ next_at: 0 });
    await resend();
    t.is((await codesTo(stage.server, number)).length, 2, 'of fifty at once one is sent');
  });

  engine.serial('D02 new sign-ins do not get around the limits: five an hour, and then another day', async (t) => {
    const stage = await scene(sending({ emailOtp: { resendAfter: [15] } }));
    const user = await stage.server.user(stage.realm);
    await giveMailbox(stage.server, user);
    const to = user.email ?? '';
    for (let tries = 0; tries < 20; tries += 1) await at(tries * 20_000, () => afterPassword(stage, user));
    t.is((await codesTo(stage.server, to)).length, 5);
    for (let tries = 0; tries < 20; tries += 1) await at(2 * HOUR + tries * 20_000, () => afterPassword(stage, user));
    t.is((await codesTo(stage.server, to)).length, 10);
    await at(4 * HOUR, async () => {
      const { page } = await afterPassword(stage, user);
      t.false(page.html.includes('name="code"'));
      t.regex(text(page), /in \d+ hours/);
    });
    t.is((await codesTo(stage.server, to)).length, 10);
    t.true((await audited(stage, 'delivery.budget', { user: user.id })).length > 0);
  });

  engine.test('D02 premium, unlisted and satellite numbers are refused before anything is sent', async (t) => {
    const stage = await scene({ mfa: 'required', ...sending({ smsOtp: { countries: ['DE', 'US'] } }) });
    const underway = await enrolling(stage, 'sms-otp');
    const { browser, page, user } = underway;
    t.true(page.html.includes('name="number"'), text(page));
    let now = page;
    for (const number of [
      '+49 180 5 123456',
      '+49 900 1234567',
      '+1 900 555 0123',
      '+1 876 555 0123',
      '+8816 2345 6789',
      '+44 7400 123456',
      '911',
      'x',
    ]) {
      now = await browser.send(now, { number });
      t.is(now.status, 400, number);
      t.true(now.html.includes('name="number"'), number);
    }
    t.is((await stage.server.db.knex('outbox').where({ realm_id: stage.realm.id, user_id: user.id })).length, 0);
    const number = newNumber();
    const sent = await browser.send(now, { number });
    t.true(sent.html.includes('name="code"'), 'they were no failed attempts');
    const done = await pastOffers(underway, await browser.send(sent, { code: await newestCode(stage.server, number) }));
    t.truthy(codeFrom(done, stage.rp), text(done));
    const messages = await codesTo(stage.server, number);
    t.is(messages.length, 1);
  });

  engine.test('an address on file is proved by the code that was sent there, and by nothing else', async (t) => {
    const stage = await scene({ mfa: 'required', ...sending({ emailOtp: { level: 'aal2' } }) });
    const underway = await enrolling(stage, 'email-otp');
    const { browser, page, user } = underway;
    const verified = async (): Promise<boolean> =>
      Boolean((await stage.server.db.knex('users').where({ realm_id: stage.realm.id, id: user.id }).first('email_verified')).email_verified);
    t.false(await verified());
    const code = await newestCode(stage.server, user.email ?? '');
    const wrong = await browser.send(page, { code: '00000000' === code ? '00000001' : '00000000' });
    t.is(wrong.status, 400);
    t.false(await verified());
    t.truthy(codeFrom(await pastOffers(underway, await browser.send(wrong, { code })), stage.rp));
    t.true(await verified());
  });

  engine.test('where no text message can be sent, the mail is asked for; never where that is too weak', async (t) => {
    const stage = await scene(sending({ smsOtp: { countries: ['US'] } }));
    const give = async () => {
      const user = await stage.server.user(stage.realm);
      const [sms] = [await giveNumber(stage.server, user), await giveMailbox(stage.server, user)];
      await stage.server.db.knex('credentials').where({ id: sms }).update({ last_used_at: Date.now() });
      return user;
    };
    const user = await give();
    const { browser, page } = await afterPassword(stage, user);
    const chosen = formsOf(page).find(({ fields }) => fields.factor === 'sms-otp');
    const asked = chosen ? await browser.send(page, {}, chosen) : page;
    t.regex(text(asked), /code from your email/);
    t.deepEqual(
      (await audited(stage, 'mfa.fallback', { user: user.id })).map(({ details }) => JSON.parse(details)),
      [{ factor: 'email-otp', from: 'sms-otp', reason: 'provider' }],
    );
    t.truthy(codeFrom(await browser.send(asked, { code: await newestCode(stage.server, user.email ?? '') }), stage.rp));

    const other = await give();
    const strict = await begin(stage, { parameters: { acr_values: 'aal2' } });
    const stopped = await strict.browser.send(strict.page, { username: other.username, password: other.password });
    t.false(stopped.html.includes('name="code"'), text(stopped));
    t.is(backAtApplication(stopped, stage.rp.client.redirectUri), undefined);
    t.deepEqual(await codesTo(stage.server, other.email ?? ''), []);
  });

  engine.serial('a changed number waits three days, and the one from before is told of it', async (t) => {
    const stage = await scene({ mfa: 'required', ...sending() });
    const first = await enrolling(stage, 'sms-otp');
    const { user } = first;
    const [before, after] = [newNumber(), newNumber()];
    const sent = await first.browser.send(first.page, { number: before });
    t.truthy(codeFrom(await pastOffers(first, await first.browser.send(sent, { code: await newestCode(stage.server, before) })), stage.rp));

    // The application has the user set up another number; the one from before is asked first.
    const second = await afterPassword(stage, user, { parameters: { kc_action: actionToEnrol('sms-otp') } });
    const asked = await second.browser.send(second.page, { code: await newestCode(stage.server, before) });
    t.true(asked.html.includes('name="number"'), text(asked));
    const confirm = await second.browser.send(asked, { number: after });
    const done = await pastOffers(second, await second.browser.send(confirm, { code: await newestCode(stage.server, after) }));
    t.truthy(codeFrom(done, stage.rp), text(done));
    const told = [...(await messagesTo(stage.server, before)), ...(await messagesTo(stage.server, user.email ?? ''))];
    t.true(
      told.some(({ kind, text: said }) => kind === 'sms' && /telephone number of your account was changed/.test(said)),
      'by text message, to the number from before',
    );
    t.true(told.some(({ kind, text: said }) => kind === 'mail' && /can be used in 3 days/.test(said)));

    const stopped = await afterPassword(stage, user);
    t.regex(text(stopped.page), /changed not long ago/);
    t.is((await codesTo(stage.server, after)).length, 1, 'the code that confirmed it');
    await at(73 * HOUR, async () => {
      const later = await afterPassword(stage, user);
      t.true(later.page.html.includes('name="code"'), text(later.page));
      t.truthy(codeFrom(await later.browser.send(later.page, { code: await newestCode(stage.server, after) }), stage.rp));
    });
  });

  engine.test('a number that was changed a moment ago opens nothing yet', async (t) => {
    const stage = await scene(sending());
    const user = await stage.server.user(stage.realm);
    const number = newNumber();
    await giveNumber(stage.server, user, number, Date.now() + HOUR);
    const { page } = await afterPassword(stage, user);
    t.regex(text(page), /changed not long ago/);
    t.deepEqual(await codesTo(stage.server, number), []);
  });
});

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('D04 line breaks, escapes and direction marks in names: one header, one line, no markup', async (t) => {
    const stage = await scene(sending({ channels: { mail: 'installation' } }));
    const evil = 'Eve\r\nBcc: eve@example.com\u001b[31m\u202e<script>alert(1)</script>';
    await rename(stage, evil);
    const user = await stage.server.user(stage.realm);
    await stage.server.db.knex('users').where({ realm_id: stage.realm.id, id: user.id }).update({ first_name: evil });
    await giveMailbox(stage.server, user);
    const { page } = await afterPassword(stage, user);
    t.true(page.html.includes('name="code"'));
    t.false(/<script>alert/.test(page.html));
    const inbox = await fetch(`${stage.server.url}/inbox`, { headers: { host: new URL(stage.server.origin).host } });
    const shown = await inbox.text();
    t.deepEqual(evilIn(shown), []);
    for (const line of stage.server.log.flatMap((entry) => entry.split('\n').filter((one) => one !== ''))) t.notThrows(() => JSON.parse(line));
    t.deepEqual(
      stage.server.log.flatMap((line) => evilIn(line)),
      [],
    );
  });
});

forEachEngine((engine) => {
  engine.test('D04 what arrives at a mail server holds the headers that we wrote, whatever the realm is called', async (t) => {
    const server = await startMailServer();
    const { scene } = arena(engine, { SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=off`, MAIL_FROM: 'no-reply@id.example' });
    const stage = await scene(sending());
    const evil = 'Eve\r\nBcc: eve@example.com\r\n\r\n<script>\u001b[31m\u202e';
    await rename(stage, evil);
    const user = await stage.server.user(stage.realm);
    await giveMailbox(stage.server, user);
    const { browser, page } = await afterPassword(stage, user);
    const [mail] = server.mails;
    t.deepEqual(mail?.to, [user.email]);
    t.is(mail?.headers.get('bcc'), undefined);
    t.is(unencoded(mail?.headers.get('from')?.[0]).replace(/^"(.*)" </, '$1 <'), 'Eve Bcc: eve@example.com <script> [31m <no-reply@id.example>');
    const parts = mail?.parts.map((part) => part.text).join('\n') ?? '';
    t.deepEqual(evilIn(mail?.parts.find(({ type }) => type === 'text/html')?.text ?? '<script>'), []);
    t.deepEqual(evilIn(mail?.parts[0]?.text ?? '', ESCAPES), []);
    const code = /^ {4}(\d{8})\r?$/m.exec(mail?.parts[0]?.text ?? '')?.[1] ?? '';
    t.truthy(codeFrom(await browser.send(page, { code }), stage.rp));
    t.deepEqual(await codesTo(stage.server, user.email ?? ''), [], 'what was sent is not kept');
    for (const [, href = ''] of parts.matchAll(/(?:href|src)="([^"]*)"/g)) t.fail(`a code mail has a link: ${href}`);
  });

  engine.test('a mail server that is down is said so, and the sign-in goes on by another way', async (t) => {
    const { scene } = arena(engine, { SMTP_URL: 'smtp://127.0.0.1:1?tls=off', MAIL_FROM: 'no-reply@id.example' });
    const stage = await scene(sending());
    const user = await stage.server.user(stage.realm);
    await giveMailbox(stage.server, user);
    const { page } = await afterPassword(stage, user);
    t.regex(text(page), /could not be sent/);
    t.deepEqual(
      (await audited(stage, 'delivery.failed', { user: user.id })).map(({ details }) => JSON.parse(details).channel),
      ['mail'],
    );
    t.false(
      stage.server.log.some((line) => line.includes(user.email ?? '')),
      'no address is logged',
    );
  });
});
