/**
 * Every factor that a user can set up, at the sign-in and at the account console, over HTTP: added, used, shown first, and
 * removed, each change by somebody who has just shown the strongest of what they own.
 */
import type { RealmSettings } from '../../src/realms/settings.ts';
import { realmSettings } from '../../src/realms/settings.ts';
import { credentialsOf } from '../../src/store/credentials.ts';
import { patient } from '../support/account.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { afterPassword, arena, audited, codeFrom, type Scene, sessionsOf, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { formFor, HOLDERS, type Holder, Keeper } from '../support/holders.ts';
import { mailsTo, passFor } from '../support/recovery.ts';
import { Browser, exchange, text } from '../support/sign-in.ts';

const FACTORS = Object.keys(HOLDERS);
const SECOND = FACTORS.filter((factor) => factor !== 'recovery-codes');

const names = (page: Page): string[] =>
  [...page.html.matchAll(/<h2>([\s\S]*?)<\/h2>/g)].map(([, inner = '']) => unescapeHtml(inner.replaceAll(/<[^>]+>/g, '')).trim());
const notice = (page: Page): string | undefined => /role="status">([^<]+)</.exec(page.html)?.[1];

/** A realm that uses everything, with codes that need not be waited for. */
const everything = (some: Partial<RealmSettings> = {}): Partial<RealmSettings> => {
  const all = realmSettings.parse({});
  const soon = { resendAfter: [15], perHour: 20, perDay: 50 };
  return patient({
    disabledFactors: [],
    hotp: { claim: true },
    emailOtp: { ...all.emailOtp, ...soon, level: 'aal2' },
    smsOtp: { ...all.smsOtp, ...soon },
    ...some,
  });
};

