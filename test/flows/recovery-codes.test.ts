/** Recovery codes in the account console: made once there is something that they stand in for, and replaced as a whole. */
import { credentialsOf } from '../../src/store/credentials.ts';
import { Person, patient } from '../support/account.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { arena, audited } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { text } from '../support/sign-in.ts';

const CODES = /[a-z0-9]{4}(?:-[a-z0-9]{4}){3}/g;

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('recovery codes are made, and made anew, in the account console', async (t) => {
    const stage = await scene(patient({ mfa: 'required', disabledFactors: ['hotp', 'security-key', 'passkey', 'email-otp', 'sms-otp'] }));
    const user = await stage.server.user(stage.realm);
    const person = new Person(stage.server.origin, user);
    const account = `${stage.server.origin}/realms/${stage.realm.name}/account`;

    /** The codes that are shown after a button was pressed, and the page they stand on. */
    const made = async (page: Page): Promise<{ codes: string[]; page: Page }> => {
      const form = formsOf(page).find((one) => one.fields.factor === 'recovery-codes');
      if (!form) throw new Error(`no recovery codes can be made: ${text(page)}`);
      let shown = await person.browser.send(page, {}, form);
      // What was shown a while ago is asked again.
      for (let pages = 0; pages < 3 && !/name="confirm"/.test(shown.html); pages += 1)
        shown = await person.browser.send(
          shown,
          /name="password"/.test(shown.html) ? { password: user.password } : { code: person.apps[0]?.code() ?? '' },
        );
      return { codes: shown.html.match(CODES) ?? [], page: shown };
    };

    // The first sign-in sets up an app, and offers codes; they are declined there.
    let page = await person.browser.visit(account);
    page = await person.browser.send(page, { username: user.username, password: user.password, webauthn: '1' });
    page = await person.through(page);
    t.regex(page.html, /value="accept"/);
    page = await person.browser.send(page, { do: 'skip' });
    t.true(page.url.startsWith(account), text(page));
    t.is(formsOf(page).filter((one) => one.fields.factor === 'recovery-codes').length, 1);

    const first = await made(page);
    t.is(new Set(first.codes).size, 10);
    page = await person.browser.send(first.page, { confirm: 'kept' });
    t.true(page.url.startsWith(account), text(page));
    const held = async () => (await credentialsOf(stage.server.db.knex, stage.realm.id, user.id)).filter(({ factor }) => factor === 'recovery-codes');
    const [before] = await held();
    t.truthy(before);

    const second = await made(page);
    t.is(new Set([...first.codes, ...second.codes]).size, 20);
    await person.browser.send(second.page, { confirm: 'kept' });
    const after = await held();
    t.is(after.length, 1);
    t.not(after[0]?.id, before?.id, 'the old list is gone');
    t.is((await audited(stage, 'mfa.recovery.generated', { user: user.id })).length, 2);
  });
});
