/** What the command line makes of its arguments: exit codes, one line for what is wrong, and pure JSON. */
import test from 'ava';
import { runHere, settingsFor } from '../../support/command.ts';
import { temporaryFolder } from '../../support/databases.ts';

const env = settingsFor({ dataDir: `${temporaryFolder()}/data` });
const cardea = (...args: string[]) => runHere(args, env);

const USAGE: [title: string, args: string[], says: RegExp][] = [
  ['an unknown command', ['nope'], /unknown command 'nope'/],
  ['an unknown option', ['realm', 'create', 'a', '--colour'], /unknown option '--colour'/],
  ['a missing option', ['client', 'create', '--realm', 'a'], /--client-id/],
  ['a missing argument', ['realm', 'create'], /name/],
  ['one argument too many', ['realm', 'create', 'a', 'b'], /too many arguments/],
  ['a choice that is none', ['realm', 'create', 'a', '--mfa', 'maybe'], /off, optional, required/],
  ['a number that is none', ['keys', 'rotate', '--realm', 'a', '--keep', '1h'], /--keep.*seconds/],
  ['a negative number', ['keys', 'rotate', '--realm', 'a', '--publish-ahead=-1'], /--publish-ahead.*seconds/],
];
for (const [title, args, says] of USAGE) {
  test(`${title} is wrong usage: 2, and one line`, async (t) => {
    const { status, stdout, stderr } = await cardea(...args);
    t.is(status, 2);
    t.is(stdout, '');
    t.regex(stderr, /^cardea: [^\n]+\n$/);
    t.regex(stderr, says);
  });
}

test('a command without its second word shows its help, on standard error', async (t) => {
  const { status, stdout, stderr } = await cardea('realm');
  t.is(status, 2);
  t.is(stdout, '');
  t.regex(stderr, /Usage: cardea realm/);
});

/** Every command, as the help of the one above it lists it. */
async function* commandsBelow(command: string[] = []): AsyncGenerator<{ command: string[]; help: string }> {
  const { status, stdout, stderr } = await cardea(...command, '--help');
  if (status !== 0 || stderr !== '') throw new Error(`${command.join(' ')} --help: ${status} ${stderr}`);
  yield { command, help: stdout };
  const listed = /\nCommands:\n((?: {2,}.*\n)+)/.exec(stdout)?.[1] ?? '';
  for (const [, name = ''] of listed.matchAll(/^ {2}([a-z][\w-]*)/gm)) if (name !== 'help') yield* commandsBelow([...command, name]);
}

test('every command has help with examples, 80 columns wide but for the examples', async (t) => {
  const seen: string[] = [];
  for await (const { command, help } of commandsBelow()) {
    const name = command.join(' ');
    seen.push(name);
    t.regex(help, new RegExp(`^Usage: cardea ${name}`.trim()));
    t.regex(help, /\nExamples:\n {2}\$ cardea|\nExamples:\n(.*\n)* {2}\$ [A-Z_]+=.* cardea/, name);
    for (const line of help.replaceAll(/\nExamples:\n(?:.+\n)*/g, '').split('\n')) t.true(line.length <= 80, line);
    if (/^ {2}--yes/m.test(help)) t.regex(help, /--yes.*\n[\s\S]*Examples:[\s\S]*--yes/, `${name}: an example with --yes`);
  }
  t.true(seen.length > 90, String(seen.length));
  for (const expected of ['user import', 'group members', 'role add-composite', 'session revoke', 'completion'])
    t.true(seen.includes(expected), expected);
});

test('every command that answers does so as JSON, too', async (t) => {
  const without: string[] = [];
  for await (const { command, help } of commandsBelow()) {
    const isGroup = /\nCommands:\n/.test(help);
    if (!isGroup && !/^ {2}--json /m.test(help)) without.push(command.join(' '));
  }
  // These run until they are stopped, or print what another program reads.
  t.deepEqual(without.sort(), NO_DOCUMENT);
});
const NO_DOCUMENT = ['audit export', 'completion', 'serve'];

