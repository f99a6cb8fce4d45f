/** The account console over real HTTP: sign-in methods are added, named and removed, by nobody but their owner. */

import { openMessage } from '../../src/delivery/outbox.ts';
import { auditEvents } from '../../src/store/audit.ts';
import { credentialsOf } from '../../src/store/credentials.ts';
import { newestMessages } from '../../src/store/outbox.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { Outside, Person, patient } from '../support/account.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { text } from '../support/sign-in.ts';

const names = (page: Page): string[] =>
  [...page.html.matchAll(/<h2>([\s\S]*?)<\/h2>/g)].map(([, inner = '']) => unescapeHtml(inner.replaceAll(/<[^>]+>/g, '')).trim());
const notice = (page: Page): string | undefined => /role="status">([^<]+)</.exec(page.html)?.[1];

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;

  async function world(settings: RealmInput) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm(patient(settings));
    const base = `${server.origin}/realms/${realm.name}/account`;
    const join = async (input: Parameters<typeof server.user>[1] = {}) => {
      const user = await server.user(realm, input);
      return { user, person: new Person(server.origin, user) };
    };
    const seconds = async (userId: string) => (await credentialsOf(server.db.knex, realm.id, userId)).filter((row) => row.factor !== 'password');
    /** So much time went by since everything that was proved in this realm. */
    const age = async (minutes: number, { apps }: Person) => {
      await server.db
        .knex('credentials')
        .where({ realm_id: realm.id })
        .whereNotNull('counter')
        .decrement('counter', minutes * 2);
      for (const app of apps) app.age(minutes);
      for (const { id, proofs } of await server.db.knex('sessions').where({ realm_id: realm.id })) {
        const older = JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - minutes * 60_000 }));
        await server.db
          .knex('sessions')
          .where({ realm_id: realm.id, id })
          .update({ proofs: JSON.stringify(older) });
      }
    };
    return { server, realm, base, join, seconds, age };
  }

  engine.test('a user signs in, adds a second app, names it, and removes the first', async (t) => {
    const { server, realm, base, join, seconds } = await world({ mfa: 'required' });
    const { user, person } = await join({ firstName: 'Ada', lastName: 'Lindqvist' });

    let page = await person.open(base);
    t.deepEqual(person.asked, ['username', 'enrol']);
    t.is(page.url, base);
    t.deepEqual(names(page), ['Password', 'App 1']);
    t.true(page.html.includes('Ada Lindqvist'));
    t.regex(page.html, /no other that is enough/);

    person.asked = [];
    page = await person.press(page, '/methods/add');
    t.deepEqual(person.asked, ['enrol'], 'the sign-in is fresh, so nothing else is asked');
    t.is(notice(page), 'The sign-in method was added.');
    t.deepEqual(names(page), ['Password', 'App 1', 'App 2']);

    const [first, second] = await seconds(user.id);
    page = await person.press(page, `/methods/${second?.id}/rename`, { label: '  Old tablet ' });
    t.is(notice(page), 'The new name was saved.');
    t.deepEqual(names(page), ['Password', 'App 1', 'Old tablet']);
    t.is(notice(await person.open(base)), undefined, 'it is said once');

    page = await person.open(`${base}/methods/${first?.id}/remove`);
    t.regex(page.html, /Remove <bdi>App 1<\/bdi>\?/);
    page = await person.press(page, '/remove');
    t.regex(notice(page) ?? '', /was removed/);
    t.deepEqual(names(page), ['Password', 'Old tablet']);
    t.deepEqual(
      (await seconds(user.id)).map(({ id }) => id),
      [second?.id],
    );

    const events = (await auditEvents(server.db.knex, realm.id, { subject: user.id, limit: 50 }))
      .filter(({ type }) => type.startsWith('mfa.factor.'))
      .reverse();
    t.deepEqual(
      events.map(({ type, details, actor }) => [type, JSON.parse(details).credential, actor]),
      [
        ['mfa.factor.enrolled', first?.id, user.id],
        ['mfa.factor.enrolled', second?.id, user.id],
        ['mfa.factor.renamed', second?.id, user.id],
        ['mfa.factor.removed', first?.id, user.id],
      ],
    );
    const mails = (await newestMessages(server.db.knex, 500)).filter((row) => row.realmId === realm.id).reverse();
    const said = await Promise.all(mails.map(async (row) => (await openMessage(server.keyring, row)).subject));
    t.deepEqual(said, [
      'A sign-in method was added to your account',
      'A sign-in method was added to your account',
      'A sign-in method was removed from your account',
    ]);
  });

  engine.test('C04 the last second step of a realm that asks for one cannot be removed', async (t) => {
    const { realm, base, join, seconds } = await world({ mfa: 'required' });
    const { user, person } = await join();
    const page = await person.open(base);
    const [only] = await seconds(user.id);
    t.false(page.html.includes('/remove"'));

    const asked = await person.open(`${base}/methods/${only?.id}/remove`);
    t.is(asked.status, 409);
    t.regex(text(asked), /This one has to stay/);
    const forced = await person.browser.post(`${base}/methods/${only?.id}/remove`, {});
    t.is(forced.status, 409);
    t.is((await seconds(user.id)).length, 1);
    t.true(text(forced).includes(realm.displayName));
  });

  engine.test('C04 of two that are removed at the same moment, one stays', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'required' });
    const { user, person } = await join();
    await person.press(await person.open(base), '/methods/add');
    const held = await seconds(user.id);
    t.is(held.length, 2);
    const statuses = await Promise.all(
      held.map(
        async ({ id }) =>
          (
            await person.browser.request(`${base}/methods/${id}/remove`, {
              method: 'POST',
              body: new URLSearchParams(),
              headers: { origin: person.browser.origin },
            })
          ).status,
      ),
    );
    t.deepEqual(statuses.sort(), [303, 409]);
    t.is((await seconds(user.id)).length, 1);
  });

  engine.test('where a second step is nobody’s duty, the last one may go', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'optional' });
    const { user, person } = await join();
    await person.press(await person.open(base), '/methods/add');
    const [only] = await seconds(user.id);
    const page = await person.press(await person.open(`${base}/methods/${only?.id}/remove`), '/remove');
    t.regex(notice(page) ?? '', /was removed/);
    t.deepEqual(await seconds(user.id), []);
  });

  engine.test('C02 six minutes after the sign-in, every change asks to authenticate again', async (t) => {
    const { base, join, seconds, age } = await world({ mfa: 'required' });
    const { user, person } = await join();
    await person.press(await person.open(base), '/methods/add');
    const [first, second] = await seconds(user.id);

    await age(6, person);
    person.asked = [];
    let page = await person.open(base);
    t.deepEqual(person.asked, [], 'looking is no change');

    page = await person.press(page, `/methods/${second?.id}/rename`, { label: 'Work phone' });
    t.deepEqual(person.asked, ['password', 'code']);
    t.deepEqual(
      (await seconds(user.id)).map(({ label }) => label),
      ['App 1', 'App 2'],
      'nothing was saved yet',
    );
    t.regex(notice(page) ?? '', /Save the new name now/);
    t.regex(page.html, /value="Work phone"/);
    page = await person.press(page, `/methods/${second?.id}/rename`);
    t.deepEqual(names(page), ['Password', 'App 1', 'Work phone']);

    await age(6, person);
    person.asked = [];
    page = await person.open(`${base}/methods/${first?.id}/remove`);
    t.deepEqual(person.asked, ['password', 'code']);
    t.regex(page.url, /\/remove$/, 'and back to the question');

    await age(6, person);
    person.asked = [];
    page = await person.press(page, '/remove');
    t.deepEqual(person.asked, ['password', 'code']);
    t.is((await seconds(user.id)).length, 2, 'the old question is asked anew');
    t.regex(page.url, /\/remove$/);

    await age(6, person);
    person.asked = [];
    await person.press(await person.open(base), '/methods/add');
    t.deepEqual(person.asked, ['password', 'code', 'enrol']);
  });

  engine.test('C01 a session that showed only the password binds and removes nothing for somebody who owns an app', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'off' });
    const { user, person } = await join();
    await person.press(await person.open(base), '/methods/add');
    const [app] = await seconds(user.id);

    // The thief knows the password; this realm lets whoever does see the page.
    const thief = person.elsewhere();
    t.is((await thief.open(base)).url, base);
    t.deepEqual(thief.asked, ['username']);
    for (const path of [`/methods/${app?.id}/remove`, `/methods/${app?.id}/rename`, '/methods/add']) {
      const page = await thief.browser.post(`${base}${path}`, { label: 'mine' });
      t.regex(page.url, /\/login\//, path);
      t.true(
        formsOf(page).some((form) => form.names.includes('code') && !form.names.includes('label')),
        `${path} asks for a code of the app`,
      );
    }
    t.is((await thief.browser.visit(`${base}/methods/${app?.id}/remove`)).url.includes('/login/'), true);
    t.deepEqual(
      (await seconds(user.id)).map(({ id, label }) => [id, label]),
      [[app?.id, 'App 1']],
    );
  });

  engine.test('C03 a form that did not come from our own page changes nothing', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'optional' });
    const { user, person } = await join();
    await person.press(await person.open(base), '/methods/add');
    const [app] = await seconds(user.id);
    const foreign: [why: string, headers: Record<string, string>][] = [
      ['no proof at all', {}],
      ['a foreign origin', { origin: 'https://evil.test' }],
      ['a sandboxed page', { origin: 'null' }],
      ['another site by its own word', { 'sec-fetch-site': 'cross-site' }],
      ['a neighbour', { 'sec-fetch-site': 'same-site' }],
    ];
    for (const path of [`/methods/${app?.id}/remove`, `/methods/${app?.id}/rename`, '/methods/add', '/sign-out']) {
      for (const [why, headers] of foreign) {
        const page = await person.browser.request(`${base}${path}`, { method: 'POST', body: new URLSearchParams({ label: 'x' }), headers });
        t.is(page.status, 403, `${path}: ${why}`);
      }
    }
    const plain = { method: 'POST', body: 'label=x', headers: { origin: person.browser.origin, 'content-type': 'text/plain' } };
    t.is((await person.browser.request(`${base}/methods/${app?.id}/rename`, plain)).status, 415);
    t.is((await person.browser.request(`${base}/methods/${app?.id}/remove`, plain)).status, 415);
    t.deepEqual(
      (await seconds(user.id)).map(({ label }) => label),
      ['App 1'],
    );
    t.is((await person.open(base)).url, base, 'and nobody was signed out');
  });

  engine.test('somebody else’s method is nothing that is there', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'required' });
    const [ada, eve] = [await join(), await join()];
    await ada.person.open(base);
    await eve.person.press(await eve.person.open(base), '/methods/add');
    const [hers] = await seconds(ada.user.id);
    for (const path of [`/methods/${hers?.id}/remove`, `/methods/${hers?.id}/rename`]) {
      const page = await eve.person.browser.post(`${base}${path}`, { label: 'mine' });
      t.is(page.status, 404, path);
    }
    t.is((await eve.person.open(`${base}/methods/${hers?.id}/remove`)).status, 404);
    t.deepEqual(
      (await seconds(ada.user.id)).map(({ label }) => label),
      ['App 1'],
    );
    // Nor is the password, which is nothing to remove.
    const password = (await credentialsOf((await shared)?.db.knex ?? t.fail(), hers?.realmId ?? '', eve.user.id)).find(
      (row) => row.factor === 'password',
    );
    t.is((await eve.person.browser.post(`${base}/methods/${password?.id}/remove`, {})).status, 404);
  });

  engine.test('a name is 1 to 60 characters of text, and inert', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'required' });
    const { user, person } = await join();
    let page = await person.open(base);
    const [app] = await seconds(user.id);
    const rename = (label: string) => person.press(page, `/methods/${app?.id}/rename`, { label });
    for (const label of ['', '   ', 'x'.repeat(61), 'a\u202eb', 'a\r\nb']) {
      const refused = await rename(label);
      t.is(refused.status, 400, JSON.stringify(label));
      t.regex(refused.html, /aria-invalid="true"/);
    }
    page = await rename('<script>alert(1)</script>');
    t.false(page.html.includes('<script>alert'));
    t.deepEqual(names(page), ['Password', '<script>alert(1)</script>']);
    t.is((await person.press(page, `/methods/${app?.id}/rename`, { label: '😀'.repeat(60) })).status, 200);
    t.is((await person.browser.post(`${base}/methods/${app?.id}/rename`, { label: 'x'.repeat(2_000) })).status, 400);
  });

  engine.test('a sign-out here ends the session everywhere, and one elsewhere ends it here', async (t) => {
    const { server, realm, base, join } = await world({ mfa: 'optional' });
    const { user, person } = await join();
    let page = await person.open(base);
    const cookies = person.browser.cookies('localhost');

    const button = formsOf(page).find((form) => form.action.endsWith('/sign-out'));
    page = await person.browser.send(page, {}, button);
    t.regex(page.url, /\/login\//, 'back at the console, which asks to sign in');
    const [session] = await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id });
    t.truthy(session.ended_at);
    t.deepEqual(await server.db.knex('console_sessions').where({ realm_id: realm.id }), []);

    // The cookie of before, put back.
    const thief = new Person(server.origin, user);
    const sent = await thief.browser.request(base, { headers: { cookie: `cardea_account_session=${cookies.cardea_account_session}` } });
    t.is(sent.status, 303);

    await person.through(page);
    t.is((await person.open(base)).url, base);
    await server.db.knex('sessions').where({ realm_id: realm.id }).whereNull('ended_at').update({ ended_at: Date.now() });
    t.is((await person.browser.request(base)).status, 303);
  });

  engine.test('F01 a session at one realm’s account opens no other’s', async (t) => {
    const { server, base, join } = await world({ mfa: 'optional' });
    const { person } = await join();
    await person.open(base);
    const { cardea_account_session: cookie } = person.browser.cookies('localhost');
    const other: RealmRow = await server.realm();
    const sent = await new Person(server.origin, person.user).browser.request(`${server.origin}/realms/${other.name}/account`, {
      headers: { cookie: `cardea_account_session=${cookie}` },
    });
    t.is(sent.status, 303);
    t.is(
      (
        await new Person(server.origin, person.user).browser.request(`${server.origin}/admin/master/console/`, {
          headers: { cookie: `cardea_admin_session=${cookie}` },
        })
      ).status,
      404,
      'this database has no realm master',
    );
  });

  engine.test('whoever cancels the enrolment comes back, and is told that nothing was added', async (t) => {
    const { base, join, seconds } = await world({ mfa: 'optional' });
    const { user, person } = await join();
    const page = await person.open(base);
    const enrolment = await person.browser.post(`${base}/methods/add`, {});
    t.true(formsOf(enrolment).some((form) => form.names.includes('label')));
    const back = await person.browser.send(enrolment, { do: 'cancel' });
    t.is(back.url, page.url);
    t.is(notice(back), 'No sign-in method was added.');
    t.deepEqual(await seconds(user.id), []);
  });

  engine.test('where the public origin does not resolve, the console reaches its realm by our own socket', async (t) => {
    const origin = 'https://id.cardea.invalid';
    const server = await startCardea(await engine.database(), { CARDEA_ORIGIN: origin });
    const realm = await server.realm(patient({ mfa: 'required' }));
    const base = `${origin}/realms/${realm.name}/account`;
    const person = new Person(origin, await server.user(realm), [], new Outside(origin, server.url));
    const page = await person.open(base);
    t.is(page.url, base);
    t.deepEqual(names(page), ['Password', 'App 1']);
    t.is(notice(await person.press(page, '/methods/add')), 'The sign-in method was added.');
  });

  engine.test('an address that is none is 404, and so is a form’s that is only looked at', async (t) => {
    const { base, join } = await world({ mfa: 'optional' });
    const { person } = await join();
    await person.open(base);
    for (const path of ['/nothing', '/methods', '/methods/add', '/methods/1/remove', '/sign-out', '/callback/x']) {
      t.is((await person.browser.request(`${base}${path}`)).status, 404, path);
    }
    t.is((await person.browser.request(`${base}/callback?code=1&state=2`)).status, 400);
    t.is((await person.open(`${base}/`)).url, `${base}/`);
  });
});
