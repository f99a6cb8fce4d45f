/** A factor that was switched off after too many failures is still owned. */
import test from 'ava';
import type { Proof } from '../../../src/policy/assurance.ts';
import { decide, type Facts } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { neutralFacts } from '../../support/proofs.ts';

const now = 1_800_000_000_000;
const password: Proof = { credentialId: 'p', factor: 'password', kinds: ['knowledge'], level: 'aal1', amr: ['pwd'], at: now - 1000 };
const totp = { factor: 'totp', level: 'aal2', kinds: ['possession'] } as const;

for (const mfa of ['optional', 'required'] as const) {
  test(`with mfa ${mfa}, using up the codes of a factor opens neither the account nor an enrolment`, (t) => {
    const facts: Facts = {
      policy: policyOf(mfa),
      ...neutralFacts(),
      now,
      proofs: [password],
      owned: [{ ...totp, disabled: true }],
      enrollable: [totp],
      requested: { acr: [], essential: false },
    };
    t.is(decide(facts).ask, 'unmet');
    t.is(decide({ ...facts, action: 'enrol' }).ask, 'unmet');
    t.is(decide({ ...facts, owned: [totp] }).ask, 'factor');
  });
}
