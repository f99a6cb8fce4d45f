/** Pauses are lifted by an administrator: those of one user, and nobody else's. */
import { unlockUser } from '../../../src/admin/resources/attempts.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { AppError } from '../../../src/errors.ts';
import { browserOf } from '../../../src/sessions/browser.ts';
import { rememberDevice } from '../../../src/sessions/devices.ts';
import { Throttle } from '../../../src/sessions/throttle.ts';
import { rootSecretSeal } from '../../../src/store/realms.ts';
import { runCardea, settingsFor } from '../../support/command.ts';
import { forEachEngine, testOnEngines } from '../../support/databases.ts';
import { operatorScene } from '../../support/operator.ts';

const START = Date.UTC(2030, 0, 15, 12, 0, 7);

testOnEngines('wrong passwords and codes of a user are forgotten, at every device and factor, and of nobody else', async (t, db) => {
  const { at, realm, user, audited } = await operatorScene(db, START);
  const operator = at(START);
  const rootSecret = await operator.keyring.open(rootSecretSeal(realm.id), realm.rootSecret);
  const throttle = new Throttle(db, { id: realm.id, rootSecret, settings: realm.settings }, { ip: null });
  const other = await createUser(operator, realm, { username: 'frank' });
  const browser = browserOf(
    { cookies: { get: () => undefined, set: () => undefined }, ip: '192.0.2.1', get: () => '' },
    { id: realm.id, rootSecret },
    '',
  );
  const whom = { realmId: realm.id, userId: user.id };
  const signIn = { ...whom, credentials: [], factor: null, confirmed: true, remember: null, devices: 0 };
  await rememberDevice(db, signIn, browser, { realmId: realm.id, at: START });
  const device = (await db.knex('devices').where({ user_id: user.id }).first('id')).id;

  const doors = {
    password: (by: string) => throttle.password({ userId: user.id }, by, START),
    device: (by: string) => throttle.password({ userId: user.id, device }, by, START),
    totp: (by: string) => throttle.factor('totp', user.id, by, START),
    enrolment: (by: string) => throttle.factor('enrol-totp', user.id, by, START),
    others: (by: string) => throttle.password({ userId: other.id }, by, START),
  };
  const isPaused = async (door: (by: string) => Promise<unknown>): Promise<boolean> => {
    try {
      await door('once more');
      return false;
    } catch (error) {
      if (error instanceof AppError && error.status === 429) return true;
      throw error;
    }
  };
  for (const door of Object.values(doors)) for (let times = 0; times < 10; times += 1) await (await door(`by ${times}`)).failed();
  for (const [name, door] of Object.entries(doors)) t.true(await isPaused(door), name);

  t.deepEqual(await unlockUser(operator, realm, user), { pauses: 4 });
  for (const [name, door] of Object.entries(doors)) t.is(await isPaused(door), name === 'others', name);
  t.is((await audited()).filter((type) => type === 'user.unlocked').length, 1);
  await unlockUser(operator, realm, user);
  t.deepEqual(await unlockUser(operator, realm, user), { pauses: 0 });
});

forEachEngine((engine) => {
  engine.test('cardea user unlock: a document, a sentence, and a user who is not there', async (t) => {
    const env = settingsFor(await engine.settings());
    const run = (...args: string[]) => runCardea(args, env);
    t.is((await run('realm', 'create', 'staff')).status, 0);
    t.is((await run('user', 'create', '--realm', 'staff', '--username', 'erin', '--no-password')).status, 0);
    const document = await run('user', 'unlock', '--realm', 'staff', 'erin', '--json');
    t.deepEqual(JSON.parse(document.stdout), { realm: 'staff', username: 'erin', pauses: 0 });
    t.regex((await run('user', 'unlock', '--realm', 'staff', 'erin')).stdout, /^erin was not paused/);
    const nobody = await run('user', 'unlock', '--realm', 'staff', 'nobody');
    t.is(nobody.status, 1);
    t.regex(nobody.stderr, /There is no user "nobody"/);
  });
});
