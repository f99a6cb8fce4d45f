/** A realm's hardware tokens: imported whole, given to one user at a time, and back with their counters. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { secondFactorsOf } from '../../../src/admin/resources/credentials.ts';
import { allTokens, assignToken, importTokens, removeToken, type TokenSource, unassignToken } from '../../../src/admin/resources/tokens.ts';
import { verifyCode } from '../../../src/admin/resources/verify-code.ts';
import { AppError } from '../../../src/errors.ts';
import type { OtpSecret } from '../../../src/factors/otp.ts';
import type { Database } from '../../../src/store/database.ts';
import { runHere, settingsFor } from '../../support/command.ts';
import { onSqlite, temporaryFolder, testOnEngines } from '../../support/databases.ts';
import { hotpCode, hotpSecret, totpCode } from '../../support/factors.ts';
import { operatorScene } from '../../support/operator.ts';

const START = Date.UTC(2030, 0, 15, 12, 0, 7);

const csv = (text: string): TokenSource => ({ format: 'csv', bytes: Buffer.from(text), encoding: 'base32' });
const oneToken = (secret: OtpSecret, serial = 'SN-1', more = ''): TokenSource =>
  csv(`serial,secret,digits,algorithm${more && ',counter,model,username'}\n${serial},${secret.secret},${secret.digits},${secret.algorithm}${more}\n`);

async function scene(db: Database) {
  const on = await operatorScene(db, START);
  const { at, realm } = on;
  const listed = async (only?: 'assigned' | 'in-stock') => {
    const tokens = [];
    for await (const token of allTokens(at(START), realm, only)) tokens.push(token);
    return tokens;
  };
  return { ...on, listed };
}

async function refusal(t: ExecutionContext, work: Promise<unknown>): Promise<AppError> {
  const error = await t.throwsAsync(work);
  if (!(error instanceof AppError)) throw error;
  return error;
}

testOnEngines('a file is looked at as a whole, and nothing is stored while a line of it is wrong', async (t, db) => {
  const { at, realm, listed, audited } = await scene(db);
  const secret = hotpSecret().secret;
  const good = `serial,secret,username\nA,${secret},\nB,${secret},erin\n`;
  const wrong = csv(`${good}a,${secret},\nC,${secret},nobody\nD,short,\n`);
  const report = await importTokens(at(START), realm, wrong);
  t.like(report, { accepted: 2, duplicates: 0, wrong: 3, stored: false, counts: 'line' });
  t.deepEqual(
    report.lines.map(({ place, serial, outcome, why }) => [place, serial, outcome, why]),
    [
      [2, 'A', 'accepted', undefined],
      [3, 'B', 'accepted', undefined],
      [4, 'a', 'wrong', 'its serial number is that of line 2'],
      [5, 'C', 'wrong', 'there is no user of that name'],
      [6, 'D', 'wrong', 'the secret is missing, or not in the encoding that was named'],
    ],
  );
  t.false(JSON.stringify(report).includes(secret));
  t.deepEqual(await listed(), []);

  t.like(await importTokens(at(START), realm, csv(good), { dryRun: true }), { accepted: 2, stored: false });
  t.deepEqual(await listed(), []);
  const seen: [number, number][] = [];
  t.like(await importTokens(at(START), realm, csv(good), { progress: (done, all) => seen.push([done, all]) }), { accepted: 2, stored: true });
  t.deepEqual(seen.at(-1), [2, 2]);
  t.deepEqual(
    (await listed()).map(({ serial, username }) => [serial, username]),
    [
      ['A', null],
      ['B', 'erin'],
    ],
  );
  t.deepEqual(await audited(null), ['realm.created', 'mfa.token.imported']);

  const again = await importTokens(at(START), realm, csv(`${good}E,${secret},\n`));
  t.like(again, { accepted: 1, duplicates: 2, wrong: 0, stored: true });
  t.is((await listed()).length, 3);
});

testOnEngines('many tokens are stored in small batches', async (t, db) => {
  const { at, realm, listed, audited } = await scene(db);
  const secret = hotpSecret().secret;
  const rows = Array.from({ length: 520 }, (_, index) => `T${String(index).padStart(4, '0')},${secret}`);
  const seen: number[] = [];
  const report = await importTokens(at(START), realm, csv(`serial,secret\n${rows.join('\n')}\n`), { progress: (done) => seen.push(done) });
  t.like(report, { accepted: 520, stored: true });
  t.deepEqual(seen, [0, 100, 200, 300, 400, 500, 520]);
  const tokens = await listed();
  t.is(tokens.length, 520);
  t.false(JSON.stringify(tokens).includes(secret));
  t.is((await audited(null)).filter((type) => type === 'mfa.token.imported').length, 6);
  const stored = await db.knex('hardware_tokens').where({ realm_id: realm.id }).pluck('secret');
  t.is(new Set(stored).size, 520, 'the same key, sealed to each row');
  t.true(stored.every((sealed: string) => sealed.startsWith('v1|')));
});

testOnEngines('a token of a user is a factor of theirs, told of and recorded, and its codes are theirs', async (t, db) => {
  const { at, realm, user, audited, messages } = await scene(db);
  const secret = hotpSecret({ digits: 8, algorithm: 'sha256' });
  await importTokens(at(START), realm, oneToken(secret, 'SN-1', ',20,C100,erin'));
  const [credential] = await secondFactorsOf(at(START), realm, user);
  t.like(credential, { factor: 'hotp', label: 'C100 SN-1', counter: 19, enabled: true, lastUsedAt: null });
  t.is(await messages(), 1);
  t.deepEqual((await audited()).toSorted(), ['mfa.factor.enrolled', 'mfa.token.assigned', 'user.created']);
  t.deepEqual(await verifyCode(at(START), realm, user, hotpCode(secret, 19)), { ok: false, reason: 'replayed' });
  t.like(await verifyCode(at(START), realm, user, hotpCode(secret, 20)), { ok: true });
  t.deepEqual(await verifyCode(at(START), realm, user, hotpCode(secret, 20)), { ok: false, reason: 'replayed' });
});

testOnEngines('a token that comes back keeps its counter: no code works for whoever has it next', async (t, db) => {
  const { at, realm, user, person, listed, audited } = await scene(db);
  const frank = await person('frank');
  const secret = hotpSecret();
  await importTokens(at(START), realm, oneToken(secret));
  await assignToken(at(START), realm, 'sn 1', user);
  t.like(await verifyCode(at(START), realm, user, hotpCode(secret, 5)), { ok: true });
  t.is((await refusal(t, assignToken(at(START), realm, 'SN-1', frank))).status, 409);
  t.is((await refusal(t, removeToken(at(START), realm, 'SN-1'))).status, 409);

  t.is((await unassignToken(at(START), realm, 'SN-1'))?.id, user.id);
  t.deepEqual(await secondFactorsOf(at(START), realm, user), []);
  t.like((await listed('in-stock'))[0], { serial: 'SN-1', counter: 5, credentialId: null, userId: null });
  t.true((await audited()).includes('mfa.token.returned'));
  t.is((await refusal(t, unassignToken(at(START), realm, 'SN-1'))).status, 409);

  await assignToken(at(START), realm, 'SN-1', frank);
  t.deepEqual(await verifyCode(at(START), realm, frank, hotpCode(secret, 5)), { ok: false, reason: 'replayed' });
  t.like(await verifyCode(at(START), realm, frank, hotpCode(secret, 6)), { ok: true });
  t.is((await listed('assigned'))[0]?.username, 'frank');
});

testOnEngines('of many who are given one token at once, one has it', async (t, db) => {
  const { at, realm, person, listed } = await scene(db);
  await importTokens(at(START), realm, oneToken(hotpSecret()));
  const people = await Promise.all(Array.from({ length: 6 }, (_, index) => person(`person-${index}`)));
  const outcomes = await Promise.allSettled(people.map((one) => assignToken(at(START), realm, 'SN-1', one)));
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  t.true(outcomes.every((outcome) => outcome.status === 'fulfilled' || outcome.reason.status === 409));
  const held = (await Promise.all(people.map((one) => secondFactorsOf(at(START), realm, one)))).flat();
  t.is(held.length, 1);
  t.is((await listed())[0]?.credentialId, held[0]?.id);
});

testOnEngines('tokens of the time are apps; tokens that are lost are removed', async (t, db) => {
  const { at, realm, user, listed } = await scene(db);
  const secret = hotpSecret();
  await importTokens(at(START), realm, csv(`serial,secret,type,period\nT-1,${secret.secret},totp,60\n`));
  t.is((await assignToken(at(START), realm, 'T-1', user)).factor, 'totp');
  t.like(await verifyCode(at(START), realm, user, totpCode({ ...secret, period: 60 }, START)), { ok: true });
  await unassignToken(at(START), realm, 'T-1');
  t.is((await listed())[0]?.counter, null, 'steps of the time are no counter');
  await removeToken(at(START), realm, 'T-1');
  t.deepEqual(await listed(), []);
  t.is((await refusal(t, removeToken(at(START), realm, 'T-1'))).status, 404);
});

testOnEngines('F02 a key that was moved to another token does not open', async (t, db) => {
  const { at, realm, user, listed } = await scene(db);
  const secret = hotpSecret().secret;
  await importTokens(at(START), realm, csv(`serial,secret\nA,${secret}\nB,${secret}\n`));
  const [a] = await db.knex('hardware_tokens').where({ realm_id: realm.id, serial: 'A' });
  await db.knex('hardware_tokens').where({ realm_id: realm.id, serial: 'B' }).update({ secret: a.secret });
  t.is((await refusal(t, assignToken(at(START), realm, 'B', user))).code, 'corrupted');
  t.deepEqual(await listed('assigned'), []);
});

testOnEngines('serial numbers and users are of their realm', async (t, db) => {
  const [one, other] = [await scene(db), await scene(db)];
  await importTokens(one.at(START), one.realm, oneToken(hotpSecret()));
  t.is((await refusal(t, assignToken(other.at(START), other.realm, 'SN-1', other.user))).status, 404);
  t.like(await importTokens(other.at(START), other.realm, oneToken(hotpSecret())), { accepted: 1, duplicates: 0, stored: true });
});

test('the command line imports, lists, assigns and takes back, and prints no key', async (t) => {
  const env = settingsFor(await onSqlite.settings({ empty: true }));
  const folder = temporaryFolder();
  const secret = hotpSecret();
  const hex = Buffer.from('12345678901234567890').toString('hex');
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const said: string[] = [];
  const run = async (...args: string[]) => {
    const ended = await runHere(args, env);
    said.push(ended.stdout, ended.stderr);
    return ended;
  };
  await run('realm', 'create', 'staff');
  await runHere(['user', 'create', '--realm', 'staff', '--username', 'erin'], env, { input: 'correct horse battery' });

  const good = file('tokens.csv', `serial,secret,encoding,model\nSN-1,${secret.secret},base32,C100\nSN-2,${hex},hex,\n`);
  t.regex((await run('token', 'import', good, '--realm', 'staff', '--dry-run')).stdout, /2 tokens would be imported/);
  const imported = await run('token', 'import', good, '--realm', 'staff');
  t.is(imported.status, 0, imported.stderr);
  t.regex(imported.stdout, /^LINE\s+SERIAL\s+RESULT\n2\s+SN-1\s+accepted\n3\s+SN-2\s+accepted\n\nImported 2 tokens\.\n$/);

  const wrong = await run('token', 'import', file('more.csv', `serial,secret\nSN-1,${hex}\nSN-3,zz\n`), '--encoding', 'hex', '--realm', 'staff');
  t.is(wrong.status, 1);
  t.regex(wrong.stdout, /SN-1\s+duplicate\n3\s+SN-3\s+wrong: the secret is missing/);
  t.is(wrong.stderr, 'cardea: file: 1 of 2 are wrong; nothing was imported.\n');

  const pskc = `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage><DeviceInfo><SerialNo>SN-4</SerialNo></DeviceInfo><Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters><Data><Secret><PlainValue>${Buffer.from(hex, 'hex').toString('base64')}</PlainValue></Secret><Counter><PlainValue>0</PlainValue></Counter></Data></Key></KeyPackage></KeyContainer>`;
  const document = JSON.parse((await run('token', 'import', file('tokens.pskcxml', pskc), '--realm', 'staff', '--json')).stdout);
  t.deepEqual(document, {
    realm: 'staff',
    format: 'pskc',
    counts: 'key',
    accepted: 1,
    duplicates: 0,
    wrong: 0,
    stored: true,
    lines: [{ place: 1, serial: 'SN-4', outcome: 'accepted' }],
  });

  t.regex((await run('token', 'assign', 'SN-1', '--realm', 'staff', '--user', 'erin')).stdout, /^The token "C100 SN-1" is erin's\.\n$/);
  t.regex((await run('token', 'list', '--realm', 'staff')).stdout, /^SN-1\s+C100\s+hotp\s+6\s+erin\s/m);
  t.is(JSON.parse((await run('token', 'list', '--realm', 'staff', '--in-stock', '--json')).stdout).length, 2);
  const listed = await run('mfa', 'list', '--realm', 'staff', '--user', 'erin');
  t.regex(listed.stdout, /^C100 SN-1\s+hotp\s+yes\s+-\s/m);
  const right = await runHere(['mfa', 'verify', '--realm', 'staff', '--user', 'erin', '--code-stdin'], env, { input: `${hotpCode(secret, 3)}\n` });
  t.is(right.stdout, 'The code is right: it is of "C100 SN-1".\n');
  t.is((await run('token', 'unassign', 'SN-1', '--realm', 'staff')).stdout, "The token SN-1 is in stock, and no longer erin's.\n");
  t.is((await run('token', 'remove', 'SN-1', '--realm', 'staff')).stdout, 'Removed the token SN-1.\n');

  const refused: [string[], number, RegExp][] = [
    [['token', 'import', `${good}.not`, '--format', 'csv', '--realm', 'staff'], 1, /^cardea: file: The file cannot be read/],
    [['token', 'import', file('tokens.bin', ''), '--realm', 'staff'], 2, /--format/],
    [['token', 'import', file('empty.csv', ''), '--encoding', 'hex', '--realm', 'staff'], 1, /^cardea: file: The file is empty/],
    [['token', 'import', good, '--format', 'pskc', '--encoding', 'hex', '--realm', 'staff'], 2, /--encoding is for CSV/],
    [['token', 'import', good, '--format', 'pskc', '--realm', 'staff'], 1, /not XML/],
    [['token', 'assign', 'SN-9', '--realm', 'staff', '--user', 'erin'], 1, /no token with the serial number/],
    [['token', 'assign', 'SN-2', '--realm', 'staff', '--user', 'nobody'], 1, /no user "nobody"/],
    [['token', 'unassign', 'SN-2', '--realm', 'staff'], 1, /nobody's/],
  ];
  for (const [args, status, says] of refused) {
    const ended = await run(...args);
    t.is(ended.status, status, `${args.join(' ')}: ${ended.stderr}`);
    t.regex(ended.stderr, says);
  }
  const all = said.join('\n').toLowerCase();
  for (const key of [secret.secret, hex, Buffer.from(hex, 'hex').toString('base64')]) t.false(all.includes(key.toLowerCase()));
});
