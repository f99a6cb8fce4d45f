/** What the policy is told about a user's credentials and a realm's factors. */
import type { Proof } from '../policy/assurance.ts';
import type { OwnedFactor } from '../policy/policy.ts';
import { factors } from './index.ts';

/**
 * The second factors among a user's credentials, one entry a factor. One that was switched off after too many failures is
 * still owned: whoever has the password must not get in by using up the codes.
 */
export function ownedFactors(credentials: readonly { factor: string; enabled: boolean }[]): OwnedFactor[] {
  return secondFactors().flatMap((factor) => {
    const held = credentials.filter((credential) => credential.factor === factor.factor);
    if (held.length === 0) return [];
    return [held.some((credential) => credential.enabled) ? factor : { ...factor, disabled: true }];
  });
}

/** Proofs of credentials that are still there: a password that was reset and an app that was removed prove nothing any more. */
export function heldProofs(proofs: readonly Proof[], credentials: readonly { id: string }[]): Proof[] {
  const held = new Set(credentials.map((credential) => credential.id));
  return proofs.filter((proof) => held.has(proof.credentialId));
}

/** The second factors that a realm lets its users enrol. */
export function enrollableFactors(): OwnedFactor[] {
  return secondFactors().filter((factor) => factors.get(factor.factor)?.enrol !== undefined);
}

function secondFactors(): OwnedFactor[] {
  return [...factors.values()].filter((factor) => factor.role === 'second').map(({ id, level, kinds }) => ({ factor: id, level, kinds }));
}
