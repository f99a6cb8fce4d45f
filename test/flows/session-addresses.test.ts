/** The address that a session is listed with: what the trusted proxy says, and nothing that came with the request. */
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  engine.test('users and whoever administers are shown where each session is from, whatever family of addresses it is', async (t) => {
    const server = await startCardea(await engine.database(), { CARDEA_TRUST_PROXY: '1' });
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const cases: [forwarded: string, shown: string][] = [
      ['198.51.100.7', '198.51.100.7'],
      ['203.0.113.66, 198.51.100.8', '198.51.100.8'],
      // As a proxy passes it on whose socket listens for both families.
      ['::ffff:192.0.2.7', '192.0.2.7'],
      ['2001:db8:12:34:aa:bb:cc:dd', '2001:db8:12:34:aa:bb:cc:dd'],
    ];
    let page = '';
    for (const [forwarded] of cases) {
      const { browser } = await signIn(server, rp, user, { browser: new Browser(server.origin, { 'x-forwarded-for': forwarded }) });
      page = (await browser.visit(`${server.origin}/realms/${realm.name}/account/sessions`)).html;
    }
    const stored: string[] = await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).pluck('ip');
    t.deepEqual(stored.toSorted(), cases.map(([, shown]) => shown).toSorted());
    for (const [, shown] of cases) t.true(page.includes(`<bdi>${shown}</bdi>`), shown);
    t.false(page.includes('203.0.113.66') || page.includes('::ffff'));
  });
});
