/** Which factors a realm uses, through the operations that every door uses; on both engines. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Operator } from '../../../src/admin/resources/context.ts';
import { requireRealm } from '../../../src/admin/resources/context.ts';
import {
  addWebhook,
  disableFactor,
  enableFactor,
  finishSecretRotation,
  listFactors,
  type NewWebhook,
  removeFactor,
  rotateWebhookSecret,
} from '../../../src/admin/resources/custom-factors.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { AppError } from '../../../src/errors.ts';
import { customFactorsOf } from '../../../src/factors/custom/factors.ts';
import type { LoadedModule } from '../../../src/factors/custom/modules.ts';
import { createFactors } from '../../../src/factors/index.ts';
import { webhookSecrets } from '../../../src/factors/webhook-secrets.ts';
import { requireFetchable } from '../../../src/http/guarded-client.ts';
import type { RealmSettings } from '../../../src/realms/settings.ts';
import { credentialSeal, credentialsOf, insertCredential } from '../../../src/store/credentials.ts';
import type { Database } from '../../../src/store/database.ts';
import { testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';

const pager: LoadedModule = {
  id: 'custom-pager',
  name: 'Pager',
  strength: 'Rings where you are.',
  kind: 'possession',
  amr: ['pager', 'tel'],
  level: 'aal2',
  hooks: { check: async () => true },
};
const weak: LoadedModule = { ...pager, id: 'custom-weak', level: 'aal1' };
const modules = [pager, weak];

const badge: NewWebhook = { slug: 'badge', url: 'https://hooks.example/mfa', name: 'Badge', amr: ['badge'] };
const fetchable = (url: string): void => void requireFetchable(url, []);

async function scene(db: Database) {
  const operator: Operator = { db, keyring: keyringOn(db), passwords: quickHasher(), actor: 'test', now: Date.UTC(2030, 0, 15) };
  const { name } = await createRealm(operator, { name: `realm-${randomBytes(4).toString('hex')}` });
  const realm = () => requireRealm(operator, name);
  const { id: realmId } = await realm();
  const state = async (id: string) => listFactors(await realm(), modules).find((one) => one.id === id)?.state;
  const audited = async (): Promise<string[]> => db.knex('audit_events').where({ realm_id: realmId }).where('type', 'like', 'factor.%').pluck('type');
  return { operator, realm, realmId, state, audited };
}

async function refused(t: ExecutionContext, status: number, work: Promise<unknown>): Promise<AppError> {
  const error = await t.throwsAsync(work);
  if (!(error instanceof AppError)) throw error;
  t.is(error.status, status, error.message);
  return error;
}

const used = (settings: RealmSettings): string[] => [
  ...createFactors({
    custom: (of) => customFactorsOf(of, { modules, send: () => Promise.reject(new Error('no')), secretsOf: async () => [], report: () => undefined }),
  })
    .in(settings)
    .keys(),
];

testOnEngines('a factor of the product is switched off and on, once each', async (t, db) => {
  const { operator, realm, state, audited } = await scene(db);
  await disableFactor(operator, await realm(), 'totp');
  await disableFactor(operator, await realm(), 'totp');
  t.is(await state('totp'), 'off');
  t.false(used((await realm()).settings).includes('totp'));
  await enableFactor(operator, await realm(), { id: 'totp', modules });
  t.is(await state('totp'), 'on');
  t.true(used((await realm()).settings).includes('totp'));
  t.deepEqual((await audited()).sort(), ['factor.disabled', 'factor.enabled']);
  t.is((await refused(t, 400, enableFactor(operator, await realm(), { id: 'totp', terms: { level: 'aal1' }, modules }))).field, 'factor');
  for (const id of ['password', 'nope', 'custom-pager']) await refused(t, 404, disableFactor(operator, await realm(), id));
  await refused(t, 400, removeFactor(operator, await realm(), 'totp'));
});

testOnEngines('a module is used by the realms that take it up, for what they allow', async (t, db) => {
  const { operator, realm, state } = await scene(db);
  t.is(await state('custom-pager'), 'unused');
  t.false(used((await realm()).settings).includes('custom-pager'));
  await refused(t, 404, enableFactor(operator, await realm(), { id: 'custom-other', modules }));
  t.is((await refused(t, 400, enableFactor(operator, await realm(), { id: 'custom-pager', terms: { amr: ['hwk'] }, modules }))).field, 'amr');
  t.is((await refused(t, 400, enableFactor(operator, await realm(), { id: 'custom-weak', terms: { level: 'aal2' }, modules }))).field, 'level');
  await enableFactor(operator, await realm(), { id: 'custom-pager', terms: { amr: ['pager'], everyone: true }, modules });
  t.is(await state('custom-pager'), 'on');
  t.true(used((await realm()).settings).includes('custom-pager'));
  t.like((await realm()).settings.customFactors[0], { source: 'module', id: 'custom-pager', amr: ['pager'], level: 'aal2', everyone: true });
  await enableFactor(operator, await realm(), { id: 'custom-pager', terms: { level: 'aal1' }, modules });
  t.like((await realm()).settings.customFactors, { 0: { amr: ['pager'], level: 'aal1', everyone: true }, length: 1 });
  t.is(listFactors(await realm(), []).find(({ id }) => id === 'custom-pager')?.state, 'missing');
  await disableFactor(operator, await realm(), 'custom-pager');
  t.false(used((await realm()).settings).includes('custom-pager'));
});

testOnEngines('a webhook is added with a secret that is shown once and stored sealed', async (t, db) => {
  const { operator, realm, realmId, audited } = await scene(db);
  const { factor, secret } = await addWebhook(operator, await realm(), badge, fetchable);
  t.like(factor, { id: 'webhook-badge', kind: 'possession', level: 'aal2', everyone: false, events: ['init', 'check'] });
  t.regex(secret, /^[\w-]{43}$/);
  t.deepEqual(await webhookSecrets(operator, realmId, 'webhook-badge'), [secret]);
  t.false(JSON.stringify(await realm()).includes(secret));
  const rows = await db.knex('factor_webhooks').where({ realm_id: realmId });
  const recorded = await db.knex('audit_events').where({ realm_id: realmId });
  t.false(JSON.stringify([rows, recorded]).includes(secret));
  t.deepEqual(await audited(), ['factor.added']);
  t.is((await refused(t, 409, addWebhook(operator, await realm(), badge, fetchable))).field, 'slug');
  t.true(used((await realm()).settings).includes('webhook-badge'));
});

testOnEngines('what is no webhook is refused, field by field', async (t, db) => {
  const { operator, realm } = await scene(db);
  const wrong: [string, object][] = [
    ['slug', { slug: 'Badge' }],
    ['slug', { slug: '' }],
    ['url', { url: 'http://hooks.example/' }],
    ['url', { url: 'https://user:secret@hooks.example/' }],
    ['url', { url: 'https://0x7f.1/' }],
    ['url', { url: 'file:///etc/passwd' }],
    ['name', { name: ' ' }],
    ['name', { name: 'a\nb' }],
    ['amr.0', { amr: ['mfa'] }],
    ['amr.0', { amr: ['pwd'] }],
    ['amr', { amr: [] }],
    ['level', { level: 'phr' }],
    ['level', { level: 'phrh' }],
    ['kind', { kind: 'magic' }],
    ['events', { events: [] }],
  ];
  for (const [field, some] of wrong)
    t.is((await refused(t, 400, addWebhook(operator, await realm(), { ...badge, ...some }, fetchable))).field, field, JSON.stringify(some));
  t.deepEqual((await realm()).settings.customFactors, []);
});

testOnEngines('a secret is replaced while both are good, and then the older one ends', async (t, db) => {
  const { operator, realm, realmId, audited } = await scene(db);
  const { secret: first } = await addWebhook(operator, await realm(), badge, fetchable);
  await refused(t, 409, finishSecretRotation(operator, await realm(), 'webhook-badge'));
  const { secret: second } = await rotateWebhookSecret(operator, await realm(), 'webhook-badge');
  t.deepEqual(await webhookSecrets(operator, realmId, 'webhook-badge'), [second, first]);
  const { secret: third } = await rotateWebhookSecret(operator, await realm(), 'webhook-badge');
  t.deepEqual(await webhookSecrets(operator, realmId, 'webhook-badge'), [third, second], 'two at most');
  await finishSecretRotation(operator, await realm(), 'webhook-badge');
  t.deepEqual(await webhookSecrets(operator, realmId, 'webhook-badge'), [third]);
  t.is((await audited()).filter((type) => type === 'factor.secret-rotated').length, 3);
  await refused(t, 404, rotateWebhookSecret(operator, await realm(), 'webhook-other'));
  const now = await realm();
  const both = await Promise.allSettled([rotateWebhookSecret(operator, now, 'webhook-badge'), rotateWebhookSecret(operator, now, 'webhook-badge')]);
  const made = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value.secret] : []));
  const accepted = await webhookSecrets(operator, realmId, 'webhook-badge');
  t.true(made.length > 0 && made.every((secret) => accepted.includes(secret)), 'a secret that was shown is good');
});

testOnEngines('a webhook that is removed takes its secret and what users have of it along', async (t, db) => {
  const { operator, realm, realmId, audited } = await scene(db);
  await addWebhook(operator, await realm(), badge, fetchable);
  const user = await createUser(operator, await realm(), { username: 'erin' });
  const other = await createRealm(operator, { name: `realm-${randomBytes(4).toString('hex')}` });
  const stranger = await createUser(operator, other, { username: 'erin' });
  for (const one of [user, stranger]) {
    const key = { realmId: one.realmId, userId: one.id, id: randomUUID() };
    const secret = await operator.keyring.seal(credentialSeal(key), '{"kept":null}');
    await insertCredential(db.knex, {
      ...key,
      factor: 'webhook-badge',
      label: '',
      secret,
      counter: null,
      enabled: true,
      level: null,
      lookup: null,
      createdAt: 0,
      lastUsedAt: null,
    });
  }
  await disableFactor(operator, await realm(), 'webhook-badge');
  await removeFactor(operator, await realm(), 'webhook-badge');
  t.like((await realm()).settings, { customFactors: [], disabledFactors: [] });
  t.deepEqual(await webhookSecrets(operator, realmId, 'webhook-badge'), []);
  t.deepEqual(await credentialsOf(db.knex, realmId, user.id), []);
  t.is((await credentialsOf(db.knex, other.id, stranger.id)).length, 1, 'another realm has its own');
  t.true((await audited()).includes('factor.removed'));
  await refused(t, 404, removeFactor(operator, await realm(), 'webhook-badge'));
});

testOnEngines('of two changes at once one is refused, and nothing is lost', async (t, db) => {
  const { operator, realm } = await scene(db);
  const before = await realm();
  const both = await Promise.allSettled([disableFactor(operator, before, 'totp'), addWebhook(operator, before, badge, fetchable)]);
  t.is(both.filter(({ status }) => status === 'fulfilled').length, 1);
  const { disabledFactors, customFactors } = (await realm()).settings;
  t.is(disabledFactors.length + customFactors.length, 1);
});
