/** B40 and what follows it: what one room lets pass because another was thought to look at it. */
import test from 'ava';
import { requireRealm } from '../../src/admin/resources/context.ts';
import { enableFactor } from '../../src/admin/resources/custom-factors.ts';
import { loadFactorModules } from '../../src/factors/custom/modules.ts';
import { next, start } from '../../src/login/machine.ts';
import type { LoginRules } from '../../src/login/state.ts';
import { formsOf } from '../support/agent.ts';
import { arena, audited, giveApp } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { FACTORS, factsWith, MINUTE, NOW, password, totp } from '../support/proofs.ts';
import { Forgetful, give, headingOf, mailsTo } from '../support/recovery.ts';

const offering = (...owned: (keyof typeof FACTORS)[]): LoginRules => {
  const { now: _now, proofs: _proofs, ...facts } = factsWith({});
  return {
    facts: { ...facts, owned: owned.map((id) => FACTORS[id]) },
    sessionProofs: [],
    choices: owned.map((id) => ({ factor: FACTORS[id].factor, credentialId: `${id}-1` })),
    offers: [{ action: 'offer:passkey', after: 'proved', factors: ['totp'] }],
    fallback: [],
  };
};
const nobody = start(offering(), { userId: null }, NOW);

test('B40 an offer that stood open is not taken up by whoever passes by', (t) => {
  const rules = offering('totp');
  const challenged = next(nobody, { type: 'proved', userId: 'alice', proof: password() }, rules, NOW);
  const offered = next(challenged, { type: 'proved', userId: 'alice', proof: totp(0, 'totp-1') }, rules, NOW);
  t.is(offered.at, 'action');
  t.like(next(offered, { type: 'begun', step: 'challenge' }, rules, NOW + 4 * MINUTE), { at: 'action', step: 'challenge' });
  t.like(next(offered, { type: 'begun', step: 'challenge' }, rules, NOW + 6 * MINUTE), { at: 'done', step: null, enrolled: [] });
});

test('B40 after a weaker factor than the strongest that is owned nothing is offered', (t) => {
  const rules = offering('totp', 'key');
  const choosing = next(nobody, { type: 'proved', userId: 'alice', proof: password() }, rules, NOW);
  const chosen = next(choosing, { type: 'chosen', factor: FACTORS.totp.factor, credentialId: 'totp-1' }, rules, NOW);
  t.is(next(chosen, { type: 'proved', userId: 'alice', proof: totp(0, 'totp-1') }, rules, NOW).at, 'done');
});

const MODULES = ['./test/support/factor-letter.ts', './test/support/factor-note.ts'];

forEachEngine((engine) => {
  const { scene } = arena(engine, { CARDEA_FACTOR_MODULES: MODULES.join(',') });

  /** A realm of the test's own, with a custom factor. */
  async function withCustom(id: string, minLength: number) {
    const { server, realm: made, rp } = await scene({ passwordMinLength: minLength });
    await enableFactor(server.operator(), made, { id, modules: await loadFactorModules(MODULES) });
    return { server, rp, realm: await requireRealm(server.operator(), made.name) };
  }

  engine.test('B41 a custom factor whose codes are mailed is no second factor beside the link in a mail', async (t) => {
    const { server, realm } = await withCustom('custom-letter', 9);
    const user = await server.user(realm, { emailVerified: true });
    await giveApp(server, user);
    await give(server, user, 'custom-letter', { kept: null, address: user.email });
    const asked = await new Forgetful(server, realm).arrive(user);
    t.deepEqual(
      formsOf(asked).flatMap(({ fields }) => fields.factor ?? []),
      [],
      'there is no choice',
    );
    t.true(asked.html.includes('name="code"'), 'the app is asked');
    t.is((await mailsTo(server, realm, user.email ?? '')).length, 1, 'and nothing is sent but the link');
  });

  engine.test('B41 nor is one whose hook has its code mailed', async (t) => {
    const stage = await withCustom('custom-note', 10);
    const { server, realm } = stage;
    const user = await server.user(realm, { emailVerified: true });
    await give(server, user, 'custom-note', { kept: null, address: user.email });
    const person = new Forgetful(server, realm);
    const asked = await person.arrive(user);
    t.false(asked.html.includes('name="code"'), headingOf(asked));
    await person.browser.post(`${person.base}/reset-credentials/continue`, { code: '271828' });
    const after = await person.browser.visit(`${person.base}/reset-credentials/continue`);
    t.false(after.html.includes('name="password-new"'));
    t.is((await mailsTo(server, realm, user.email ?? '')).length, 1);
    t.deepEqual(await audited(stage, 'recovery.done', { user: user.id }), []);
  });
});
