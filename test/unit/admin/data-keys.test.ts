/** Keys are replaced while their values are read and written: nothing is lost, whatever happens in between. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { verifyAudit } from '../../../src/admin/resources/audit.ts';
import type { Operator } from '../../../src/admin/resources/context.ts';
import { GRACE_MS, retireOldKeys, rotateDataKeys } from '../../../src/admin/resources/data-keys.ts';
import { rotateMasterKey } from '../../../src/admin/resources/master-key.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { checkCanary, makeCanary, masterKeyProvider } from '../../../src/crypto/keyring.ts';
import { keyIdOf } from '../../../src/crypto/seal.ts';
import { type CredentialRow, credentialSeal, insertCredential, replaceSecret } from '../../../src/store/credentials.ts';
import { dataKeys } from '../../../src/store/data-keys.ts';
import { type Database, openDatabase } from '../../../src/store/database.ts';
import { CANARY, insertInstallationValue, installationValue, type RealmRow, realmById, rootSecretSeal } from '../../../src/store/realms.ts';
import type { UserRow } from '../../../src/store/users.ts';
import { atEnd } from '../../support/cleanup.ts';
import { forEachEngine, onPostgres } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn, MASTER_KEY } from '../../support/keyring.ts';
import { until } from '../../support/until.ts';

const NOW = Date.UTC(2030, 0, 15, 12);

interface World {
  db: Database;
  operator: Operator;
  realm: RealmRow;
  user: UserRow;
  rows: CredentialRow[];
}

/** A test for each engine with a database of its own: what is tested goes through all realms. */
function onEngines(title: string, body: (t: ExecutionContext, db: Database) => Promise<void>): void {
  forEachEngine((engine) => engine.test(title, async (t) => body(t, await engine.open())));
}

const operatorOn = (db: Database, now = NOW): Operator => ({ db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now });

/** A realm with a user who has that many credentials, their secrets `secret 0`, `secret 1` and so on. */
async function world(db: Database, credentials = 3): Promise<World> {
  const operator = operatorOn(db);
  const name = `r-${randomBytes(4).toString('hex')}`;
  const realm = await createRealm(operator, { name });
  const user = await createUser(operator, realm, { username: 'erin' });
  const rows: CredentialRow[] = [];
  for (let n = 0; n < credentials; n += 1) rows.push(await credential(operator, user, `secret ${n}`));
  return { db, operator, realm, user, rows };
}

async function credential({ db, keyring, now }: Operator, user: UserRow, secret: string): Promise<CredentialRow> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const sealed = await keyring.seal(credentialSeal(key), secret);
  const row: CredentialRow = {
    ...key,
    ...{ factor: 'totp', label: '', secret: sealed, counter: null, level: null, lookup: null, enabled: true, createdAt: now, lastUsedAt: null },
  };
  await insertCredential(db.knex, row);
  return row;
}

const stored = async ({ db }: World, row: CredentialRow): Promise<string> =>
  (await db.knex('credentials').where({ realm_id: row.realmId, id: row.id }).first('secret')).secret;

/** Everything opens, on a process that knows nothing yet; answers the ids of the keys that are used. */
async function opened(t: ExecutionContext, made: World, secrets = made.rows.map((_, n) => `secret ${n}`)): Promise<Set<string>> {
  const fresh = keyringOn(made.db);
  const used = new Set<string>();
  for (const [n, row] of made.rows.entries()) {
    const sealed = await stored(made, row);
    used.add(keyIdOf(sealed));
    t.is(await fresh.openText(credentialSeal(row), sealed), secrets[n] ?? '');
  }
  const realm = await realmById(made.db.knex, made.realm.id);
  if (!realm) throw new Error('The realm is there.');
  used.add(keyIdOf(realm.rootSecret));
  await t.notThrowsAsync(fresh.open(rootSecretSeal(realm.id), realm.rootSecret));
  return used;
}

const keysOf = async ({ db, realm }: World): Promise<string[]> => (await dataKeys(db.knex, realm.id)).map((key) => key.id);

