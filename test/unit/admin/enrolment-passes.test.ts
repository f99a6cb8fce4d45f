/** Enrolment passes through the operations that every door uses: who may, alone or not, and what becomes of a pass. */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { beginEnrolment, generateRecoveryCodes, removeSecondFactor, secondFactorsOf } from '../../../src/admin/resources/credentials.ts';
import { administratorNamed, allPasses, approvePass, issuePass, revokePass, standingOf } from '../../../src/admin/resources/enrolment-passes.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { giveRoles } from '../../../src/admin/resources/roles.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { AppError } from '../../../src/errors.ts';
import { enrolmentPass, hashOfPass } from '../../../src/factors/enrolment-pass/enrolment-pass.ts';
import { openCredentials } from '../../../src/factors/held.ts';
import type { RealmSettings } from '../../../src/realms/settings.ts';
import { auditEvents } from '../../../src/store/audit.ts';
import { credentialsOf, insertCredential } from '../../../src/store/credentials.ts';
import type { Database } from '../../../src/store/database.ts';
import type { RealmRow } from '../../../src/store/realms.ts';
import { sweepExpired } from '../../../src/store/sweep.ts';
import type { UserRow } from '../../../src/store/users.ts';
import { testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { operatorScene } from '../../support/operator.ts';

const NOW = Date.UTC(2030, 0, 15, 12);
const HOUR = 3_600_000;
const REASON = { reason: 'lost her phone; called back on her extension' };

const masters = new Map<Database, Promise<RealmRow>>();

/** One realm master for the tests of this file, which run side by side; it comes before all others. */
function masterOn(db: Database): Promise<RealmRow> {
  const made = masters.get(db) ?? createRealm({ db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now: NOW }, { name: 'master' });
  masters.set(db, made);
  return made;
}

async function scene(db: Database, settings: Partial<RealmSettings> = {}) {
  const master = await masterOn(db);
  const on = await operatorScene(db, NOW, settings);
  const { at, realm, user } = on;
  const administrator = () => createUser(at(NOW), master, { username: `root-${randomBytes(4).toString('hex')}`, realmRoles: ['admin'] });
  const give = async (whose: UserRow, factor = 'totp', id = `${factor}-${randomBytes(4).toString('hex')}`) => {
    const row = { realmId: whose.realmId, userId: whose.id, id, factor, label: '', secret: 'x', counter: null, enabled: true };
    await insertCredential(db.knex, { ...row, level: null, lookup: null, createdAt: NOW, lastUsedAt: null });
  };
  await give(user);
  const passes = async () => {
    const held = (await credentialsOf(db.knex, realm.id, user.id)).filter((row) => row.factor === 'enrolment-pass');
    return openCredentials(keyringOn(db), enrolmentPass, held, null);
  };
  const as = (actor: UserRow, now = NOW) => ({ ...at(now), actor: actor.id });
  const listed = async () => Array.fromAsync(allPasses(at(NOW), realm));
  return { ...on, master, administrator, give, passes, as, listed };
}

async function refused(t: ExecutionContext, work: Promise<unknown>, status: number, said: RegExp): Promise<void> {
  const error = await t.throwsAsync(work);
  t.true(error instanceof AppError);
  if (error instanceof AppError) t.is(error.status, status);
  t.regex(error?.message ?? '', said);
}

testOnEngines('one administrator is enough where the realm does not say otherwise', async (t, db) => {
  const { at, realm, user, passes, audited, messages, listed } = await scene(db);
  const { pass, code } = await issuePass(at(NOW), realm, user, { ...REASON, hours: 4 });
  t.regex(code ?? '', /^[a-z2-9]{4}(-[a-z2-9]{4}){5}$/);
  const [held] = await passes();
  t.deepEqual(held?.secret, { hash: hashOfPass(code ?? ''), dual: false, expiresAt: NOW + 4 * HOUR });
  t.is(held?.id, pass.id);
  t.is(standingOf(pass, NOW), 'ready');
  t.is(standingOf(pass, NOW + 4 * HOUR), 'expired');
  t.is((await audited()).filter((type) => type === 'mfa.reset.requested').length, 1);
  t.is(await messages(), 1, 'the user is told');
  t.deepEqual(
    (await listed()).map(({ id, reason }) => [id, reason]),
    [[pass.id, REASON.reason]],
  );
  t.false(JSON.stringify([await listed(), await auditEvents(db.knex, realm.id, { limit: 50 })]).includes(code ?? ''), 'it is nowhere else');
});

testOnEngines('a user has one pass at a time, and one that was revoked or was not used in time is gone', async (t, db) => {
  const { at, realm, user, passes, listed } = await scene(db);
  const first = await issuePass(at(NOW), realm, user, REASON);
  const second = await issuePass(at(NOW + 1), realm, user, REASON);
  t.deepEqual(
    (await passes()).map(({ id }) => id),
    [second.pass.id],
  );
  await refused(t, revokePass(at(NOW + 2), realm, first.pass.id), 409, /replaced/);
  await revokePass(at(NOW + 2), realm, second.pass.id);
  t.deepEqual(await passes(), []);
  const third = await issuePass(at(NOW + 3), realm, user, REASON);
  await sweepExpired(db, NOW + 25 * HOUR);
  t.deepEqual(await passes(), []);
  t.deepEqual(
    (await listed()).map((pass) => [pass.id, standingOf(pass, NOW + 25 * HOUR)]),
    [
      [third.pass.id, 'expired'],
      [second.pass.id, 'revoked'],
      [first.pass.id, 'replaced'],
    ],
  );
});

testOnEngines('a user takes a pass away like any other second factor', async (t, db) => {
  const { at, realm, user, passes, listed } = await scene(db);
  const { pass } = await issuePass(at(NOW), realm, user, REASON);
  await removeSecondFactor(at(NOW + 1), realm, user, pass.id);
  t.deepEqual(await passes(), []);
  t.deepEqual(
    (await listed()).map(({ endedAs }) => endedAs),
    ['revoked'],
  );
});

testOnEngines('what makes no sense is refused', async (t, db) => {
  const { at, realm, user, give } = await scene(db);
  const other = await createUser(at(NOW), realm, { username: `eve-${randomBytes(3).toString('hex')}` });
  await refused(t, issuePass(at(NOW), realm, other, REASON), 409, /no second factor/);
  await give(other);
  await refused(t, issuePass(at(NOW), realm, other, { reason: '  ' }), 400, /reason/);
  for (const hours of [0, 73, 1.5]) await refused(t, issuePass(at(NOW), realm, user, { ...REASON, hours }), 400, /hours/);
  await refused(t, revokePass(at(NOW), realm, 'nothing'), 404, /no enrolment pass/);
  await refused(t, approvePass(at(NOW), realm, (await issuePass(at(NOW), realm, user, REASON)).pass.id), 409, /no approval/);
  const without = { ...realm, settings: { ...realm.settings, disabledFactors: ['enrolment-pass'] } };
  await refused(t, issuePass(at(NOW), without, user, REASON), 409, /does not use/);
});

testOnEngines('C09 with dual control nobody resets a second factor alone', async (t, db) => {
  const { at, as, realm, user, administrator, passes, audited } = await scene(db, { dualControl: true });
  const [ann, bob] = [await administrator(), await administrator()];
  await refused(t, issuePass(at(NOW), realm, user, REASON), 403, /two administrators/);
  const { pass, code } = await issuePass(as(ann), realm, user, REASON);
  t.is(code, null, 'there is nothing yet that could be used');
  t.deepEqual(await passes(), []);

  await refused(t, approvePass(as(ann), realm, pass.id), 403, /Somebody else/);
  await refused(t, approvePass(at(NOW), realm, pass.id), 403, /two administrators/);
  await refused(t, approvePass(as(user), realm, pass.id), 403, /two administrators/);
  t.deepEqual(await passes(), []);
  t.is((await audited()).filter((type) => type === 'mfa.reset.refused').length, 3);

  const approved = await approvePass(as(bob, NOW + HOUR), realm, pass.id);
  t.truthy(approved.code);
  t.is(approved.pass.expiresAt, NOW + 25 * HOUR, 'its time begins when there is a pass');
  t.deepEqual(
    (await passes()).map(({ secret }) => secret.dual),
    [true],
  );
  await refused(t, approvePass(as(bob), realm, pass.id), 409, /no approval/);
  const chained = (await auditEvents(db.knex, realm.id, { subject: user.id, limit: 50 })).filter(({ type }) => /requested|approved/.test(type));
  t.deepEqual(
    chained.map(({ type, actor }) => [type, actor]),
    [
      ['mfa.reset.approved', bob.id],
      ['mfa.reset.requested', ann.id],
    ],
  );
});

testOnEngines('C09 with dual control nobody takes a factor away alone, or gives one to somebody who has another', async (t, db) => {
  const { at, realm, user } = await scene(db, { dualControl: true });
  const [held] = await secondFactorsOf(at(NOW), realm, user);
  await refused(t, removeSecondFactor(at(NOW), realm, user, held?.id ?? ''), 403, /two administrators/);
  await refused(t, beginEnrolment(at(NOW), realm, user, { account: 'a', issuer: 'b', label: 'c' }), 403, /two administrators/);
  await refused(t, generateRecoveryCodes(at(NOW), realm, user), 403, /two administrators/);
  t.is((await secondFactorsOf(at(NOW), realm, user)).length, 1);
  const newcomer = await createUser(at(NOW), realm, { username: `new-${randomBytes(3).toString('hex')}` });
  await t.notThrowsAsync(beginEnrolment(at(NOW), realm, newcomer, { account: 'a', issuer: 'b', label: 'c' }), 'a first one is nobody’s loss');
});

testOnEngines('of many approvals at once there is one pass', async (t, db) => {
  const { as, realm, user, administrator, passes } = await scene(db, { dualControl: true });
  const [ann, ...others] = await Promise.all(Array.from({ length: 5 }, administrator));
  if (!ann) return t.fail();
  const { pass } = await issuePass(as(ann), realm, user, REASON);
  const outcomes = await Promise.allSettled(others.map((one) => approvePass(as(one), realm, pass.id)));
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  t.is((await passes()).length, 1);
});

testOnEngines('a pass for an administrator takes two, whatever the realm says, and never their own word', async (t, db) => {
  const { at, as, master, administrator, give } = await scene(db);
  const [ann, bob, eve] = [await administrator(), await administrator(), await administrator()];
  await give(eve);
  await refused(t, issuePass(at(NOW), master, eve, REASON), 403, /two administrators/);
  const own = await issuePass(as(eve), master, eve, REASON);
  await refused(t, approvePass(as(eve), master, own.pass.id), 403, /Somebody else/);
  const asked = await issuePass(as(ann), master, eve, REASON);
  await refused(t, approvePass(as(eve), master, asked.pass.id), 403, /Somebody else/);
  t.truthy((await approvePass(as(bob), master, asked.pass.id)).code);
});

testOnEngines('who an administrator is: whoever manages the users of that realm', async (t, db) => {
  const { at, realm, master, administrator } = await scene(db);
  const root = await administrator();
  t.is((await administratorNamed(at(NOW), realm, root.username)).id, root.id);
  const plain = await createUser(at(NOW), master, { username: `plain-${randomBytes(3).toString('hex')}` });
  await refused(t, administratorNamed(at(NOW), realm, plain.username), 400, /no administrator/);
  const own = await createUser(at(NOW), realm, { username: `help-${randomBytes(3).toString('hex')}` });
  await refused(t, administratorNamed(at(NOW), realm, own.username), 400, /no administrator/);
  await giveRoles(at(NOW), realm, own, [{ name: 'manage-users', client: 'realm-management' }]);
  t.is((await administratorNamed(at(NOW), realm, own.username)).id, own.id);
  await db.knex('users').where({ id: own.id }).update({ enabled: false });
  await refused(t, administratorNamed(at(NOW), realm, own.username), 400, /no administrator/);
});
