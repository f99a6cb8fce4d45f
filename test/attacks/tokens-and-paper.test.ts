/** A and C · Attacks on the codes of hardware tokens and on recovery codes. */
import { ScureBase32Plugin } from 'otplib';
import { generateRecoveryCodes } from '../../src/admin/resources/credentials.ts';
import type { FactorOperator } from '../../src/admin/resources/factor-operator.ts';
import { importTokens } from '../../src/admin/resources/tokens.ts';
import { createFactors } from '../../src/factors/index.ts';
import type { OtpSecret } from '../../src/factors/otp.ts';
import { credentialsOf } from '../../src/store/credentials.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  audited,
  backAtApplication,
  begin,
  codeFrom,
  giveApp,
  parallel,
  postTo,
  type Scene,
  sessionsOf,
  storedLogin,
  type TestUser,
  tally,
  transactionOf,
  type Underway,
} from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { hotpCode, hotpSecret, wrongHotpCode } from '../support/factors.ts';
import { exchange, keyOf, text } from '../support/sign-in.ts';

const operator = (server: Cardea): FactorOperator => ({
  ...server.operator(),
  factors: createFactors(),
  origin: server.origin,
  notices: { tell: async () => async () => undefined },
});

forEachEngine((engine) => {
  const { scene: sceneWith, nodes } = arena(engine);
  /** Every factor of the product. */
  const scene = (settings: Parameters<typeof sceneWith>[0] = {}) => sceneWith({ disabledFactors: [], ...settings });

  /** A user with a hardware token that was used up to a counter, whose password was accepted. */
  const atToken = async (stage: Scene, last: number | null = null, secret: OtpSecret = hotpSecret()) => {
    const user = await stage.server.user(stage.realm);
    const { id } = await giveApp(stage.server, user, { factor: 'hotp', secret: secret.secret, label: 'Key ring' });
    await stage.server.db.knex('credentials').where({ realm_id: stage.realm.id, id }).update({ counter: last });
    const underway = await afterPassword(stage, user);
    return { ...underway, user, secret, id, at: (counter: number) => hotpCode(secret, counter) };
  };
  const counterOf = async (stage: Scene, user: TestUser) =>
    (await credentialsOf(stage.server.db.knex, stage.realm.id, user.id)).find(({ factor }) => factor === 'hotp')?.counter;

  /** A user with an app and recovery codes, who is asked for one of these. */
  const atPaper = async (stage: Scene) => {
    const user = await stage.server.user(stage.realm);
    await giveApp(stage.server, user);
    const codes = await generateRecoveryCodes(operator(stage.server), stage.realm, user);
    return { user, codes, ask: () => toPaper(stage, user) };
  };
  const toPaper = async (stage: Scene, user: TestUser) => {
    const underway = await afterPassword(stage, user);
    const choose = formsOf(underway.page).find((form) => form.fields.factor === 'recovery-codes');
    const page = choose ? await underway.browser.send(underway.page, {}, choose) : underway.page;
    if (!/Recovery code/.test(page.html)) throw new Error(`no recovery code is asked: ${text(page)}`);
    return { ...underway, page };
  };

  engine.test('A13 a token that shows 000000, and what is no code of it', async (t) => {
    const stage = await scene();
    // Found by trying: the first counter at which a token with that key shows it.
    const key = new ScureBase32Plugin().encode(Buffer.from('cardea-attack-000000'), { padding: false });
    const secret = hotpSecret({ secret: key });
    const counter = 2_608_509;
    t.is(hotpCode(secret, counter), '000000');
    const { browser, page } = await atToken(stage, counter - 1, secret);
    const version = formsOf(page)[0]?.fields.version ?? '';
    for (const body of ['code=%EF%BC%90%EF%BC%90%EF%BC%90%EF%BC%90%EF%BC%90%EF%BC%90', 'code=0e5', 'code[]=000000', 'code=000000&code=000000']) {
      const refused = await browser.visit(page.url, {
        method: 'POST',
        body: `version=${version}&${body}`,
        headers: { origin: stage.server.origin, 'content-type': 'application/x-www-form-urlencoded' },
      });
      t.is(refused.status, 400, body);
    }
    t.truthy(codeFrom(await browser.send(page, { code: '000000' }), stage.rp));
  });

  engine.test('A15 a token that is eleven codes ahead is refused, and not found again by one code', async (t) => {
    const stage = await scene();
    const { browser, page, user, at } = await atToken(stage, 20);
    const refused = await browser.send(page, { code: at(31) });
    t.is(refused.status, 400);
    t.true(refused.html.includes('My token is out of step'));
    const twice = await browser.send(refused, { code: at(31) });
    t.is(twice.status, 400, 'nor by the same code again');
    t.is(await counterOf(stage, user), 20);

    const asked = await browser.send(twice, { do: 'resync' });
    t.is(asked.status, 200);
    t.true(asked.html.includes('name="next_code"'), text(asked));
    for (const fields of [
      { code: at(31), next_code: '' },
      { code: at(31), next_code: at(31) },
      { code: at(31), next_code: at(33) },
    ] as const) {
      const wrong = await browser.send(asked, fields);
      t.true(wrong.status === 400 || wrong.status === 403, JSON.stringify(fields));
      t.is(backAtApplication(wrong, stage.rp.client.redirectUri), undefined);
    }
    t.is(await counterOf(stage, user), 20, 'nothing was spent');
    t.is((await audited(stage, 'mfa.factor.resynced', { user: user.id })).length, 0);
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.test('a token is found again by two codes in a row, which are used then', async (t) => {
    const stage = await scene();
    const { browser, page, request, user, at, secret } = await atToken(stage, 20);
    const asked = await browser.send(await browser.send(page, { code: wrongHotpCode(secret, 20) }), { do: 'resync' });
    const done = await browser.send(asked, { code: at(70), next_code: at(71) });
    const tokens = await exchange(stage.rp, request, done);
    t.like(tokens.claims(), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    t.is(await counterOf(stage, user), 71);
    t.is((await audited(stage, 'mfa.factor.resynced', { user: user.id })).length, 1);
    const next = await afterPassword(stage, user);
    t.is((await next.browser.send(next.page, { code: at(71) })).status, 400);
    t.is((await audited(stage, 'mfa.replay', { user: user.id })).length, 1);
  });

  engine.test('A15 two codes in a row, thirty times at once: one success', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const { browser, page, user, at } = await atToken(stage, 20);
    const transaction = transactionOf(browser);
    const fields = { ...formsOf(page)[0]?.fields, code: at(70), next_code: at(71) };
    const answers = await parallel(30, (index) => postTo(processes[index % processes.length] ?? stage.server, browser, page.url, fields));
    t.is((await audited(stage, 'mfa.challenge.ok', { transaction })).length, 1, JSON.stringify(tally(answers)));
    t.is((await storedLogin(stage, transaction)).at, 'done');
    t.is(await counterOf(stage, user), 71);
  });

  engine.test('A05 fifty right codes of a token at once: one success', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const { browser, page, at } = await atToken(stage);
    const transaction = transactionOf(browser);
    const fields = { ...formsOf(page)[0]?.fields, code: at(0) };
    await parallel(50, (index) => postTo(processes[index % processes.length] ?? stage.server, browser, page.url, fields));
    t.is((await audited(stage, 'mfa.challenge.ok', { transaction })).length, 1);
    t.is((await storedLogin(stage, transaction)).at, 'done');
  });

  engine.test('a token in stock is claimed with its codes; of two who do it at once, one has it', async (t) => {
    const stage = await scene({ mfa: 'required', hotp: { claim: true } });
    const processes = await nodes();
    const secret = hotpSecret();
    const serial = `SN-${stage.rp.client.clientId}`;
    const bytes = Buffer.from(`serial,secret\n${serial},${secret.secret}\n`);
    t.true((await importTokens(operator(stage.server), stage.realm, { format: 'csv', bytes, encoding: 'base32' })).stored);
    const claiming = await parallel(4, async () => {
      const user = await stage.server.user(stage.realm);
      const underway = await afterPassword(stage, user);
      const choose = formsOf(underway.page).find((form) => form.fields.factor === 'hotp');
      return { ...underway, user, page: await underway.browser.send(underway.page, {}, choose) };
    });
    const [first] = claiming;
    if (!first) throw new Error('nobody claims it');
    t.true(first.page.html.includes('name="serial"'), text(first.page));

    const fields = { serial: serial.toLowerCase(), code: hotpCode(secret, 3), next_code: hotpCode(secret, 4), label: 'Mine' };
    const wrong = [
      { ...fields, next_code: hotpCode(secret, 5) },
      { ...fields, serial: 'SN-0' },
    ];
    const said = new Set<string>();
    for (const one of wrong) {
      const refused = await first.browser.send(first.page, one);
      t.is(refused.status, 400);
      said.add(/<p class="wrong"[^>]*>([\s\S]*?)<\/p>/.exec(refused.html)?.[1] ?? '');
    }
    t.is(said.size, 1, 'a serial number that exists is told from another by nobody');

    const answers = await Promise.all(
      claiming.map(({ browser, page }, index) =>
        postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { ...formsOf(page)[0]?.fields, ...fields }),
      ),
    );
    const held = (await Promise.all(claiming.map(({ user }) => credentialsOf(stage.server.db.knex, stage.realm.id, user.id)))).flat();
    t.is(held.filter(({ factor }) => factor === 'hotp').length, 1, JSON.stringify(tally(answers)));
    t.true(
      answers.every(({ status }) => status < 500),
      JSON.stringify(tally(answers)),
    );
    const [token] = await stage.server.db.knex('hardware_tokens').where({ realm_id: stage.realm.id, serial_shown: serial });
    t.is(token.credential_id, held.find(({ factor }) => factor === 'hotp')?.id);
    t.is((await audited(stage, 'mfa.token.assigned')).length, 1);
  });

  engine.test('C06 a recovery code signs in once', async (t) => {
    const stage = await scene();
    const { user, codes, ask } = await atPaper(stage);
    const [code = ''] = codes;
    const first = await ask();
    const used = await first.browser.send(first.page, { code: code.toUpperCase().replaceAll('-', ' ') });
    t.true(used.status < 400, text(used));
    t.is((await audited(stage, 'mfa.recovery.used', { user: user.id })).length, 1);

    const second = await ask();
    const transaction = transactionOf(second.browser);
    const refused = await second.browser.send(second.page, { code });
    t.is(refused.status, 400);
    t.true(refused.html.includes('That code was used already'));
    t.is(backAtApplication(refused, stage.rp.client.redirectUri), undefined);
    t.is((await audited(stage, 'mfa.replay', { transaction })).length, 1);
    t.is((await audited(stage, 'mfa.recovery.used', { user: user.id })).length, 1);
  });

  engine.test('C06 a recovery code in twenty sign-ins at once, and twenty times in one: one success', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const { user, codes, ask } = await atPaper(stage);
    // One after the other: so many passwords at once would be paused.
    const signIns: Underway[] = [];
    while (signIns.length < 20) signIns.push(await ask());
    const answers = await Promise.all(
      signIns.map(({ browser, page }, index) =>
        postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { ...formsOf(page)[0]?.fields, code: codes[0] ?? '' }),
      ),
    );
    t.is((await audited(stage, 'mfa.recovery.used', { user: user.id })).length, 1, JSON.stringify(tally(answers)));
    const ok = await audited(stage, 'mfa.challenge.ok', { user: user.id });
    t.is(ok.length, 1);
    t.true(answers.every(({ status }) => status < 500));

    const other = await atPaper(stage);
    const { browser, page } = await other.ask();
    const fields = { ...formsOf(page)[0]?.fields, code: other.codes[1] ?? '' };
    await parallel(20, (index) => postTo(processes[index % processes.length] ?? stage.server, browser, page.url, fields));
    t.is((await audited(stage, 'mfa.recovery.used', { user: other.user.id })).length, 1);
  });

  engine.test('C06 new codes make the old ones worthless, and a code of somebody else is none', async (t) => {
    const stage = await scene();
    const mine = await atPaper(stage);
    const theirs = await atPaper(stage);
    const fresh = await generateRecoveryCodes(operator(stage.server), stage.realm, mine.user);
    const { browser, page } = await mine.ask();
    let shown: Page = page;
    for (const code of [mine.codes[0] ?? '', theirs.codes[0] ?? '', 'aaaa-bbbb-cccc-dddd']) {
      shown = await browser.send(shown, { code });
      t.is(shown.status, 400);
    }
    t.is((await audited(stage, 'mfa.recovery.used', { user: mine.user.id })).length, 0);
    t.true((await browser.send(shown, { code: fresh[0] ?? '' })).status < 400);
    t.is((await audited(stage, 'mfa.recovery.used', { user: mine.user.id })).length, 1);
  });

  engine.serial('A06 guessing at recovery codes: five in a sign-in, one argon2id verification each', async (t) => {
    const stage = await scene();
    const { user, ask } = await atPaper(stage);
    const { browser, page } = await ask();
    const before = stage.server.verifications();
    const fields = formsOf(page)[0]?.fields;
    const answers = await parallel(40, (index) =>
      postTo(stage.server, browser, page.url, { ...fields, code: `aaaa-bbbb-cccc-dd${String(index).padStart(2, '2').replaceAll(/[01]/g, '9')}` }),
    );
    t.is((await audited(stage, 'mfa.challenge.failed', { user: user.id })).length, 5, JSON.stringify(tally(answers)));
    t.is(stage.server.verifications() - before, 5);
  });

  engine.test('after the first second factor recovery codes are offered, shown once, and raise nothing', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    // What is offered is for a browser with scripts, which says so on its first page.
    const first = await begin(stage);
    const { browser, request } = first;
    const page = await browser.send(first.page, { username: user.username, password: user.password, webauthn: '1' });
    const choose = formsOf(page).find((form) => form.fields.factor === 'totp');
    const enrolling = choose ? await browser.send(page, {}, choose) : page;
    const offered = await browser.send(enrolling, { code: hotpCode(hotpSecret({ secret: keyOf(enrolling) }), Math.floor(Date.now() / 30_000)) });
    t.regex(offered.html, /value="accept"/, text(offered));
    const shown = await browser.send(offered, { do: 'accept' });
    const codes = [...shown.html.matchAll(/<li><code>([a-z0-9-]{19})<\/code>/g)].map(([, code = '']) => code);
    t.is(codes.length, 10, text(shown));
    t.deepEqual((await browser.visit(shown.url)).html.match(/[a-z0-9]{4}(-[a-z0-9]{4}){3}/g), shown.html.match(/[a-z0-9]{4}(-[a-z0-9]{4}){3}/g));

    const unticked = await browser.send(shown, {});
    t.is(backAtApplication(unticked, stage.rp.client.redirectUri), undefined, 'the box is to be ticked');
    t.is((await credentialsOf(stage.server.db.knex, stage.realm.id, user.id)).filter(({ factor }) => factor === 'recovery-codes').length, 0);
    const tokens = await exchange(stage.rp, request, await browser.send(unticked, { confirm: 'kept' }));
    t.like(tokens.claims(), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    t.is((await audited(stage, 'mfa.recovery.generated', { user: user.id })).length, 1);
    const stored = JSON.stringify(await stage.server.db.knex('credentials').where({ realm_id: stage.realm.id, user_id: user.id }));
    for (const code of codes) t.false(stored.includes(code) || stage.server.log.some((line) => line.includes(code)));

    const next = await toPaper(stage, user);
    t.true((await next.browser.send(next.page, { code: codes[4] ?? '' })).status < 400, 'what was shown works');
  });
});
