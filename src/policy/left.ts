/** Whether a sign-in method may go: what would be left is held against all that is asked of its user. Pure. */
import type { Proof } from './assurance.ts';
import { decide } from './decide.ts';
import type { Facts, OwnedFactor } from './facts.ts';
import { isRecovery, PASSWORD } from './proofs.ts';

/** Whether somebody with a password and what would be left could meet all that rules and floors ask of them, without enrolling anew. */
export function isEnoughLeft(facts: Omit<Facts, 'proofs'>, left: readonly OwnedFactor[]): boolean {
  const password: Proof = { credentialId: '', factor: PASSWORD, kinds: ['knowledge'], level: 'aal1', amr: [], at: facts.now };
  const owned = left.filter((factor) => !isRecovery(factor));
  const decision = decide({ ...facts, owned, enrollable: [], proofs: [password], device: null, skipped: false, exception: null });
  return decision.ask !== 'unmet';
}
