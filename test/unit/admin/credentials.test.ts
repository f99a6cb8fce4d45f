/** Authenticator apps through the operations that every door uses: what is stored, recorded and told goes together. */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Operator } from '../../../src/admin/resources/context.ts';
import { beginEnrolment, finishEnrolment, secondFactorsOf, verifyCode } from '../../../src/admin/resources/credentials.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { createNotices, type Notices } from '../../../src/delivery/notices.ts';
import { AppError } from '../../../src/errors.ts';
import type { Database } from '../../../src/store/database.ts';
import { testOnEngines } from '../../support/databases.ts';
import { letterHtml } from '../../support/delivery.ts';
import { quickHasher, totpCode } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';

const START = Date.UTC(2030, 0, 15, 12, 0, 7);
const STEP = 30_000;
const APP = { account: 'erin@example.com', issuer: 'Example', label: 'Phone' };

async function scene(db: Database) {
  const keyring = keyringOn(db);
  const at = (now: number): Operator => ({ db, keyring, passwords: quickHasher(), actor: 'test', now });
  const realm = await createRealm(at(START), { name: `realm-${randomBytes(4).toString('hex')}` });
  const user = await createUser(at(START), realm, { username: 'erin', email: 'erin@example.com' });
  const notices = createNotices({ db, keyring, html: letterHtml, origin: 'https://id.example.com', channels: () => ({ mail: true, sms: false }) });
  const audited = async (): Promise<string[]> => db.knex('audit_events').where({ realm_id: realm.id, subject: user.id }).orderBy('at').pluck('type');
  const messages = async (): Promise<number> => (await db.knex('outbox').where({ realm_id: realm.id })).length;
  const begin = () => beginEnrolment(at(START), realm, user, APP);
  const codeOf = (key: string, now: number) => totpCode({ secret: key, digits: 6, period: 30, algorithm: 'sha1' }, now);
  return { at, realm, user, notices, audited, messages, begin, codeOf };
}

async function refusal(t: ExecutionContext, work: Promise<unknown>): Promise<AppError> {
  const error = await t.throwsAsync(work);
  if (!(error instanceof AppError)) throw error;
  return error;
}

testOnEngines('an app is stored, recorded and told of in one transaction', async (t, db) => {
  const { at, realm, user, notices, audited, messages, begin, codeOf } = await scene(db);
  const begun = await begin();
  const broken: Pick<Notices, 'tellOfNewFactor'> = { tellOfNewFactor: async () => () => Promise.reject(new Error('the outbox is full')) };
  const code = codeOf(begun.key, START);
  await t.throwsAsync(finishEnrolment(at(START), realm, user, { begun, code, notices: broken }), { message: 'the outbox is full' });
  t.deepEqual(await secondFactorsOf({ db }, user), []);
  t.false((await audited()).includes('mfa.factor.enrolled'));

  const enrolled = await finishEnrolment(at(START), realm, user, { begun, code, notices });
  t.like(enrolled, { id: begun.credentialId, factor: 'totp', label: 'Phone', enabled: true });
  t.false('secret' in enrolled);
  t.true((await audited()).includes('mfa.factor.enrolled'));
  t.is(await messages(), 1);
});

testOnEngines('of many who try one code at once, one is right', async (t, db) => {
  const { at, realm, user, notices, audited, begin, codeOf } = await scene(db);
  const begun = await begin();
  await finishEnrolment(at(START), realm, user, { begun, code: codeOf(begun.key, START), notices });
  const next = codeOf(begun.key, START + STEP);
  const verdicts = await Promise.all(Array.from({ length: 6 }, () => verifyCode(at(START + STEP), realm, user, next)));
  t.is(verdicts.filter((verdict) => verdict.ok).length, 1);
  t.true(verdicts.every((verdict) => verdict.ok || verdict.reason === 'replayed'));
  t.is((await audited()).filter((type) => type === 'mfa.challenge.ok').length, 1);
  t.is((await audited()).filter((type) => type === 'mfa.replay').length, 5);
});

testOnEngines('after ten failures it pauses, and after fifty the factor is off', async (t, db) => {
  const { at, realm, user, notices, audited, begin, codeOf } = await scene(db);
  const begun = await begin();
  await finishEnrolment(at(START), realm, user, { begun, code: codeOf(begun.key, START), notices });
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
  t.false((await secondFactorsOf({ db }, user))[0]?.enabled);
  t.is((await refusal(t, verifyCode(at(now), realm, user, codeOf(begun.key, now)))).status, 404);
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
