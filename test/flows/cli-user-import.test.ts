/** Users from files: CSV and JSON, bad rows among them, again and again, and very many. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { elementsOf } from '../../src/cli/json-elements.ts';
import { type Ended, runHere, settingsFor } from '../support/command.ts';
import { forEachEngine, temporaryFolder } from '../support/databases.ts';

type Env = Record<string, string>;

const folder = temporaryFolder();
let files = 0;
function fileOf(text: string): string {
  files += 1;
  const path = join(folder, `users-${files}`);
  writeFileSync(path, text);
  return path;
}

forEachEngine((engine) => {
  let shared: Promise<Env> | undefined;
  const world = () => {
    shared ??= engine.settings().then((config) => settingsFor(config));
    return shared;
  };
  const cardea = async (...args: string[]): Promise<Ended> => runHere(args, await world());
  const ok = async (t: ExecutionContext, ...args: string[]) => {
    const { status, stdout, stderr } = await cardea(...args, '--json');
    t.is(status, 0, `${args.join(' ')}: ${stderr} ${stdout}`);
    return JSON.parse(stdout);
  };
  const realm = async (t: ExecutionContext, name: string): Promise<string> => {
    await ok(t, 'realm', 'create', name);
    await ok(t, 'role', 'create', '--realm', name, '--name', 'seller');
    await ok(t, 'client', 'create', '--realm', name, '--client-id', 'wiki', '--redirect-uri', 'https://wiki.example/');
    await ok(t, 'role', 'create', '--realm', name, '--client', 'wiki', '--name', 'editor');
    await ok(t, 'group', 'create', '--realm', name, '--name', 'sales');
    return name;
  };

  engine.test('a CSV file makes users with all that it says, and once more it makes nobody', async (t) => {
    const name = await realm(t, 'csv');
    const csv = fileOf(
      [
        'Username,E-Mail,First Name,lastName,emailVerified,enabled,password,temporary,groups,roles,clientRoles,attributes.team,colour',
        'ada,ada@example.com,Ada,"Lovelace, Countess",yes,,four words without relation,true,/sales,seller,wiki:editor,north;south,red',
        'alan,alan@example.com,,,no,no,,,,,,,blue',
        '',
      ].join('\r\n'),
    );
    const tried = await ok(t, 'user', 'import', csv, '--realm', name, '--dry-run');
    t.like(tried, { created: 2, changed: 0, skipped: 0, failed: 0, dryRun: true });
    t.deepEqual(await ok(t, 'user', 'list', '--realm', name), []);
    const done = await ok(t, 'user', 'import', csv, '--realm', name);
    t.like(done, { created: 2, failed: 0, leftOut: { colour: 1 } });
    const ada = await ok(t, 'user', 'get', '--realm', name, 'ada');
    t.like(ada, {
      firstName: 'Ada',
      lastName: 'Lovelace, Countess',
      enabled: true,
      attributes: { team: ['north', 'south'] },
      requiredActions: ['UPDATE_PASSWORD'],
    });
    t.deepEqual((await ok(t, 'user', 'credentials', '--realm', name, 'ada')).length, 1);
    const roles = (await ok(t, 'role', 'list', '--realm', name, '--user', 'ada')).map((one: { name: string }) => one.name);
    t.true(roles.includes('seller') && roles.includes('editor') && roles.includes(`default-roles-${name}`));
    t.false((await ok(t, 'user', 'get', '--realm', name, 'alan')).enabled);
    t.like(await ok(t, 'user', 'import', csv, '--realm', name), { created: 0, skipped: 2 });
  });

  engine.test('with --update what is there becomes as the file says, and once more nothing changes', async (t) => {
    const name = await realm(t, 'update');
    await ok(t, 'user', 'import', fileOf('username,email,firstName,attributes.team\nada,ada@example.com,Ada,north\n'), '--realm', name);
    const file = fileOf(
      'username,email,lastName,enabled,groups,roles,attributes.team,password\nADA,ada@example.org,Byron,no,/sales,seller,south,another set of four words\n',
    );
    t.like(await ok(t, 'user', 'import', file, '--realm', name, '--update', '--dry-run'), { changed: 1 });
    t.is((await ok(t, 'user', 'get', '--realm', name, 'ada')).lastName, null);
    t.like(await ok(t, 'user', 'import', file, '--realm', name, '--update'), { created: 0, changed: 1, skipped: 0 });
    t.like(await ok(t, 'user', 'get', '--realm', name, 'ada'), {
      ...{ email: 'ada@example.org', firstName: 'Ada', lastName: 'Byron', enabled: false, attributes: { team: ['south'] } },
    });
    t.deepEqual(await ok(t, 'user', 'credentials', '--realm', name, 'ada'), [], 'a password is for new users');
    t.like(await ok(t, 'user', 'import', file, '--realm', name, '--update'), { changed: 0, skipped: 1 });
  });

  engine.test('bad rows stop nobody else, and each is told of with its line and field', async (t) => {
    const name = await realm(t, 'bad');
    const csv = fileOf(
      [
        'username;email;enabled;password;groups;roles',
        'ada;ada@example.com;;;;',
        'with space;;;;;',
        'bob;nothing;;;;',
        'carl;;maybe;;;',
        'dora;;;short;;',
        'emil;;;;/nowhere;',
        'finn;;;;;captain',
        'ada;;;;;',
        'gina;ADA@example.com;;;;',
        ';;;;;x',
        'hugo;"un"closed;;;;',
        'ines;;;;;;;;more',
        'jana;;;;;',
        '"kurt;;;;;',
        'lisa;;;;;',
      ].join('\n'),
    );
    const { status, stdout } = await cardea('user', 'import', csv, '--realm', name, '--json');
    t.is(status, 1);
    const report = JSON.parse(stdout);
    t.like(report, { created: 3, failed: 12 });
    const told = report.failures.map(({ at, field }: { at: string; field?: string }) => `${at} ${field ?? ''}`.trim());
    t.deepEqual(told.slice(0, 9), [
      ...['line 3 username', 'line 4 email', 'line 5 enabled', 'line 6 password', 'line 7', 'line 8 realmRoles', 'line 9 username', 'line 10 email'],
      'line 11 username',
    ]);
    t.deepEqual(
      (await ok(t, 'user', 'list', '--realm', name)).map((one: { username: string }) => one.username),
      ['ada', 'jana', 'lisa'],
    );
    const text = await cardea('user', 'import', csv, '--realm', name);
    t.is(text.status, 1);
    t.regex(text.stdout, /^line 3 \(with space\) {2}username: must not contain spaces/m);
    t.regex(text.stdout, /Created 0, changed 0, skipped 3, failed 12\.\n$/);

    // Whoever has the address is in the database, and not in the file.
    await ok(t, 'user', 'create', '--realm', name, '--username', 'kim', '--email', 'kim@example.com', '--no-password');
    const taken = await cardea('user', 'import', fileOf('username,email\nlars,kim@example.com\nmona,mona@example.com\n'), '--realm', name, '--json');
    t.like(JSON.parse(taken.stdout), { created: 1, failed: 1 });
    t.like(JSON.parse(taken.stdout).failures[0], { at: 'line 2', username: 'lars', field: 'email' });
  });

  engine.test('JSON is read as Keycloak exports it, and what is left out is told', async (t) => {
    const name = await realm(t, 'json');
    const users = [
      {
        ...{ id: 'x', createdTimestamp: 1, username: 'ada', email: 'ada@example.com', emailVerified: true, enabled: true, totp: false },
        ...{ attributes: { team: ['north'], rank: 'one' }, groups: ['/sales'], realmRoles: ['seller'], clientRoles: { wiki: ['editor'] } },
        credentials: [{ type: 'password', value: 'four words without relation', temporary: false }],
        ...{ requiredActions: ['CONFIGURE_TOTP', 'DANCE'], notBefore: 0, disableableCredentialTypes: [] },
      },
      {
        username: 'alan',
        enabled: false,
        federatedIdentities: [{ identityProvider: 'x', userId: '1' }],
        credentials: [
          {
            type: 'password',
            secretData: JSON.stringify({ value: Buffer.alloc(32, 1).toString('base64'), salt: Buffer.alloc(16, 2).toString('base64') }),
            credentialData: JSON.stringify({ hashIterations: 27_500, algorithm: 'pbkdf2-sha256', additionalParameters: {} }),
          },
          { type: 'otp' },
          { type: 'webauthn', secretData: '{}', credentialData: '{}' },
        ],
      },
      { username: 'service-account-wiki', serviceAccountClientId: 'wiki' },
      { username: 7 },
      { username: 'erin', credentials: [{ type: 'password', secretData: '{"value":"x"}', credentialData: '{}' }] },
      'text',
    ];
    const file = fileOf(
      JSON.stringify({ realm: 'users', id: 'users": [', roles: { realm: [{ name: 'x' }] }, users, clients: [{ users: [1] }] }, null, 1),
    );
    const { status, stdout } = await cardea('user', 'import', file, '--realm', name, '--json');
    t.is(status, 1);
    const report = JSON.parse(stdout);
    t.like(report, { created: 2, skipped: 1, failed: 3 });
    t.deepEqual(report.leftOut, { 'requiredActions (DANCE)': 1, federatedIdentities: 1, 'credentials (otp)': 1, 'credentials (webauthn)': 1 });
    t.deepEqual(
      report.failures.map(({ at }: { at: string }) => at),
      ['users[3]', 'users[4]', 'users[5]'],
    );
    t.like(await ok(t, 'user', 'get', '--realm', name, 'ada'), {
      attributes: { rank: ['one'], team: ['north'] },
      requiredActions: ['CONFIGURE_TOTP'],
    });
    t.is(report.failures[1].field, 'credentials.0.secretData');
    t.like((await ok(t, 'user', 'credentials', '--realm', name, 'alan'))[0], { factor: 'password' });
    t.is((await cardea('user', 'import', fileOf(JSON.stringify(users.slice(0, 2))), '--realm', name)).status, 0, 'the list alone');
    for (const text of ['{"realm":"x"}', '[{"username":"a"}', '', '{"users":{}}', 'email\nx\n']) {
      const wrong = await cardea('user', 'import', fileOf(text), '--realm', name);
      t.is(wrong.status, 1, text);
      t.regex(wrong.stderr, /^cardea: (file: )?The f/, text);
    }
    t.regex((await cardea('user', 'import', join(folder, 'nowhere'), '--realm', name)).stderr, /cannot be read/);
  });

  engine.test('many users take little memory, and every one is recorded', async (t) => {
    const name = await realm(t, 'many');
    const many = engine.engine === 'sqlite' ? 5000 : 1500;
    const file = fileOf(
      `username,email,attributes.team\n${Array.from({ length: many }, (_, index) => `u${index},u${index}@example.com,team ${index % 7}\n`).join('')}`,
    );
    const began = Date.now();
    t.like(await ok(t, 'user', 'import', file, '--realm', name), { created: many, failed: 0 });
    t.log(`${Math.round(many / ((Date.now() - began) / 1000))} users a second`);
    t.is((await ok(t, 'user', 'list', '--realm', name, '--search', `u${many - 1}`)).length, 1);
    t.like(await ok(t, 'user', 'import', file, '--realm', name, '--update'), { changed: 0, skipped: many });
    const verified = await cardea('audit', 'verify', '--realm', name);
    t.is(verified.status, 0, verified.stderr);
  });
});

test('a list in JSON is read in pieces of any size', async (t) => {
  const text = `{"users":1,"a":{"users":[0]},"users":${JSON.stringify([{ a: '],[{"\\' }, [1, [2]], 'x,"]', 3, null])},"b":[2]}`;
  const pieces = (size: number) => ({
    async *[Symbol.asyncIterator]() {
      for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
    },
  });
  for (const size of [1, 2, 7, 1000]) {
    const found: unknown[] = [];
    for await (const { text: element } of elementsOf(pieces(size), 'users')) found.push(JSON.parse(element));
    t.deepEqual(found, [{ a: '],[{"\\' }, [1, [2]], 'x,"]', 3, null]);
  }
});