onEngines('a new key seals everything, and the old one goes when its time has come', async (t, db) => {
  const made = await world(db, 250);
  const [old = ''] = await keysOf(made);
  const progress: [number, number][] = [];
  const rotated = await rotateDataKeys(made.operator, made.realm, { progress: (done, all) => progress.push([done, all]) });
  t.like(rotated, { resumed: false, resealed: 254, left: 0, unreadable: [], retired: [], waiting: [{ key: old, until: NOW + 1 + GRACE_MS }] });
  t.deepEqual(progress.at(-1), [254, 254]);
  t.deepEqual(await opened(t, made), new Set([rotated.key]));

  const servers = async (now: number): Promise<string[]> => {
    const retired: string[] = [];
    for await (const one of retireOldKeys(operatorOn(db, now))) if (one.realmId === made.realm.id) retired.push(...one.retired);
    return retired;
  };
  t.deepEqual(await servers(NOW + GRACE_MS), [], 'another node may still seal with it');
  t.deepEqual(await keysOf(made), [old, rotated.key]);
  t.deepEqual(await servers(NOW + GRACE_MS + 2), [old]);
  t.deepEqual(await keysOf(made), [rotated.key]);
  await opened(t, made);

  const types = (await db.knex('audit_events').where({ realm_id: made.realm.id }).whereNotNull('seq').orderBy('seq').pluck('type')).slice(-2);
  t.deepEqual(types, ['crypto.data_key.made', 'crypto.data_key.retired']);
  t.true((await verifyAudit(made.operator, made.realm)).ok);
});

onEngines('a value that a node sealed late with the old key is sealed anew before that key goes', async (t, db) => {
  const made = await world(db);
  const late = operatorOn(db);
  await late.keyring.seal(credentialSeal({ realmId: made.realm.id, userId: made.user.id, id: 'x' }), 'x');
  // A node that hears of nothing for a while.
  const deaf = late.keyring.changed;
  late.keyring.changed = () => undefined;
  const { key } = await rotateDataKeys(made.operator, made.realm);
  const straggler = await credential(late, made.user, 'late');
  late.keyring.changed = deaf;
  t.not(keyIdOf(straggler.secret), key);
  for await (const one of retireOldKeys(operatorOn(db, NOW + 2 * GRACE_MS))) if (one.realmId === made.realm.id) t.like(one, { resealed: 1 });
  t.is((await keysOf(made)).length, 1);
  made.rows.push(straggler);
  t.deepEqual(await opened(t, made, ['secret 0', 'secret 1', 'secret 2', 'late']), new Set([key]));
});

onEngines('a run that was ended in the middle is gone on with, and a day later begun anew', async (t, db) => {
  const made = await world(db, 250);
  const crash = rotateDataKeys(made.operator, made.realm, {
    progress: (done) => {
      if (done > 100) throw new Error('the machine went down');
    },
  });
  await t.throwsAsync(crash, { message: 'the machine went down' });
  const between = await opened(t, made);
  t.is(between.size, 2, 'some with the old key and some with the new one');

  const resumed = await rotateDataKeys(operatorOn(db, NOW + 60_000), made.realm);
  t.like(resumed, { resumed: true, left: 0 });
  t.true(resumed.resealed > 0 && resumed.resealed < 250);
  t.deepEqual(await opened(t, made), new Set([resumed.key]));
  t.like(await rotateDataKeys(operatorOn(db, NOW + 120_000), made.realm), { resumed: false, resealed: 254 });
  t.is((await keysOf(made)).length, 3);
});

forEachEngine((engine) => {
  engine.test('two at once, on two processes, while values are written: each is what was written last', async (t) => {
    const settings = await engine.settings();
    const open = async (): Promise<Database> => {
      const db = await openDatabase(settings);
      atEnd(() => db.close());
      return db;
    };
    const made = await world(await open(), 120);
    const other = operatorOn(await open());
    const written = made.rows.map((_, n) => `secret ${n}`);
    let done = false;
    const writing = (async () => {
      for (let n = 0; !done; n = (n + 7) % made.rows.length) {
        const row = made.rows[n];
        if (!row) throw new Error('There is such a row.');
        const next = `written ${n} ${randomUUID()}`;
        // As a factor does it: read, seal, and put it in the place of what was read, again should somebody have come between.
        for (;;) {
          const present = { ...row, secret: await stored(made, row) };
          await replaceSecret(made.db.knex, present, await made.operator.keyring.seal(credentialSeal(row), next));
          if ((await made.operator.keyring.openText(credentialSeal(row), await stored(made, row))) === next) break;
        }
        written[n] = next;
        await pause(1);
      }
    })();
    const both = await Promise.all([rotateDataKeys(made.operator, made.realm), rotateDataKeys(other, made.realm)]);
    done = true;
    await writing;
    t.deepEqual(
      both.map(({ left, unreadable }) => ({ left, unreadable })),
      Array(2).fill({ left: 0, unreadable: [] }),
    );
    await rotateDataKeys(operatorOn(made.db, NOW + 3 * GRACE_MS), made.realm, { graceMs: 0 });
    t.is((await keysOf(made)).length, 1);
    t.is((await opened(t, made, written)).size, 1);
    t.true((await verifyAudit(made.operator, made.realm)).ok);
  });
});

