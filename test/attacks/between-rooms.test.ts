/** B40 and what follows it: what one room lets pass because another was thought to look at it. */
import test from 'ava';
import { type LoginRules, next, start } from '../../src/login/machine.ts';
import { FACTORS, factsWith, MINUTE, NOW, password, totp } from '../support/proofs.ts';

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
