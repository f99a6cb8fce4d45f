/** B44: what an administrator wants to be done at the next sign-in is done once, by whoever is first. */
import { addRequiredActions } from '../../src/store/user-changes.ts';
import { afterPassword, arena, codeFrom } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('B44 whoever else knew the temporary password does not choose another one after its owner has', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    await addRequiredActions(server.db.knex, user, ['UPDATE_PASSWORD'], Date.now());
    // Each has typed the temporary password, and stands before the page that asks for a new one.
    const thief = await afterPassword(stage, user);
    const owner = await afterPassword(stage, user);
    t.regex(text(thief.page), /Choose a new password/);
    const mine = 'four words without relation';
    const done = await owner.browser.send(owner.page, { 'password-new': mine, 'password-confirm': mine });
    t.truthy(codeFrom(done, rp));

    const theirs = 'and four words of another';
    const late = await thief.browser.send(thief.page, { 'password-new': theirs, 'password-confirm': theirs });
    t.is(late.status, 409);
    t.is(codeFrom(late, rp), undefined);
    const again = await afterPassword(stage, { ...user, password: theirs });
    t.is(codeFrom(again.page, rp), undefined, 'their password is none');
    t.truthy(codeFrom((await afterPassword(stage, { ...user, password: mine })).page, rp));
  });
});
