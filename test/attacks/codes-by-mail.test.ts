/** A14 and what else is tried with codes that are sent: in another sign-in, after a resend, by guessing, twice, by another user. */
import { decodeJwt } from 'jose';
import type { Page } from '../support/agent.ts';
import { formsOf } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  audited,
  backAtApplication,
  codeFrom,
  copyOf,
  parallel,
  postTo,
  type Scene,
  type TestUser,
  tally,
  type Underway,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { codesTo, giveMailbox, giveNumber, newestCode, newNumber, otherThan, sending } from '../support/sent-codes.ts';
import { exchange, text } from '../support/sign-in.ts';

interface Asked extends Underway {
  user: TestUser;
  to: string;
}

/** A user at the page that asks for the code that was sent. */
async function askedForCode(stage: Scene, by: 'mail' | 'sms', given?: { user: TestUser; to: string }): Promise<Asked> {
  const { server } = stage;
  const user = given?.user ?? (await server.user(stage.realm));
  const to = given?.to ?? (by === 'mail' ? (user.email ?? '') : newNumber());
  if (!given) await (by === 'mail' ? giveMailbox(server, user) : giveNumber(server, user, to));
  const underway = await afterPassword(stage, user);
  if (!underway.page.html.includes('name="code"')) throw new Error(`No code is asked: ${text(underway.page)}`);
  return { ...underway, user, to };
}

const versionOf = (page: Page): string => formsOf(page)[0]?.fields.version ?? '';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('a code that was sent signs in, once, and tokens say how', async (t) => {
    const stage = await scene(sending());
    for (const [by, amr, acr] of [
      ['mail', ['pwd', 'email', 'mfa'], 'aal1'],
      ['sms', ['pwd', 'sms', 'mca', 'mfa'], 'aal2'],
    ] as const) {
      const { browser, page, request, to, user } = await askedForCode(stage, by);
      t.false(page.html.includes(to), 'the page does not show the whole address');
      const code = await newestCode(stage.server, to);
      t.is(code.length, by === 'mail' ? 8 : 6);
      const done = await browser.send(page, { code });
      const tokens = await exchange(stage.rp, request, done);
      const claims = decodeJwt(tokens.id_token ?? '');
      t.deepEqual([...((claims.amr as string[]) ?? [])].sort(), [...amr].sort());
      t.is(claims.acr, acr);
      const again = await askedForCode(stage, by, { user, to });
      const refused = await again.browser.send(again.page, { code });
      t.is(refused.status, 400);
    }
  });

  engine.test('A14 the code of one sign-in in another of the same user: refused, and the right one is still good', async (t) => {
    const stage = await scene(sending());
    for (const by of ['mail', 'sms'] as const) {
      const first = await askedForCode(stage, by);
      const stolen = await newestCode(stage.server, first.to);
      // The second sign-in of the same user: a code was sent a moment ago, so that there is none for it.
      const second = await afterPassword(stage, first.user);
      t.false(second.page.html.includes('name="code"'), 'nobody is sent two codes in a moment');
      const posted = await postTo(stage.server, second.browser, second.page.url, { code: stolen, version: versionOf(second.page) });
      t.not(posted.status, 200);
      t.is(backAtApplication(posted, stage.rp.client.redirectUri), undefined);
      t.deepEqual(await audited(stage, 'mfa.challenge.ok', { user: first.user.id }), []);
      t.truthy(codeFrom(await first.browser.send(first.page, { code: stolen }), stage.rp), 'in its own sign-in it is right');
    }
  });

  engine.test('A14 the code from before a resend: refused; the newest is good', async (t) => {
    const stage = await scene(sending({ emailOtp: { resendAfter: [15] }, smsOtp: { resendAfter: [15] } }));
    for (const by of ['mail', 'sms'] as const) {
      const { browser, page, to, user } = await askedForCode(stage, by);
      const early = await browser.send(page, { do: 'resend' });
      t.is(early.status, 429, 'too soon');
      t.truthy(early.headers.get('retry-after'));
      t.is((await codesTo(stage.server, to)).length, 1);
      await stage.server.db.knex('delivery_counts').where({ realm_id: stage.realm.id, user_id: user.id }).update({ next_at: 0 });
      const resent = await browser.send(early, { do: 'resend' });
      const [newest = '', before = ''] = await codesTo(stage.server, to);
      t.not(newest, before);
      const refused = await browser.send(resent, { code: before });
      t.is(refused.status, 400);
      t.truthy(codeFrom(await browser.send(refused, { code: newest }), stage.rp));
    }
  });

  engine.test('A07 five wrong codes end the sign-in, and the code is worth nothing afterwards', async (t) => {
    const stage = await scene(sending());
    const { browser, page, to, user } = await askedForCode(stage, 'mail');
    const code = await newestCode(stage.server, to);
    let now = page;
    for (let tries = 0; tries < 5; tries += 1) now = await browser.send(now, { code: otherThan(code) });
    t.is(now.status, 403);
    const late = await postTo(stage.server, browser, page.url, { code, version: versionOf(page) });
    t.is(backAtApplication(late, stage.rp.client.redirectUri), undefined);
    t.is((await audited(stage, 'mfa.challenge.failed', { user: user.id })).length, 5);
  });

  engine.test('A05 the right code fifty times at once, to every process: one success', async (t) => {
    const stage = await scene(sending());
    const servers = await nodes();
    const { browser, page, to, user } = await askedForCode(stage, 'sms');
    const code = await newestCode(stage.server, to);
    const version = versionOf(page);
    const answers = await parallel(50, (index) =>
      postTo(servers[index % servers.length] ?? stage.server, copyOf(browser), page.url, { code, version }),
    );
    t.is((await audited(stage, 'mfa.challenge.ok', { user: user.id })).length, 1, JSON.stringify(tally(answers)));
  });

  engine.test('B04 one user’s code in another user’s sign-in; A13 what is no code', async (t) => {
    const stage = await scene(sending());
    const [mine, theirs] = [await askedForCode(stage, 'mail'), await askedForCode(stage, 'mail')];
    const code = await newestCode(stage.server, theirs.to);
    let page = await mine.browser.send(mine.page, { code });
    t.is(page.status, 400);
    for (const typed of ['１２３４５６７８', '1e7', '-1', `${code}0`, code.slice(1), '٠١٢٣٤٥٦٧']) {
      page = await mine.browser.send(page, { code: typed });
      t.true([400, 403].includes(page.status), typed);
      if (page.status === 403) break;
    }
    t.truthy(codeFrom(await theirs.browser.send(theirs.page, { code }), stage.rp));
  });
});
