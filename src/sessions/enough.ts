/** Whether a user could do without one of their sign-in methods: for every door that removes one. */
import type { Factors } from '../factors/index.ts';
import { ownedFactors } from '../factors/owned.ts';
import { isEnoughLeft } from '../policy/left.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { CredentialRow } from '../store/credentials.ts';
import { factsOf, type KnownUser } from './facts.ts';

/** Whether the user could still sign in everywhere with what would be left. */
export function isEnoughLeftOf(factors: Factors, on: RealmContext, known: KnownUser, left: readonly CredentialRow[], now: number): boolean {
  const facts = factsOf(factors, on, known, { client: null, requested: { acr: [], essential: false } });
  return isEnoughLeft({ ...facts, now }, ownedFactors(factors, on.realm.settings, left));
}
