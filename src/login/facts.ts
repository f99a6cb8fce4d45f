/** What a sign-in is judged by: the rules of machine.ts, computed anew for each event from what is stored. */
import type { Factors } from '../factors/index.ts';
import { enrollableFactors, everybodys, heldProofs, ownedFactors } from '../factors/owned.ts';
import { freshProofs } from '../policy/decide.ts';
import { policyOf } from '../policy/document.ts';
import { requestFacts } from '../policy/request.ts';
import type { DeviceStanding } from '../sessions/devices.ts';
import { neutralFacts } from '../sessions/facts.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { RealmRow } from '../store/realms.ts';
import type { SessionRow } from '../store/sessions.ts';
import type { LoginRules } from './machine.ts';

/** The rules for a user with these credentials; none while nobody is known. */
export function rulesFor(
  factors: Factors,
  realm: RealmRow,
  request: { params: Record<string, unknown>; startedAt: number },
  user: { credentials: readonly CredentialRow[]; session: SessionRow | undefined; device?: DeviceStanding['facts'] },
  now: number,
): LoginRules {
  const active = user.credentials.filter((row) => row.enabled);
  const owned = ownedFactors(factors, realm.settings, user.credentials);
  const second = new Set(owned.map((factor) => factor.factor));
  return {
    facts: {
      policy: policyOf(realm.settings.mfa),
      ...neutralFacts(),
      ...user.device,
      owned,
      enrollable: enrollableFactors(factors, realm.settings, null),
      ...requestFacts(request.params, request.startedAt),
    },
    sessionProofs: user.session ? heldProofs(freshProofs(user.session.proofs, now, user.session.lastSeenAt), user.credentials) : [],
    choices: [
      ...active.filter((row) => second.has(row.factor)).map((row) => ({ factor: row.factor, credentialId: row.id })),
      // What everybody has, without a credential of their own.
      ...owned
        .filter(({ factor }) => !user.credentials.some((row) => row.factor === factor))
        .map(({ factor }) => ({ factor, credentialId: everybodys(factor) })),
    ],
    offers: [],
    fallback: realm.settings.fallback,
  };
}
