/** What the policy is told about a user's credentials and a realm's factors. */
import type { OwnedFactor } from '../policy/policy.ts';
import { factors } from './index.ts';

/** The second factors among active credentials, one entry a factor. */
export function ownedFactors(credentials: readonly { factor: string; enabled: boolean }[]): OwnedFactor[] {
  const held = new Set(credentials.filter((credential) => credential.enabled).map((credential) => credential.factor));
  return secondFactors().filter((factor) => held.has(factor.factor));
}

/** The second factors that a realm lets its users enrol. */
export function enrollableFactors(): OwnedFactor[] {
  return secondFactors().filter((factor) => factors.get(factor.factor)?.enrol !== undefined);
}

function secondFactors(): OwnedFactor[] {
  return [...factors.values()].filter((factor) => factor.role === 'second').map(({ id, level, kinds }) => ({ factor: id, level, kinds }));
}