forEachEngine((engine) => {
  const { scene } = arena(engine);
  const baseOf = ({ server, realm }: Scene): string => `${server.origin}/realms/${realm.name}/account`;

  async function join(stage: Scene): Promise<{ user: TestUser; keeper: Keeper; make: (factor: string) => Promise<Holder> }> {
    const user = await stage.server.user(stage.realm);
    const keeper = new Keeper(new Browser(stage.server.origin), user);
    const make = async (factor: string): Promise<Holder> => {
      const maker = HOLDERS[factor];
      if (!maker) throw new Error(`No holder of ${factor}`);
      return maker({ server: stage.server, realm: stage.realm, user });
    };
    return { user, keeper, make };
  }
  const seconds = async ({ server, realm }: Scene, user: TestUser) =>
    (await credentialsOf(server.db.knex, realm.id, user.id)).filter((row) => row.factor !== 'password');
  /** So much time went by since everything that was proved in these sessions. */
  const age = async (stage: Scene, user: TestUser, minutes: number) => {
    for (const { id, proofs } of await sessionsOf(stage, user)) {
      const older = JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - minutes * 60_000 }));
      await stage.server.db
        .knex('sessions')
        .where({ realm_id: stage.realm.id, id })
        .update({ proofs: JSON.stringify(older) });
    }
    // Codes that were sent do not stand in the way of others; apps and tokens count on.
    await stage.server.db.knex('delivery_counts').where({ realm_id: stage.realm.id }).delete();
  };

  for (const factor of SECOND) {
    engine.test(`${factor}: set up and used during a sign-in`, async (t) => {
      const stage = await scene({ ...everything(), mfa: 'required' });
      const { user, keeper, make } = await join(stage);
      const holder = await make(factor);
      const underway = await afterPassword(stage, user, { browser: keeper.browser });
      t.true(formFor(underway.page, factor) !== undefined, 'it is among what can be set up');
      const done = await keeper.through(underway.page, holder);
      const tokens = await exchange(stage.rp, underway.request, done);
      t.deepEqual(keeper.asked, [`enrol:${factor}`]);
      t.not(tokens.claims()?.acr, 'aal1');
      t.deepEqual(
        (await seconds(stage, user)).map((row) => row.factor),
        [factor],
      );

      const elsewhere = new Keeper(new Browser(stage.server.origin), user, [holder]);
      await stage.server.db.knex('delivery_counts').where({ realm_id: stage.realm.id }).delete();
      const again = await afterPassword(stage, user, { browser: elsewhere.browser });
      const after = await elsewhere.through(again.page);
      t.deepEqual(elsewhere.asked, [factor]);
      t.truthy(codeFrom(after, stage.rp), text(after));
    });
  }

  for (const factor of FACTORS) {
    engine.test(`${factor}: added, shown, and removed in the account console, by whoever has just signed in`, async (t) => {
      const stage = await scene({ ...everything(), mfa: 'optional' });
      const base = baseOf(stage);
      const { user, keeper, make } = await join(stage);
      let page = await keeper.open(base);
      // Recovery codes stand in for something.
      const first = await make('totp');
      if (factor !== 'totp') page = await keeper.press(page, '/methods/add', { factor: 'totp' }, first);
      await age(stage, user, 6);

      // C01, C02: what was shown six minutes ago is shown again before anything is bound.
      keeper.asked = [];
      page = await keeper.press(page, '/methods/add', { factor }, await make(factor));
      t.is(page.url, base, text(page));
      t.is(notice(page), 'The sign-in method was added.');
      t.deepEqual(keeper.asked, [...(factor === 'totp' ? ['password'] : ['password', 'totp']), `enrol:${factor}`]);
      const [row] = (await seconds(stage, user)).filter((one) => one.factor === factor);
      t.true(page.html.includes(`/methods/${row?.id}/remove"`));
      t.is((await audited(stage, 'mfa.factor.enrolled', { user: user.id })).length, factor === 'totp' ? 1 : 2);

      // Whoever uses a recovery code is asked for something new.
      keeper.holders.sort((a, b) => Number(a.factor === 'recovery-codes') - Number(b.factor === 'recovery-codes'));
      await age(stage, user, 6);
      keeper.asked = [];
      page = await keeper.open(`${base}/methods/${row?.id}/remove`);
      t.is(keeper.asked[0], 'password');
      t.true(keeper.asked.length > 1 && !keeper.asked.some((asked) => asked.startsWith('enrol')), 'the strongest is asked for');
      t.regex(page.html, /class="danger"/);
      page = await keeper.press(page, '/remove');
      t.regex(notice(page) ?? '', /was removed/);
      t.false((await seconds(stage, user)).some((one) => one.factor === factor));
      t.is((await audited(stage, 'mfa.factor.removed', { user: user.id })).length, 1);
      const subjects = (await mailsTo(stage.server, stage.realm, user.email ?? '')).map(({ subject }) => subject);
      t.true(subjects.includes('A sign-in method was removed from your account'));
    });
  }

  for (const factor of SECOND) {
    engine.test(`C01 ${factor}: a session that showed only the password neither adds, removes, renames nor prefers for its owner`, async (t) => {
      const stage = await scene({ ...everything(), mfa: 'off' });
      const base = baseOf(stage);
      const { user, keeper, make } = await join(stage);
      await keeper.press(await keeper.open(base), '/methods/add', { factor }, await make(factor));
      const [held] = await seconds(stage, user);
      const thief = new Keeper(new Browser(stage.server.origin), user, []);
      const page = await thief.open(base);
      t.is(page.url, base, 'the password is all that is asked here');
      t.true(names(page).length > 1);
      for (const path of [`/methods/${held?.id}/remove`, `/methods/${held?.id}/rename`, `/methods/${held?.id}/prefer`, '/password']) {
        const refused = await thief.browser.post(`${base}${path}`, {
          label: 'mine now',
          'password-new': 'a password of mine',
          'password-confirm': 'a password of mine',
        });
        t.true(refused.url.includes('/login/'), `${path}: ${refused.url}`);
      }
      for (const wanted of FACTORS) {
        const asked = await thief.browser.post(`${base}/methods/add`, { factor: wanted });
        if (asked.status === 400) continue;
        t.true(asked.url.includes('/login/'), wanted);
        t.false(/Set up|Keep your recovery codes|Get codes/.test(/<h1>([\s\S]*?)<\/h1>/.exec(asked.html)?.[1] ?? ''), `${wanted}: ${text(asked)}`);
      }
      const [after, ...more] = await seconds(stage, user);
      t.deepEqual([after?.id, after?.label, more.length], [held?.id, held?.label, 0]);
    });
  }

  engine.test('C04 the last method that the policy asks for stays, whatever else is there', async (t) => {
    const stage = await scene({ ...everything(), mfa: 'required' });
    const base = baseOf(stage);
    const { user, keeper, make } = await join(stage);
    const app = await make('totp');
    let page = await keeper.through(await keeper.browser.visit(base), app);
    page = await keeper.press(page, '/methods/add', { factor: 'recovery-codes' }, await make('recovery-codes'));
    const [only] = (await seconds(stage, user)).filter((row) => row.factor === 'totp');
    t.is((await keeper.browser.post(`${base}/methods/${only?.id}/remove`, {})).status, 409, 'codes for a lost phone are no second step');
    page = await keeper.press(page, '/methods/add', { factor: 'security-key' }, await make('security-key'));
    page = await keeper.press(await keeper.open(`${base}/methods/${only?.id}/remove`), '/remove');
    t.regex(notice(page) ?? '', /was removed/);
    const [key] = (await seconds(stage, user)).filter((row) => row.factor === 'security-key');
    const stays = await keeper.open(`${base}/methods/${key?.id}/remove`);
    t.is(stays.status, 409);
    t.regex(text(stays), /no other that is enough/);
  });

  engine.test('what is shown first is the user’s to say, where the browser knows nothing', async (t) => {
    const stage = await scene({ ...everything(), mfa: 'required' });
    const base = baseOf(stage);
    const { user, keeper, make } = await join(stage);
    let page = await keeper.through(await keeper.browser.visit(base), await make('totp'));
    t.false(page.html.includes('Show first'), 'of one there is no first');
    page = await keeper.press(page, '/methods/add', { factor: 'security-key' }, await make('security-key'));
    const [app] = (await seconds(stage, user)).filter((row) => row.factor === 'totp');
    page = await keeper.press(page, `/methods/${app?.id}/prefer`);
    t.regex(notice(page) ?? '', /shown first on devices/);
    t.regex(page.html, /class="badge">Shown first</);
    const { page: choice } = await afterPassword(stage, user);
    t.is(formsOf(choice)[0]?.fields.factor, 'totp');
    t.is((await keeper.browser.post(`${base}/methods/${user.id}/prefer`, {})).status, 404);
  });

  engine.test('another password: the old one is worth nothing, every other session ends, and this one goes on', async (t) => {
    const stage = await scene({ ...everything(), mfa: 'optional' });
    const base = baseOf(stage);
    const { user, keeper } = await join(stage);
    await keeper.open(base);
    const other = new Keeper(new Browser(stage.server.origin), user);
    await other.open(base);
    t.is((await sessionsOf(stage, user)).length, 2);
    await age(stage, user, 6);
    keeper.asked = [];
    let page = await keeper.open(`${base}/password`);
    t.deepEqual(keeper.asked, ['password'], 'C02');
    t.true(page.html.includes('name="password-new"'));
    page = await keeper.press(page, '/password', { 'password-new': 'short', 'password-confirm': 'short' });
    t.is(page.status, 400);
    page = await keeper.press(page, '/password', {
      'password-new': 'four words without relation',
      'password-confirm': 'four words without relation',
    });
    t.is(page.url, base);
    t.regex(notice(page) ?? '', /Your new password is set/);
    keeper.asked = [];
    t.is((await keeper.open(base)).url, base);
    t.deepEqual(keeper.asked, [], 'whoever has set it need not type it at once');
    t.is((await sessionsOf(stage, user)).length, 1);
    t.true((await other.browser.visit(base)).url.includes('/login/'));
    t.is((await afterPassword(stage, user)).page.status, 400);
    t.truthy(codeFrom((await afterPassword(stage, { ...user, password: 'four words without relation' })).page, stage.rp));
    const subjects = (await mailsTo(stage.server, stage.realm, user.email ?? '')).map(({ subject }) => subject);
    t.true(subjects.includes('Your password was changed'));
    const foreign = await keeper.browser.request(`${base}/password`, {
      method: 'POST',
      body: new URLSearchParams({ 'password-new': 'x' }),
      headers: { origin: 'https://evil.test' },
    });
    t.is(foreign.status, 403, 'C03');
  });

  engine.test('the page says how many codes are left, what is switched off, and that there is a pass', async (t) => {
    const stage = await scene({ ...everything(), mfa: 'optional' });
    const base = baseOf(stage);
    const { user, keeper, make } = await join(stage);
    let page = await keeper.press(await keeper.open(base), '/methods/add', { factor: 'totp' }, await make('totp'));
    page = await keeper.press(page, '/methods/add', { factor: 'recovery-codes' }, await make('recovery-codes'));
    t.regex(text({ ...page, html: page.html.slice(page.html.indexOf('<main')) }), /10 codes left/);
    t.regex(page.html, /Make new codes/);
    t.regex(page.html, /badge-aal2">strong</);
    const { id } = await passFor(stage.server, stage.realm, user);
    page = await keeper.open(base);
    t.regex(page.html, /An administrator made it/);
    t.false(page.html.includes(`/methods/${id}/rename`));
    page = await keeper.press(await keeper.open(`${base}/methods/${id}/remove`), '/remove');
    t.regex(notice(page) ?? '', /was removed/);
    t.is((await stage.server.db.knex('enrolment_passes').where({ id }).first()).ended_as, 'revoked');
    await stage.server.db.knex('credentials').where({ user_id: user.id, factor: 'totp' }).update({ enabled: false });
    page = await keeper.browser.visit(base);
    t.true(page.html.includes('Switched off') || page.url.includes('/login/'));
  });
});
