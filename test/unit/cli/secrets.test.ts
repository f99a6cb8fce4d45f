/** Passwords and codes come from standard input or a prompt, and are never shown. */
import test from 'ava';
import { runHere, settingsFor } from '../../support/command.ts';
import { temporaryFolder } from '../../support/databases.ts';

const env = settingsFor({ dataDir: `${temporaryFolder()}/data` });
const create = (username: string, ...more: string[]) => ['user', 'create', '--realm', 'master', '--username', username, ...more];

test('a password is no argument', async (t) => {
  const { status, stdout, stderr } = await runHere(create('a', '--password', 'do-not-show-me'), env);
  t.is(status, 2);
  t.notRegex(stdout + stderr, /do-not-show-me/);
});

test('a code is no argument', async (t) => {
  for (const args of [['--code', '123456'], ['--code=123456']]) {
    const { status, stdout, stderr } = await runHere(['mfa', 'verify', '--realm', 'master', '--user', 'a', ...args], env);
    t.is(status, 2);
    t.notRegex(stdout + stderr, /123456/);
  }
});

test('a piped password needs no option, and its last line break is not part of it', async (t) => {
  for (const [username, input] of [
    ['piped', 'correct horse'],
    ['lf', 'correct horse\n'],
    ['crlf', 'correct horse\r\n'],
  ] as const) {
    const { status, stdout, stderr } = await runHere(create(username), env, { input });
    t.is(status, 0, stderr);
    t.notRegex(stdout + stderr, /correct/);
  }
});

test('a password of several lines, in no UTF-8, or of a whole file is refused', async (t) => {
  for (const input of ['one line\nanother line\n', Buffer.from([0x70, 0x61, 0x73, 0x73, 0x77, 0x6f, 0x72, 0x64, 0xff]), 'x'.repeat(70_000)]) {
    const { status, stdout, stderr } = await runHere(create('refused', '--password-stdin'), env, { input });
    t.is(status, 1, stderr);
    t.is(stdout, '');
  }
});

test('at a terminal a password is typed twice, and is not echoed', async (t) => {
  const { status, stdout, stderr } = await runHere(create('typed', '--json'), env, { typed: ['correct horse', 'correct horse'] });
  t.is(status, 0, stderr);
  t.is(JSON.parse(stdout).username, 'typed');
  t.notRegex(stdout + stderr, /correct/);
  t.regex(stderr, /Password: /);
});

test('two that differ are refused', async (t) => {
  const { status, stderr } = await runHere(create('differs'), env, { typed: ['correct horse', 'correct house'] });
  t.is(status, 1);
  t.regex(stderr, /password: The two were not the same/);
});

test('Ctrl-C at the prompt ends the command, and nobody is made', async (t) => {
  t.is((await runHere(create('interrupted'), env, { typed: ['\u0003'] })).status, 130);
  const { stdout } = await runHere(['user', 'list', '--realm', 'master', '--json'], env);
  t.false(JSON.parse(stdout).some((user: { username: string }) => user.username === 'interrupted'));
});

test('the secret of a client is printed once, where it is made, and never of a public one', async (t) => {
  const made = await runHere(['client', 'create', '--realm', 'master', '--client-id', 'a', '--json'], env);
  const { secret } = JSON.parse(made.stdout);
  t.regex(secret, /^[\w-]{43}$/);
  const listed = await runHere(['client', 'list', '--realm', 'master', '--json'], env);
  t.false(listed.stdout.includes(secret));
  t.notRegex(listed.stdout, /"secret"/);
  const open = await runHere(['client', 'create', '--realm', 'master', '--client-id', 'b', '--public', '--json'], env);
  t.false('secret' in JSON.parse(open.stdout));
});
