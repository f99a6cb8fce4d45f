/** Second factors through the operations that every door uses: what is stored, recorded and told goes together. */
import type { ExecutionContext } from 'ava';
import {
  beginEnrolment,
  finishEnrolment,
  generateRecoveryCodes,
  removeSecondFactor,
  restoreFactor,
  secondFactorsOf,
} from '../../../src/admin/resources/credentials.ts';
import { verifyCode } from '../../../src/admin/resources/verify-code.ts';
import { AppError } from '../../../src/errors.ts';
import type { Database } from '../../../src/store/database.ts';
import { assignRole, realmRoleId } from '../../../src/store/roles.ts';
import { testOnEngines } from '../../support/databases.ts';
import { totpCode } from '../../support/factors.ts';
import { operatorScene } from '../../support/operator.ts';

const START = Date.UTC(2030, 0, 15, 12, 0, 7);
const STEP = 30_000;
const APP = { account: 'erin@example.com', issuer: 'Example', label: 'Phone' };

async function scene(db: Database) {
  const on = await operatorScene(db, START);
  const { at, realm, user } = on;
  const begin = () => beginEnrolment(at(START), realm, user, APP);
  const codeOf = (key: string, now: number) => totpCode({ secret: key, digits: 6, period: 30, algorithm: 'sha1' }, now);
  const enrol = async () => {
    const begun = await begin();
    return { begun, app: await finishEnrolment(at(START), realm, user, { begun, code: codeOf(begun.key, START) }) };
  };
  const listed = () => secondFactorsOf(at(START), realm, user);
  return { ...on, begin, codeOf, enrol, listed };
}

async function refusal(t: ExecutionContext, work: Promise<unknown>): Promise<AppError> {
  const error = await t.throwsAsync(work);
  if (!(error instanceof AppError)) throw error;
  return error;
}

testOnEngines('an app is stored, recorded and told of in one transaction', async (t, db) => {
  const { at, realm, user, audited, messages, begin, codeOf, listed } = await scene(db);
  const begun = await begin();
  const broken = { tell: async () => () => Promise.reject(new Error('the outbox is full')) };
  const code = codeOf(begun.key, START);
  await t.throwsAsync(finishEnrolment(at(START, { notices: broken }), realm, user, { begun, code }), { message: 'the outbox is full' });
  t.deepEqual(await listed(), []);
  t.false((await audited()).includes('mfa.factor.enrolled'));

  const enrolled = await finishEnrolment(at(START), realm, user, { begun, code });
  t.like(enrolled, { id: begun.credentialId, factor: 'totp', label: 'Phone', enabled: true });
  t.false('secret' in enrolled);
  t.true((await audited()).includes('mfa.factor.enrolled'));
  t.is(await messages(), 1);
});

testOnEngines('of many who try one code at once, one is right', async (t, db) => {
  const { at, realm, user, audited, enrol, codeOf } = await scene(db);
  const { begun } = await enrol();
  const next = codeOf(begun.key, START + STEP);
  const verdicts = await Promise.all(Array.from({ length: 6 }, () => verifyCode(at(START + STEP), realm, user, next)));
  t.is(verdicts.filter((verdict) => verdict.ok).length, 1);
  t.true(verdicts.every((verdict) => verdict.ok || verdict.reason === 'replayed'));
  t.is((await audited()).filter((type) => type === 'mfa.challenge.ok').length, 1);
  t.is((await audited()).filter((type) => type === 'mfa.replay').length, 5);
});

testOnEngines('after ten failures it pauses, after fifty the factor is off, and it can be switched on again', async (t, db) => {
  const { at, realm, user, audited, messages, enrol, codeOf, listed } = await scene(db);
  const { begun } = await enrol();
  let now = START + STEP;
  let paused = 0;
  for (let failures = 0; failures < 50; ) {
    try {
      t.deepEqual(await verifyCode(at(now), realm, user, 'abc'), { ok: false, reason: 'wrong' });
      failures += 1;
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      paused += 1;
      now += (error.retryAfter ?? 0) * 1000;
    }
  }
  t.true(paused >= 8);
  t.is((await audited()).filter((type) => type === 'mfa.factor.disabled').length, 1);
  t.false((await listed())[0]?.enabled);
  t.is(await messages(), 2, 'the user is told of the app, and that it is off');
  t.is((await refusal(t, verifyCode(at(now), realm, user, codeOf(begun.key, now)))).status, 404);

  t.is((await refusal(t, restoreFactor(at(now), realm, user, 'hotp'))).status, 404);
  t.is(await restoreFactor(at(now), realm, user, 'totp'), 1);
  t.like(await verifyCode(at(now), realm, user, codeOf(begun.key, now)), { ok: true });
  t.true((await audited()).includes('mfa.factor.restored'));
  t.is((await refusal(t, restoreFactor(at(now), realm, user, 'totp'))).status, 404, 'it is on');
});

