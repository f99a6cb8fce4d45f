/** The admin console over real HTTP: for administrators, and only after a second factor. */

import { addMember, createGroup, removeMember } from '../../src/admin/resources/groups.ts';
import { realmOverview } from '../../src/admin/resources/overview.ts';
import { changePolicy, readPolicy } from '../../src/admin/resources/policy.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createRole, giveRoles } from '../../src/admin/resources/roles.ts';
import { requireUser } from '../../src/admin/resources/users.ts';
import { createFactors } from '../../src/factors/index.ts';
import { Person, patient } from '../support/account.ts';
import { ALL_BUT_APPS, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { contain } from '../support/roles.ts';
import { text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let shared: ReturnType<typeof master> | undefined;
  const world = () => {
    shared ??= master();
    return shared;
  };
  async function master() {
    const server = await startCardea(await engine.database());
    // A realm that asks nobody for a second factor: its console does all the same.
    const { mfa, ...settings } = patient({ mfa: 'off', disabledFactors: ALL_BUT_APPS });
    const realm = await createRealm(server.operator(), { name: 'master', displayName: 'Cardea', mfa, settings });
    const join = async (realmRoles: string[]) => new Person(server.origin, await server.user(realm, { realmRoles }));
    return { server, realm, join, console: `${server.origin}/admin/master/console/` };
  }

  engine.test('/admin leads an administrator through a second factor to the realms', async (t) => {
    const { server, join, console } = await world();
    const admin = await join(['admin']);
    const page = await admin.open(`${server.origin}/admin`);
    t.deepEqual(admin.asked, ['username', 'enrol']);
    t.is(page.url, console);
    t.is(page.status, 200);
    t.regex(text(page), /Realms/);
    t.true(page.html.includes(`${server.origin}/realms/master`));

    admin.asked = [];
    t.is((await admin.open(console)).status, 200);
    t.deepEqual(admin.asked, []);
  });

  engine.serial('while the floor of administrators is lowered, every page says so', async (t) => {
    const { server, realm, join, console } = await world();
    const admin = await join(['admin']);
    const operator = { ...server.operator(), factors: createFactors() };
    const before = await readPolicy(operator, realm);
    t.notRegex(text(await admin.open(console)), /was lowered/);
    await changePolicy(operator, realm, { ...before.document, floors: { administrator: 'aal1' } });
    t.regex(text(await admin.open(console)), /Administrators sign in here with aal1: the floor of realm master was lowered/);
    const nobody = await join([]);
    const refused = await nobody.open(console);
    t.is(refused.status, 403);
    t.regex(text(refused), /was lowered/);
    await changePolicy(operator, realm, before.document);
    t.notRegex(text(await admin.open(console)), /was lowered/);
  });

  engine.test('a session at aal1 gets no further than the question for a code', async (t) => {
    const { server, realm, join, console } = await world();
    const admin = await join([]);
    await admin.open(`${server.origin}/realms/master/account`);
    t.deepEqual(admin.asked, ['username'], 'whoever is no administrator is asked for no more here');
    const operator = server.operator();
    await giveRoles(operator, realm, await requireUser(operator, realm, admin.user.username), [{ name: 'admin' }]);
    const sent = await admin.browser.request(console);
    t.is(sent.status, 303);
    t.is(new URL(sent.headers.get('location') ?? '').searchParams.get('acr_values'), 'aal2');
    admin.asked = [];
    await admin.open(console);
    t.deepEqual(admin.asked, ['enrol']);

    // And when the proof has gone stale: 25 hours later.
    for (const { id, proofs } of await server.db.knex('sessions').whereNull('ended_at')) {
      const older = JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - 25 * 3_600_000 }));
      await server.db
        .knex('sessions')
        .where({ id })
        .update({ proofs: JSON.stringify(older) });
    }
    admin.asked = [];
    await admin.open(console);
    t.deepEqual(admin.asked, ['code']);
  });

  engine.test('everybody else is told why not, and can sign out', async (t) => {
    const { join, console } = await world();
    const somebody = await join([]);
    const page = await somebody.open(console);
    t.is(page.status, 403);
    t.regex(text(page), /You are no administrator here/);
    t.true(page.html.includes('/admin/master/console/sign-out'));
    t.false(page.html.includes('Issuer'));
  });

  engine.test('who is no administrator any more is out at once', async (t) => {
    const { server, join, console } = await world();
    const admin = await join(['admin']);
    t.is((await admin.open(console)).status, 200);
    await server.db
      .knex('user_roles')
      .whereIn('user_id', server.db.knex('users').where({ username: admin.user.username }).select('id'))
      .delete();
    t.is((await admin.open(console)).status, 403);
  });

  engine.test('an administrator is also who has the role by a group, or by a role that contains it', async (t) => {
    const { server, realm, join, console } = await world();
    const operator = server.operator();
    await createGroup(operator, realm, { name: 'operations' }, [{ name: 'admin' }]);
    await createGroup(operator, realm, { name: 'night', parent: '/operations' });
    await createRole(operator, realm, { name: 'owner' });
    await contain(operator, realm, { name: 'owner' }, { name: 'admin' });
    const owner = await join(['owner']);
    t.is((await owner.open(console)).status, 200);

    const watch = await join([]);
    const user = await requireUser(operator, realm, watch.user.username);
    await addMember(operator, realm, '/operations/night', user);
    t.is((await watch.open(console)).status, 200);
    await removeMember(operator, realm, '/operations/night', user);
    t.is((await watch.open(console)).status, 403);
  });

  engine.test('a form that did not come from our own page signs nobody out', async (t) => {
    const { join, console } = await world();
    const admin = await join(['admin']);
    await admin.open(console);
    t.is((await admin.browser.request(`${console}sign-out`, { method: 'POST', headers: { origin: 'https://evil.test' } })).status, 403);
    t.is((await admin.browser.request(console)).status, 200);
    t.is((await admin.browser.request(`${console}sign-out`)).status, 404);
    t.is((await admin.browser.request(`${console}nothing`)).status, 404);
  });

  engine.test('realms are paged by their names', async (t) => {
    const { server } = await world();
    await Promise.all([server.realm(), server.realm()]);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await realmOverview({ db: server.db }, { after, limit: 1 });
      t.is(page.realms.length, 1);
      seen.push(...page.realms.map(({ name }) => name));
      after = page.next ?? undefined;
    } while (after !== undefined && seen.length < 50);
    const names: { name: string }[] = await server.db.knex('realms').orderBy('name').select('name');
    t.deepEqual(
      seen,
      names.map(({ name }) => name),
    );
    t.deepEqual(await realmOverview({ db: server.db }, { after: 'zzzz', limit: 5 }), { realms: [], next: null });
  });
});
