/** A dry run over more sign-ins than a page holds, some of which cannot be replayed, of some who are gone. */
import { randomUUID } from 'node:crypto';
import { changePolicy } from '../../../src/admin/resources/policy.ts';
import { dryRunPolicy } from '../../../src/admin/resources/policy-dry-run.ts';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createRole, giveRoles } from '../../../src/admin/resources/roles.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { recordAll } from '../../../src/audit/record.ts';
import { createFactors } from '../../../src/factors/index.ts';
import { inputsOf } from '../../../src/policy/replay.ts';
import { testOnEngines } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { DAY, FACTORS, factsWith, NOW, password, totp } from '../../support/proofs.ts';

testOnEngines('every sign-in of the last days is counted once, page by page', async (t, db) => {
  const operator = { db, keyring: keyringOn(db), passwords: quickHasher(), factors: createFactors(), actor: 'test', now: NOW };
  const realm = await createRealm(operator, { name: `dry-${randomUUID().slice(0, 8)}` });
  await changePolicy(operator, realm, { rules: [{ id: 'realm', when: {}, need: { level: 'aal2' } }] });
  const [erin, alice] = [await createUser(operator, realm, { username: 'erin' }), await createUser(operator, realm, { username: 'alice' })];
  await createRole(operator, realm, { name: 'seller' });
  await giveRoles(operator, realm, erin, [{ name: 'seller' }]);
  const gone = randomUUID();

  const { totp: TOTP } = FACTORS;
  const inputs = (at: number) => {
    const proofs = [password(), totp()].map((proof) => ({ ...proof, at }));
    return inputsOf(factsWith({ now: at, startedAt: at - 1_000, proofs, owned: [TOTP] }), { version: 2, owned: [TOTP] });
  };
  const subjects = [erin.id, alice.id, gone];
  const events = Array.from({ length: 450 }, (_, index) => {
    // Many in one moment, so that a page ends among them.
    const at = NOW - Math.floor(index / 90) * DAY;
    const event = { type: 'login.ok' as const, details: { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], rules: ['realm'], inputs: inputs(at) } };
    return { origin: { realmId: realm.id, at, subject: subjects[index % 3] ?? null, clientId: 'shop' }, event };
  });
  const old = {
    origin: { realmId: realm.id, at: NOW - 31 * DAY, subject: erin.id },
    event: { type: 'login.ok' as const, details: { acr: '', amr: [], rules: [] } },
  };
  const unreadable = { ...old, origin: { ...old.origin, at: NOW } };
  for (let start = 0; start < events.length; start += 50) await recordAll(db.knex, events.slice(start, start + 50));
  await recordAll(db.knex, [old, unreadable]);

  const run = (draft: unknown, days?: number) => dryRunPolicy(operator, realm, { draft, ...(days === undefined ? {} : { days }) });
  const same = await run({ rules: [{ id: 'realm', when: {}, need: { level: 'aal2' } }] });
  t.like(same, {
    signIns: 450,
    passedOver: 1,
    askedThen: 450,
    askedNow: 450,
    newlyAsked: 0,
    noLongerAsked: 0,
    newlyBlocked: 0,
    mustEnrol: 0,
    mayEnrol: 0,
  });
  t.like(await run({ useOwned: false }), { signIns: 450, askedNow: 0, noLongerAsked: 450 });
  t.is((await run({}, 2)).signIns, 90 + 90 + 90, 'from so many days ago on');

  const sellers = await run({ rules: [{ id: 'sellers', when: { role: ['seller'] }, need: { deny: true } }] });
  t.like(sellers, { newlyBlocked: 150 });
  t.deepEqual(sellers.rules.find(({ id }) => id === 'sellers')?.examples, [{ id: erin.id, username: 'erin' }]);
  const closed = await run({ rules: [{ id: 'closed', when: { client: ['shop'] }, need: { deny: true } }] });
  t.is(closed.newlyBlocked, 450);
  t.deepEqual(closed.rules[0]?.examples.map(({ username }) => username ?? 'gone').sort(), ['alice', 'erin', 'gone']);
});