testOnEngines('a second factor is removed, recorded and told of', async (t, db) => {
  const { at, realm, user, person, audited, messages, enrol, listed } = await scene(db);
  const { app } = await enrol();
  const other = await person('frank');
  t.is((await refusal(t, removeSecondFactor(at(START), realm, other, app.id))).status, 404);
  t.is((await refusal(t, removeSecondFactor(at(START), realm, user, 'nothing'))).status, 404);
  t.like(await removeSecondFactor(at(START), realm, user, app.id), { id: app.id, label: 'Phone' });
  t.deepEqual(await listed(), []);
  t.true((await audited()).includes('mfa.factor.removed'));
  t.is(await messages(), 2);
});

testOnEngines('recovery codes are made, tried, run low, and are replaced', async (t, db) => {
  const { at, realm, user, audited, messages, listed } = await scene(db);
  const codes = await generateRecoveryCodes(at(START), realm, user);
  t.is(codes.length, 10);
  t.like((await listed())[0], { factor: 'recovery-codes', name: 'Recovery codes', left: 10 });
  for (const [index, code] of codes.slice(0, 7).entries())
    t.like(await verifyCode(at(START + index), realm, user, code.toUpperCase()), { ok: true, left: 9 - index });
  t.deepEqual(await verifyCode(at(START + 10), realm, user, codes[0] ?? ''), { ok: false, reason: 'replayed' });
  t.like((await listed())[0], { left: 3, lastUsedAt: START + 6 });
  const events = await audited();
  t.is(events.filter((type) => type === 'mfa.recovery.used').length, 7);
  t.is(events.filter((type) => type === 'mfa.recovery.low').length, 1);
  t.is(await messages(), 8, 'of the codes, and of each that was used');

  const fresh = await generateRecoveryCodes(at(START + 20), realm, user);
  t.is((await listed()).length, 1);
  t.deepEqual(await verifyCode(at(START + 21), realm, user, codes[8] ?? ''), { ok: false, reason: 'wrong' }, 'the old list is worthless');
  t.like(await verifyCode(at(START + 22), realm, user, fresh[8] ?? ''), { ok: true, left: 9 });
  t.is((await audited()).filter((type) => type === 'mfa.recovery.generated').length, 2);
});

testOnEngines('C06 one recovery code, twenty times at once, is good once', async (t, db) => {
  const { at, realm, user, audited } = await scene(db);
  const [code = ''] = await generateRecoveryCodes(at(START), realm, user);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => verifyCode(at(START), realm, user, code)));
  t.is(outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value.ok).length, 1);
  t.is((await audited()).filter((type) => type === 'mfa.recovery.used').length, 1);
});

testOnEngines('a code counts against the factors that it could be of, and no others', async (t, db) => {
  const { at, realm, user, audited, enrol, codeOf } = await scene(db);
  const { begun } = await enrol();
  const codes = await generateRecoveryCodes(at(START), realm, user);
  const failures = async () => db.knex('attempts').where({ realm_id: realm.id }).where('failures', '>', 0).pluck('failures');
  t.like(await verifyCode(at(START + STEP), realm, user, codes[0] ?? ''), { ok: true });
  t.deepEqual(await failures(), [], 'no guess at the app');
  t.like(await verifyCode(at(START + STEP), realm, user, codeOf(begun.key, START + STEP)), { ok: true });
  t.deepEqual(await failures(), []);
  await verifyCode(at(START + STEP), realm, user, 'aaaa-aaaa-aaaa-aaaa');
  t.deepEqual(await failures(), [1]);
  t.is((await audited()).filter((type) => type === 'mfa.challenge.failed').length, 1);
});

testOnEngines('an administrator is given no recovery codes', async (t, db) => {
  const { at, realm, user } = await scene(db);
  const role = await realmRoleId(db.knex, realm.id, 'admin');
  const manage = await db.knex('roles').where({ realm_id: realm.id, name: 'manage-realm' }).first('id');
  const id = role ?? manage?.id;
  if (id === undefined) throw new Error('no role administers a realm');
  await assignRole(db.knex, realm.id, user.id, id);
  const error = await refusal(t, generateRecoveryCodes(at(START), realm, user));
  t.is(error.status, 403);
  t.regex(error.message, /administrator/);
});

testOnEngines('names that an app cannot show, and users who never sign in, are refused', async (t, db) => {
  const { at, realm, user } = await scene(db);
  for (const field of ['account', 'issuer', 'label'] as const) {
    for (const wrong of ['', ' ', 'x'.repeat(61), 'a\u0007b', 'a\u202eb']) {
      const error = await refusal(t, beginEnrolment(at(START), realm, user, { ...APP, [field]: wrong }));
      t.is(error.field, field);
    }
  }
  t.is((await refusal(t, beginEnrolment(at(START), realm, { ...user, serviceAccountOf: 'some client' }, APP))).field, 'user');
});
