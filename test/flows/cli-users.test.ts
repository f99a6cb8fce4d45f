/** Users at the command line: found, shown, changed, signed out and deleted. */
import type { ExecutionContext } from 'ava';
import { openDatabase } from '../../src/store/database.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Ended, runHere, settingsFor } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';

type Env = Record<string, string>;

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

forEachEngine((engine) => {
  let shared: Promise<Env> | undefined;
  const world = () => {
    shared ??= engine.settings().then(async (config) => {
      const env = settingsFor(config);
      for (const realm of ['staff', 'other']) await runHere(['realm', 'create', realm], env);
      return env;
    });
    return shared;
  };
  const cardea = async (line: string, given: { input?: string; typed?: string[] } = {}): Promise<Ended> =>
    runHere(line.split(' '), await world(), given);
  /** The document of a command that succeeds. */
  const ok = async (t: ExecutionContext, line: string, given: { input?: string } = {}) => {
    const { status, stdout, stderr } = await cardea(`${line} --json`, given);
    t.is(status, 0, `${line}: ${stderr}`);
    return JSON.parse(stdout);
  };
  const named = (rows: { username: string }[]): string[] => rows.map(({ username }) => username);

  engine.serial('users are listed as they are looked for, and page by page', async (t) => {
    for (const [name, first] of [
      ['ada', 'Ada'],
      ['alan', 'Alan'],
      ['erin', 'Erin'],
    ])
      await ok(t, `user create --realm staff --username ${name} --email ${name}@example.com --first-name ${first} --no-password`);
    await ok(t, 'user update --realm staff ada --attribute team=north --attribute team=south --disable');
    t.deepEqual(named(await ok(t, 'user list --realm staff')), ['ada', 'alan', 'erin']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --search al')), ['alan']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --search *a*')), ['ada', 'alan', 'erin']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --email ERIN@example.com --exact')), ['erin']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --username a --exact')), []);
    t.deepEqual(named(await ok(t, 'user list --realm staff --attribute team=south')), ['ada']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --disabled')), ['ada']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --enabled --first 1 --max 1')), ['erin']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --first 1')), ['alan', 'erin']);
    t.deepEqual(named(await ok(t, 'user list --realm staff --max 2')), ['ada', 'alan']);
    t.deepEqual(await ok(t, 'user list --realm other'), []);
    t.regex((await cardea('user list --realm staff --search nobody')).stdout, /Nobody/);
    t.is((await cardea('user list --realm staff --max many')).status, 2);
    t.is((await cardea('user list --realm staff --attribute team')).status, 2);
  });

  engine.serial('a user is shown by name and by id, and changed in what is named alone', async (t) => {
    const made = await ok(t, 'user create --realm staff --username grace --email grace@example.com --first-name Grace --no-password');
    const found = await ok(t, `user get --realm staff ${made.id}`);
    t.like(found, { username: 'grace', email: 'grace@example.com', firstName: 'Grace', attributes: {}, requiredActions: [], otp: false });
    const changed = await ok(
      t,
      'user update --realm staff grace --last-name Hopper --email-verified --attribute rank=admiral --require-action UPDATE_PASSWORD VERIFY_EMAIL',
    );
    t.like(changed, { firstName: 'Grace', lastName: 'Hopper', emailVerified: true, attributes: { rank: ['admiral'] } });
    t.deepEqual(changed.requiredActions.sort(), ['UPDATE_PASSWORD', 'VERIFY_EMAIL']);
    const again = await ok(
      t,
      'user update --realm staff grace --username hopper --first-name= --email grace@example.org --waive-action VERIFY_EMAIL --remove-attribute rank',
    );
    t.like(again, { username: 'hopper', firstName: null, emailVerified: false, attributes: {}, requiredActions: ['UPDATE_PASSWORD'] });
    t.deepEqual(await ok(t, 'user get --realm staff hopper'), again);
    t.regex((await cardea('user get --realm staff hopper')).stdout, /grace@example\.org \(not verified\)/);

    t.is((await cardea('user get --realm other hopper')).status, 1);
    t.is((await cardea(`user get --realm other ${made.id}`)).status, 1, 'of another realm');
    t.regex((await cardea('user update --realm staff hopper --require-action DANCE')).stderr, /^cardea: --require-action: .*DANCE/);
    t.regex((await cardea('user update --realm staff hopper --email nothing')).stderr, /^cardea: email: /);
    t.is((await cardea('user update --realm staff hopper --enable --disable')).status, 2);
  });

  engine.serial('a password is reset for a while, and what a user signs in with is listed without it', async (t) => {
    await ok(t, 'user create --realm staff --username alice --no-password');
    t.deepEqual(await ok(t, 'user credentials --realm staff alice'), []);
    const password = 'four words without relation';
    const reset = await ok(t, 'user reset-password --realm staff alice --temporary --password-stdin', { input: `${password}\n` });
    t.true(reset.temporary);
    t.deepEqual((await ok(t, 'user get --realm staff alice')).requiredActions, ['UPDATE_PASSWORD']);
    const { stdout } = await cardea('user credentials --realm staff alice --json');
    t.like(JSON.parse(stdout)[0], { factor: 'password', username: 'alice' });
    t.notRegex(stdout, /argon2|secret|words/);
    t.is((await cardea('user reset-password --realm staff alice --password-stdin', { input: 'short' })).status, 1);
  });

  engine.serial('sessions are listed and ended: one, a user’s, a realm’s', async (t) => {
    const env = await world();
    const db = await openDatabase({ dataDir: env.CARDEA_DATA_DIR ?? '', databaseUrl: env.DATABASE_URL });
    atEnd(() => db.close());
    const user = await ok(t, 'user create --realm staff --username lin --no-password');
    const { id: realmId } = await db.knex('realms').where('name', 'staff').first('id');
    const now = Date.now();
    const begin = async (id: string, at: number): Promise<void> => {
      const times = { created_at: at, last_seen_at: now, ends_at: now + 3_600_000 };
      await db
        .knex('sessions')
        .insert({ realm_id: realmId, id, uid: id, proofs: '[]', user_id: user.id, ip: '192.0.2.7', user_agent: FIREFOX, remember: false, ...times });
    };
    const ids = [1, 2, 3].map((one) => `00000000-0000-4000-8000-00000000000${one}`);
    for (const [index, id] of ids.entries()) await begin(id, now - 10_000 + index);
    const listed = await ok(t, 'session list --realm staff');
    t.deepEqual(
      listed.map(({ id }: { id: string }) => id),
      ids.toReversed(),
    );
    t.like(listed[0], { username: 'lin', ip: '192.0.2.7', device: 'Firefox on Linux', userAgent: FIREFOX, realm: 'staff' });
    t.regex((await cardea('session list --realm staff')).stdout, /192\.0\.2\.7 +Firefox on Linux /);
    t.deepEqual(await ok(t, 'user sessions --realm staff lin'), listed);
    t.deepEqual(await ok(t, 'session list --realm other'), []);
    t.is((await cardea(`session revoke --realm other ${ids[0]}`)).status, 1, 'of another realm');
    await ok(t, `session revoke --realm staff ${ids[0]}`);
    t.is((await ok(t, 'session list --realm staff --user lin')).length, 2);
    t.is((await cardea(`session revoke --realm staff ${ids[0]}`)).status, 1, 'it has ended');
    t.is((await cardea('session revoke --realm staff')).status, 2);

    const asked = await cardea('session revoke --realm staff --all');
    t.is(asked.status, 1);
    t.regex(asked.stderr, /^cardea: .*--yes/);
    t.is((await cardea('session revoke --realm staff --all', { typed: ['no'] })).status, 1);
    t.is((await ok(t, 'session list --realm staff')).length, 2);
    await ok(t, 'user logout --realm staff lin');
    t.deepEqual(await ok(t, 'session list --realm staff'), []);
    await begin('00000000-0000-4000-8000-000000000009', Date.now() + 1000);
    t.is((await cardea('session revoke --realm staff --all', { typed: ['yes'] })).status, 0);
    t.deepEqual(await ok(t, 'session list --realm staff'), []);
  });

  engine.serial('a user is deleted only where it is meant', async (t) => {
    await ok(t, 'user create --realm staff --username gone --no-password');
    const asked = await cardea('user delete --realm staff gone');
    t.is(asked.status, 1);
    t.regex(asked.stderr, /^cardea: yes: User gone of realm staff is deleted for good\. Say --yes/);
    t.is((await cardea('user delete --realm staff gone', { typed: ['n'] })).status, 1);
    t.is((await ok(t, 'user get --realm staff gone')).username, 'gone');
    t.is((await cardea('user delete --realm staff gone', { typed: ['yes'] })).status, 0);
    t.is((await cardea('user get --realm staff gone')).status, 1);
    t.is((await cardea('user delete --realm staff gone --yes')).status, 1);
  });
});
