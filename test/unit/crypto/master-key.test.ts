import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { checkCanary, makeCanary, masterKeyProvider, parseMasterKeys, readOrCreateMasterKey } from '../../../src/crypto/master-key.ts';

const newKey = (id: string) => ({ id, bytes: randomBytes(32) });

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'cardea-master-key-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'data');
}

test('the key is made once, for its owner only, and read again afterwards', (t) => {
  const dataDir = folder(t);
  const first = readOrCreateMasterKey(dataDir);
  t.true(first.created);
  t.is(first.keys.length, 1);
  t.is(first.keys[0]?.bytes.length, 32);
  t.is(statSync(join(dataDir, 'master.key')).mode & 0o777, 0o600);
  t.is(statSync(dataDir).mode & 0o777, 0o700);
  t.deepEqual(readdirSync(dataDir), ['master.key'], 'no draft is left behind');

  const second = readOrCreateMasterKey(dataDir);
  t.false(second.created);
  t.deepEqual(second.keys, first.keys);
});

test('two installations have two keys', (t) => {
  t.notDeepEqual(readOrCreateMasterKey(folder(t)).keys[0]?.bytes, readOrCreateMasterKey(folder(t)).keys[0]?.bytes);
});

test('a key that others may read or write is refused, with what to do', (t) => {
  const dataDir = folder(t);
  readOrCreateMasterKey(dataDir);
  const path = join(dataDir, 'master.key');
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o666, 0o610]) {
    chmodSync(path, mode);
    const error = t.throws(() => readOrCreateMasterKey(dataDir), { message: /chmod 600/ });
    t.false(error?.message.includes(readFileSync(path, 'utf8').trim().split(':')[1] ?? ''), 'the message does not repeat the key');
  }
  chmodSync(path, 0o400);
  t.false(readOrCreateMasterKey(dataDir).created, 'a file that even the owner only reads is fine');
});

test('a damaged key file stops the start; it is never replaced', (t) => {
  const dataDir = folder(t);
  readOrCreateMasterKey(dataDir);
  const path = join(dataDir, 'master.key');
  for (const content of ['', 'nonsense', 'k1:dG9vIHNob3J0']) {
    writeFileSync(path, content);
    t.throws(() => readOrCreateMasterKey(dataDir), { message: /cannot be used: the first key/ });
    t.is(readFileSync(path, 'utf8'), content);
  }
});

test('a key file may hold older keys behind the current one', (t) => {
  const dataDir = folder(t);
  readOrCreateMasterKey(dataDir);
  const path = join(dataDir, 'master.key');
  const old = readFileSync(path, 'utf8').trim();
  writeFileSync(path, `k2:${randomBytes(32).toString('base64url')},${old}\n`);
  t.deepEqual(
    readOrCreateMasterKey(dataDir).keys.map((key) => key.id),
    ['k2', old.split(':')[0]],
  );
});

test('keys are written id:base64url, newest first', (t) => {
  const a = randomBytes(32);
  const b = randomBytes(32);
  t.deepEqual(parseMasterKeys(` 2026-01:${a.toString('base64url')}, old_1:${b.toString('base64url')}= \n`), [
    { id: '2026-01', bytes: a },
    { id: 'old_1', bytes: b },
  ]);
});

test('a malformed key is refused by its place, never by its content', (t) => {
  const good = `a:${randomBytes(32).toString('base64url')}`;
  const cases: [string, RegExp][] = [
    ['', /^the first key is not of the form/],
    ['justtext', /^the first key is not of the form/],
    [`a:${'='.repeat(44)}`, /^the first key is not of the form/],
    [`a:${randomBytes(31).toString('base64url')}`, /^the first key is not 32 bytes/],
    [`a:${randomBytes(33).toString('base64url')}`, /^the first key is not 32 bytes/],
    [`a b:${randomBytes(32).toString('base64url')}`, /^the first key has an id/],
    [`${'x'.repeat(65)}:${randomBytes(32).toString('base64url')}`, /^the first key has an id/],
    [`:${randomBytes(32).toString('base64url')}`, /^the first key has an id/],
    [`a:${Buffer.alloc(32).toString('base64url')}`, /^the first key is one byte over and over/],
    [`${good},`, /^key 2 is not of the form/],
    [`${good},${good}`, /^key 2 has the id of a key before it/],
  ];
  for (const [text, message] of cases) {
    const error = t.throws(() => parseMasterKeys(text), { message });
    const secret = text.split(',').at(-1)?.split(':')[1] ?? '';
    if (secret.length > 8) t.false(error?.message.includes(secret), text);
  }
});

test('a wrapped key unwraps for the same additional data only', async (t) => {
  const provider = masterKeyProvider([newKey('m1')]);
  const plain = randomBytes(32);
  const wrapped = await provider.wrap(plain, 'realm-a');
  t.deepEqual(await provider.unwrap(wrapped, 'realm-a'), plain);
  await t.throwsAsync(provider.unwrap(wrapped, 'realm-b'), { code: 'corrupted' });
});

test('after a rotation the new key wraps and the old one still unwraps', async (t) => {
  const [older, newer] = [newKey('m1'), newKey('m2')];
  const wrapped = await masterKeyProvider([older]).wrap(Buffer.from('x'), 'a');
  const both = masterKeyProvider([newer, older]);
  t.is(both.keyId, 'm2');
  t.is((await both.unwrap(wrapped, 'a')).toString(), 'x');
  t.regex(await both.wrap(Buffer.from('x'), 'a'), /^v1\|m2\|/);
  await t.throwsAsync(masterKeyProvider([newer]).unwrap(wrapped, 'a'), { code: 'corrupted' });
});

test('there is no provider without a key', (t) => {
  t.throws(() => masterKeyProvider([]), { message: /no master key/ });
});

test('the canary tells the right key from a wrong one', async (t) => {
  const right = newKey('m1');
  const canary = await makeCanary(masterKeyProvider([right]));
  t.true(await checkCanary(masterKeyProvider([right]), canary));
  t.true(await checkCanary(masterKeyProvider([newKey('m2'), right]), canary), 'an older key counts');
  t.false(await checkCanary(masterKeyProvider([newKey('m1')]), canary), 'the same name, another key');
  t.false(await checkCanary(masterKeyProvider([newKey('m2')]), canary));
  t.false(await checkCanary(masterKeyProvider([right]), 'nonsense'));
  t.false(await checkCanary(masterKeyProvider([right]), await masterKeyProvider([right]).wrap(Buffer.from('cardea'), 'elsewhere')));
});

test('a key service that does not answer is a fault, not a wrong key', async (t) => {
  const broken = { keyId: 'm1', wrap: async () => 'x', unwrap: async () => Promise.reject(new Error('timed out')), wrappedBy: () => 'm1' };
  await t.throwsAsync(checkCanary(broken, 'x'), { message: 'timed out' });
});