test('the version is the package’s', async (t) => {
  const { status, stdout } = await cardea('--version');
  t.is(status, 0);
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('wrong settings are refused, one line each', async (t) => {
  const { status, stdout, stderr } = await runHere(['realm', 'list', '--json'], { ...env, PORT: 'x', LOG_LEVEL: 'loud' });
  t.is(status, 1);
  t.is(stderr.trimEnd().split('\n').length, 2);
  t.regex(stderr, /^cardea: PORT /);
  t.is(JSON.parse(stdout).error.code, 'settings');
});

const REFUSED: [title: string, args: string[], field: string][] = [
  ['a realm name that may not be', ['realm', 'create', 'No Such Name'], 'name'],
  ['a redirect URI that may not be', ['client', 'create', '--realm', 'master', '--client-id', 'a', '--redirect-uri', '*'], 'redirectUris'],
  [
    'a post-logout URI that may not be',
    ['client', 'create', '--realm', 'master', '--client-id', 'a', '--post-logout-redirect-uri', 'x'],
    'postLogoutRedirectUris',
  ],
  ['an email address that is none', ['user', 'create', '--realm', 'master', '--username', 'a', '--email', 'a@', '--no-password'], 'email'],
  ['a role that is not there', ['user', 'create', '--realm', 'master', '--username', 'a', '--role', 'nope', '--no-password'], 'realmRoles'],
  ['a password that is empty', ['user', 'create', '--realm', 'master', '--username', 'a', '--password-stdin'], 'password'],
  ['a code that is empty', ['mfa', 'verify', '--realm', 'master', '--user', 'erin', '--code-stdin'], 'code'],
];
test.before('a user to ask about', async (t) => {
  const { status } = await cardea('user', 'create', '--realm', 'master', '--username', 'erin', '--no-password');
  t.is(status, 0);
});
for (const [title, args, field] of REFUSED) {
  test(`${title} is refused: 1, one line that names the field, and one JSON document`, async (t) => {
    const { status, stdout, stderr } = await cardea(...args, '--json');
    t.is(status, 1);
    t.regex(stderr, new RegExp(`^cardea: ${field}: [^\\n]+\\n$`));
    const { error } = JSON.parse(stdout);
    t.is(error.field, field);
    t.true(error.message.length > 10);
    t.is((await cardea(...args)).stdout, '');
  });
}

test('what is not there is refused', async (t) => {
  t.regex((await cardea('client', 'list', '--realm', 'nope')).stderr, /no realm named "nope"/);
  t.regex((await cardea('mfa', 'list', '--realm', 'master', '--user', 'nope')).stderr, /no user "nope"/);
  t.regex((await runHere(['mfa', 'verify', '--realm', 'master', '--user', 'erin'], env, { input: '123456\n' })).stderr, /no authenticator app/);
});

test('what somebody else chose cannot act on the terminal', async (t) => {
  const { status, stderr } = await cardea('realm', 'create', 'a\u001b[31mb\nc\u202e');
  t.is(status, 1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
  t.notRegex(stderr, /\u001b|\u202e|\n./);
});

test('a fault is 70, with a reference, and its details only for LOG_LEVEL=debug', async (t) => {
  const broken = { ...env, CARDEA_DATA_DIR: `${temporaryFolder()}/data` };
  t.is((await runHere(['migrate'], broken)).status, 0);
  const { openDatabase } = await import('../../../src/store/database.ts');
  const db = await openDatabase({ dataDir: broken.CARDEA_DATA_DIR });
  await db.knex.schema.dropTable('installation');
  await db.close();

  const quiet = await runHere(['realm', 'list', '--json'], broken);
  t.is(quiet.status, 70);
  const { error } = JSON.parse(quiet.stdout);
  t.is(error.code, 'fault');
  t.regex(quiet.stderr, new RegExp(`^cardea: .*${error.reference}.*\\n$`));
  t.notRegex(quiet.stderr, /installation/);
  const loud = await runHere(['realm', 'list'], { ...broken, LOG_LEVEL: 'debug' });
  t.is(loud.status, 70);
  t.regex(loud.stderr, /no such table: installation/);
});
