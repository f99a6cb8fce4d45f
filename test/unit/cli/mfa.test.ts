/** `cardea mfa`: what a user signs in with, from the command line; codes and keys are printed when asked for, and never else. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type Ended, runHere, settingsFor, startCommand } from '../../support/command.ts';
import { onSqlite, temporaryFolder } from '../../support/databases.ts';
import { totpCode } from '../../support/factors.ts';
import { readQrPicture } from '../../support/qr.ts';

const ON_ERIN = ['--realm', 'staff', '--user', 'erin'];
const CODE = /[a-z0-9]{4}(?:-[a-z0-9]{4}){3}/g;

/** A realm with a user, and the command on it. */
async function scene() {
  const env = settingsFor(await onSqlite.settings({ empty: true }));
  const run = (args: string[], input?: string): Promise<Ended> => runHere(args, env, input === undefined ? {} : { input });
  await run(['realm', 'create', 'staff']);
  await run(['user', 'create', ...ON_ERIN.slice(0, 2), '--username', 'erin'], 'correct horse battery');
  return { run, env, folder: temporaryFolder() };
}

test('recovery codes are printed on request, written for their owner alone, and never listed', async (t) => {
  const { run, folder } = await scene();
  const silent = await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN]);
  t.is(silent.status, 2);
  t.regex(silent.stderr, /--print or --out/);

  const printed = await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN, '--print']);
  t.is(printed.status, 0, printed.stderr);
  const codes = printed.stdout.match(CODE) ?? [];
  t.is(new Set(codes).size, 10);

  const out = join(folder, 'erin.txt');
  const written = await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN, '--out', out, '--json']);
  t.deepEqual(JSON.parse(written.stdout), { realm: 'staff', user: 'erin', made: 10, file: out });
  const fresh = readFileSync(out, 'utf8').match(CODE) ?? [];
  t.is(fresh.length, 10);
  t.is(statSync(out).mode & 0o777, 0o600);
  const again = await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN, '--out', out]);
  t.is(again.status, 1);
  t.regex(again.stderr, /^cardea: out: /);
  t.deepEqual(readFileSync(out, 'utf8').match(CODE), fresh, 'nothing was made');

  const old = await run(['mfa', 'verify', ...ON_ERIN, '--code-stdin'], `${codes[0]}\n`);
  t.deepEqual([old.status, old.stderr], [1, 'cardea: code: The code is not right.\n']);
  const right = await run(['mfa', 'verify', ...ON_ERIN, '--code-stdin'], `${fresh[0]}\n`);
  t.deepEqual([right.status, right.stdout], [0, 'The code is right: it is a recovery code, and 9 are left.\n']);
  const used = await run(['mfa', 'verify', ...ON_ERIN, '--code-stdin', '--json'], `${fresh[0]}\n`);
  t.deepEqual(JSON.parse(used.stdout), { realm: 'staff', user: 'erin', ok: false, reason: 'replayed' });
  const listed = await run(['mfa', 'list', ...ON_ERIN]);
  t.regex(listed.stdout, /^Recovery codes\s+recovery-codes\s+yes\s+9\s/m);
  for (const { stdout, stderr } of [written, again, old, right, used, listed])
    for (const code of [...codes, ...fresh]) t.false(`${stdout}${stderr}`.includes(code));
});

test('a second factor is removed by its id', async (t) => {
  const { run } = await scene();
  await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN, '--print']);
  const [{ id }] = JSON.parse((await run(['mfa', 'list', ...ON_ERIN, '--json'])).stdout);
  t.is((await run(['mfa', 'remove', ...ON_ERIN, '--id', 'x'])).status, 1);
  const removed = await run(['mfa', 'remove', ...ON_ERIN, '--id', id, '--json']);
  t.like(JSON.parse(removed.stdout), { realm: 'staff', user: 'erin', removed: { id, factor: 'recovery-codes' } });
  t.is((await run(['mfa', 'list', ...ON_ERIN])).stdout, 'erin has no second factor.\n');
  t.regex(
    (await run(['mfa', 'verify', ...ON_ERIN, '--code-stdin'], '123456\n')).stderr,
    /has no authenticator app, hardware token or recovery codes/,
  );
});

test('what is on cannot be switched on again', async (t) => {
  const { run } = await scene();
  await run(['mfa', 'recovery-codes', 'generate', ...ON_ERIN, '--print']);
  const refused = await run(['mfa', 'restore', ...ON_ERIN, '--factor', 'recovery-codes']);
  t.deepEqual([refused.status, refused.stderr], [1, 'cardea: erin has no "recovery-codes" that is switched off.\n']);
});

test('the QR code is written as PNG with a logo, and read again; a logo that is none is refused before anything', async (t) => {
  const { run, env, folder } = await scene();
  const logo = join(folder, 'logo.svg');
  writeFileSync(logo, '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#0c5c55"/></svg>');
  const out = join(folder, 'erin.png');
  const args = ['mfa', 'enroll', ...ON_ERIN, '--account', 'erin', '--issuer', 'Example', '--code-stdin', '--json'];
  // The code is wrong, and the picture goes with the enrolment that was not confirmed.
  const wrong = await run([...args, '--logo', logo, '--qr', 'png', '--out', out], '000000\n');
  t.is(wrong.status, 1);
  t.throws(() => statSync(out));

  const command = startCommand([...args, '--logo', logo, '--qr', 'png', '--out', out], env);
  const shown = JSON.parse(await command.printed(/^}$/m));
  t.is(shown.file, out);
  t.is(statSync(out).mode & 0o777, 0o600);
  t.is(await readQrPicture(readFileSync(out)), shown.otpauth);
  command.type(`${totpCode({ secret: shown.key, digits: 6, period: 30, algorithm: 'sha1' }, Date.now())}\n`);
  t.is((await command.ended).status, 0);
  t.true(statSync(out).size > 0);

  for (const [name, content] of [
    ['gif.png', 'GIF89a'],
    ['empty.png', ''],
  ] as const) {
    writeFileSync(join(folder, name), content);
    const refused = await run([...args, '--logo', join(folder, name), '--qr', 'png', '--out', `${out}.2`], '000000\n');
    t.is(refused.status, 1);
    t.is(JSON.parse(refused.stdout).error.field, 'logo');
    t.throws(() => statSync(`${out}.2`));
  }
  t.is((await run([...args, '--logo', '/dev/zero', '--qr', 'png', '--out', `${out}.2`], '000000\n')).status, 1, 'what has no end is not read to it');
  t.is((await run([...args, '--logo', logo, '--qr', 'terminal'], '000000\n')).status, 2);
});
