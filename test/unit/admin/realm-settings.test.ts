/** A realm's settings, through the operation and on the command line. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Operator } from '../../../src/admin/resources/context.ts';
import { flatSettings, updateRealmSettings } from '../../../src/admin/resources/realm-settings.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { AppError } from '../../../src/errors.ts';
import { defaultRealmSettings } from '../../../src/realms/settings.ts';
import type { Database } from '../../../src/store/database.ts';
import { realmById } from '../../../src/store/realms.ts';
import { runHere, settingsFor } from '../../support/command.ts';
import { onSqlite, temporaryFolder, testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { until } from '../../support/until.ts';

const NOW = Date.UTC(2030, 0, 15);

async function scene(db: Database) {
  const operator: Operator = { db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now: NOW };
  const realm = await createRealm(operator, { name: `realm-${randomBytes(4).toString('hex')}` });
  const stored = async () => {
    const row = await realmById(db.knex, realm.id);
    if (!row) throw new Error('the realm is gone');
    return row;
  };
  const audited = async () =>
    (await db.knex('audit_events').where({ realm_id: realm.id, type: 'realm.updated' }).orderBy('id')).map((row) => JSON.parse(row.details));
  return { operator, realm, stored, audited };
}

testOnEngines('settings are merged, recorded with their difference, and every node hears of it', async (t, db) => {
  const { operator, realm, stored, audited } = await scene(db);
  const heard: string[] = [];
  db.changes.onChange((topic) => heard.push(topic));
  const { realm: updated, changes } = await updateRealmSettings(operator, realm, { totp: { digits: 8, algorithm: 'sha256' }, hotp: { claim: true } });
  const expected = [
    { at: 'totp.digits', from: 6, to: 8 },
    { at: 'totp.algorithm', from: 'sha1', to: 'sha256' },
    { at: 'hotp.claim', from: false, to: true },
  ];
  t.deepEqual(
    [...changes].sort((a, b) => (a.at < b.at ? -1 : 1)),
    [...expected].sort((a, b) => (a.at < b.at ? -1 : 1)),
  );
  t.deepEqual(await stored(), updated);
  t.is(updated.version, realm.version + 1);
  t.is(updated.settings.totp.period, 30, 'what was not named stays');
  t.deepEqual(await audited(), [{ changes }]);
  t.true(await until(() => heard.includes(`realm:${realm.id}`)));

  const back = await updateRealmSettings(operator, updated, { totp: null, hotp: { claim: null } });
  t.deepEqual(back.realm.settings, defaultRealmSettings());
  const nothing = await updateRealmSettings(operator, back.realm, { totp: { digits: 6 } });
  t.deepEqual(nothing, { realm: back.realm, changes: [] });
  t.is((await audited()).length, 2, 'nothing is no change');
});

testOnEngines('a field that is wrong or unknown is named, and nothing is changed', async (t, db) => {
  const { operator, realm, stored, audited } = await scene(db);
  const wrong: [Record<string, unknown>, string][] = [
    [{ totp: { digits: 7 } }, 'totp.digits'],
    [{ totp: { window: 3 } }, 'totp.window'],
    [{ totp: { period: 14 } }, 'totp.period'],
    [{ totp: { period: '30' } }, 'totp.period'],
    [{ totp: 'sha256' }, 'totp'],
    [{ totp: [] }, 'totp'],
    [{ totp: { digitz: 6 } }, 'totp.digitz'],
    [{ totpp: null }, 'totpp'],
    [{ totp: { digits: { least: 6 } } }, 'totp.digits'],
    [JSON.parse('{ "__proto__": { "digits": 8 } }'), '__proto__'],
    [{ constructor: 1 }, 'constructor'],
    [{ totp: { digits: 8, constructor: 1 } }, 'totp.constructor'],
    [{ fallback: ['a', 7] }, 'fallback.1'],
  ];
  for (const [patch, field] of wrong) {
    const error = await t.throwsAsync(updateRealmSettings(operator, realm, patch), { name: 'AppError' }, JSON.stringify(patch));
    if (!(error instanceof AppError)) throw new Error('refused otherwise');
    t.like(error, { status: 400, field }, JSON.stringify(patch));
  }
  t.deepEqual(await stored(), realm);
  t.deepEqual(await audited(), []);
});

testOnEngines('of two who change them at once, one is told', async (t, db) => {
  const { operator, realm, stored, audited } = await scene(db);
  const outcomes = await Promise.allSettled([
    updateRealmSettings(operator, realm, { totp: { digits: 8 } }),
    updateRealmSettings(operator, realm, { totp: { window: 2 } }),
  ]);
  const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  t.is(failed.length, 1);
  t.is(failed[0]?.status, 409);
  t.is((await audited()).length, 1);
  t.is((await stored()).version, realm.version + 1);
});

test('the command line shows and changes them', async (t) => {
  const env = settingsFor(await onSqlite.settings({ empty: true }));
  const run = (...args: string[]) => runHere(['realm', ...args], env);
  t.is((await run('create', 'staff')).status, 0);
  const shown = await run('get', 'staff');
  t.regex(shown.stdout, /^Realm\s+staff$/m);
  t.regex(shown.stdout, /^totp\.digits\s+6$/m);
  const changed = await run('set', 'staff', 'totp.digits=8', 'totp.algorithm=sha512', 'fallback=["email-otp"]');
  t.is(changed.status, 0, changed.stderr);
  t.true(changed.stdout.includes('totp.digits  6 → 8\n'));
  t.true(changed.stdout.includes('fallback  ["sms-otp","email-otp"] → ["email-otp"]\n'));
  const document = JSON.parse((await run('get', 'staff', '--json')).stdout);
  t.like(document.settings.totp, { digits: 8, algorithm: 'sha512', period: 30 });
  t.is(flatSettings(document.settings).find(([name]) => name === 'totp.digits')?.[1], 8);

  const file = join(temporaryFolder(), 'settings.json');
  writeFileSync(file, JSON.stringify({ ...document, settings: { ...document.settings, totp: { ...document.settings.totp, digits: 6 } } }));
  const restored = await run('set', 'staff', '--file', file, '--json');
  t.deepEqual(JSON.parse(restored.stdout), { realm: 'staff', changes: [{ at: 'totp.digits', from: 8, to: 6 }] });
  t.is((await run('set', 'staff', '--file', file)).stdout, 'Nothing is other than it was in realm staff.\n');

  const refused: [string[], number, RegExp][] = [
    [['set', 'staff', 'totp.digits=7'], 1, /^cardea: totp\.digits: /],
    [['set', 'staff', 'totp.colour=red'], 1, /^cardea: totp\.colour: There is no such setting/],
    [['set', 'nowhere', 'totp.digits=8'], 1, /no realm named "nowhere"/],
    [['set', 'staff', '--file', `${file}.not`], 1, /^cardea: file: The settings cannot be read/],
    [['set', 'staff', '--file', '/dev/zero'], 1, /larger than/],
    [['set', 'staff'], 2, /key=value/],
    [['set', 'staff', 'totp.digits'], 2, /is not key=value/],
    [['set', 'staff', 'totp.digits=8', '--file', file], 2, /exclude each other/],
  ];
  for (const [args, status, says] of refused) {
    const ended = await run(...args);
    t.is(ended.status, status, args.join(' '));
    t.regex(ended.stderr, says);
    t.is(ended.stdout, '');
  }
  writeFileSync(file, '{ "totp": ');
  t.regex((await run('set', 'staff', '--file', file)).stderr, /the file is not JSON/);
});