onEngines('F02 a value that was moved is an alarm: it stays as it is, and so does the key that it names', async (t, db) => {
  const made = await world(db, 3);
  const [victim, attacker] = made.rows;
  if (!victim || !attacker) throw new Error('There are three.');
  await db.knex('credentials').where({ realm_id: made.realm.id, id: victim.id }).update({ secret: attacker.secret });
  const [old = ''] = await keysOf(made);
  const rotated = await rotateDataKeys(made.operator, made.realm, { graceMs: 0 });
  t.like(rotated, { unreadable: [{ column: 'credentials.secret', values: 1 }], left: 0, retired: [] });
  t.is(await stored(made, victim), attacker.secret);
  t.deepEqual(await keysOf(made), [old, rotated.key]);
  const alarms = await db.knex('audit_events').where({ realm_id: made.realm.id, type: 'crypto.unreadable' }).pluck('details');
  t.deepEqual(alarms, ['{"what":"credentials.secret"}']);
  const later = await rotateDataKeys(operatorOn(db, NOW + 48 * 3_600_000), made.realm, { graceMs: 0 });
  t.false(later.resumed, 'it does not stand in the way of new keys');
});

onPostgres.test('a row that somebody holds is left for the next time around', async (t) => {
  const made = await world(await onPostgres.open(), 3);
  const { promise: held, resolve: holding } = Promise.withResolvers<void>();
  const { promise: release, resolve: letGo } = Promise.withResolvers<void>();
  const holder = made.db.knex.transaction(async (trx) => {
    await trx('credentials').where({ id: made.rows[0]?.id }).forUpdate().first();
    holding();
    await release;
  });
  await held;
  const [old = ''] = await keysOf(made);
  const rotation = rotateDataKeys(made.operator, made.realm);
  const left = async (): Promise<string[]> =>
    (await made.db.knex('credentials').where({ realm_id: made.realm.id }).where('secret', 'like', `v1|${old}|%`).pluck('id')).sort();
  await until(async () => (await left()).length <= 1);
  t.deepEqual(await left(), [made.rows[0]?.id ?? ''], 'all others have gone on');
  letGo();
  await holder;
  t.like(await rotation, { resealed: 7, left: 0 });
  t.is((await opened(t, made)).size, 1);
});

onEngines('the master key is replaced, by two runs at once and after one that was ended', async (t, db) => {
  const realms = await Promise.all(Array.from({ length: 3 }, () => world(db, 1)));
  const old = masterKeyProvider([MASTER_KEY]);
  await insertInstallationValue(db.knex, CANARY, await makeCanary(old));
  const next = { id: 'k2', bytes: randomBytes(32) };
  const both = masterKeyProvider([next, MASTER_KEY]);
  const wrappings = async (): Promise<Set<string>> =>
    new Set(
      (
        await db
          .knex('data_keys')
          .whereIn(
            'realm_id',
            realms.map(({ realm }) => realm.id),
          )
          .pluck('wrapped')
      ).map((wrapped) => both.wrappedBy(wrapped)),
    );

  let wraps = 0;
  const failing = {
    ...both,
    wrap: (plain: Buffer, place: string) => {
      wraps += 1;
      return wraps > 2 ? Promise.reject(new Error('the key service does not answer')) : both.wrap(plain, place);
    },
  };
  await t.throwsAsync(rotateMasterKey(realms[0]?.operator ?? operatorOn(db), failing), { message: 'the key service does not answer' });
  const runs = await Promise.all([rotateMasterKey(operatorOn(db), both), rotateMasterKey(operatorOn(db), both)]);
  t.true(runs.every(({ key, unreadable }) => key === 'k2' && Object.keys(unreadable).length === 0));
  t.deepEqual(await wrappings(), new Set(['k2']));
  t.like(await rotateMasterKey(operatorOn(db), both), { rewrapped: 0 });

  const canary = await installationValue(db.knex, CANARY);
  t.true(await checkCanary(masterKeyProvider([next]), canary ?? ''));
  t.false(await checkCanary(old, canary ?? ''), 'a start with the old key alone is refused');
  const alone = keyringOn(db, [next]);
  for (const made of realms) for (const row of made.rows) t.is(await alone.openText(credentialSeal(row), await stored(made, row)), 'secret 0');
});
