/** What a sign-in is judged by: the rules of machine.ts, computed anew for each event from what is stored. */
import type { Factors } from '../factors/index.ts';
import { everybodys, heldProofs } from '../factors/owned.ts';
import { freshProofs } from '../policy/decide.ts';
import { requestFacts } from '../policy/request.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { DeviceStanding } from '../sessions/devices.ts';
import { clientFacts, factsOf, type KnownUser } from '../sessions/facts.ts';
import type { SessionRow } from '../store/sessions.ts';
import type { LoginRules } from './state.ts';

/** The rules for a user; those of nobody (sessions/facts.ts) while nobody is known. */
export function rulesFor(
  factors: Factors,
  on: RealmContext,
  request: { params: Record<string, unknown>; clientId: string; startedAt: number },
  user: { known: KnownUser; session: SessionRow | undefined; device?: DeviceStanding['facts'] },
  now: number,
): LoginRules {
  const { credentials, clientAttributes } = user.known;
  const { client, wishes } = clientFacts(on.policy, request.clientId, clientAttributes);
  const asked = { client, ...requestFacts(request.params, request.startedAt, wishes) };
  const facts = factsOf(factors, on, user.known, asked, { ...user.device, skipped: user.session?.facts.skipped ?? false });
  const { settings } = on.realm;
  const active = credentials.filter((row) => row.enabled);
  const second = new Set(facts.owned.map((factor) => factor.factor));
  return {
    facts,
    sessionProofs: user.session ? heldProofs(freshProofs(user.session.proofs, now, user.session.lastSeenAt), credentials) : [],
    choices: [
      ...active.filter((row) => second.has(row.factor)).map((row) => ({ factor: row.factor, credentialId: row.id })),
      // What everybody has, without a credential of their own.
      ...facts.owned
        .filter(({ factor }) => !credentials.some((row) => row.factor === factor))
        .map(({ factor }) => ({ factor, credentialId: everybodys(factor) })),
    ],
    offers: [],
    fallback: settings.fallback,
  };
}
