/**
 * Whether somebody may have a path of a protected host. Two statements a request: the gate with who is signed in there and
 * the session behind, and what a decision has to know of that user. A third for those whom a trusted device has spared the
 * second step, and once a minute a note that the session is used.
 */
import { heldProofs } from '../factors/owned.ts';
import type { Level } from '../policy/assurance.ts';
import { decide, freshProofs } from '../policy/decide.ts';
import { type GateNeed, isAllowed, rolesOfRules } from '../policy/gate-rules.ts';
import { clientFacts, factsOf, knownUser } from '../sessions/facts.ts';
import { isAlive, notedEvery } from '../sessions/lifetimes.ts';
import { noteActivity } from '../sessions/sessions.ts';
import { standingTrust } from '../sessions/standing-trust.ts';
import { type GateStanding, touchGateSession } from '../store/gate-sessions.ts';
import type { GateRequest } from './room.ts';

/** Who it is, as the site is told. */
export interface Identity {
  id: string;
  username: string;
  email: string | null;
  groups: readonly string[];
  /** Of those that the gate names. */
  roles: readonly string[];
  acr: string;
  amr: readonly string[];
}

export type Verdict =
  /** Null for a path that is everybody's. */
  | { let: 'in'; who: Identity | null }
  /** Nobody is signed in; or with `more` set, less was shown than `level`, or longer ago. */
  | { let: 'sign-in'; more: boolean; level: Level | null }
  | { let: 'nobody' };

/** A rule's `maxAge` counts from so long ago, or whoever comes from a slow sign-in would be sent back to it, round in circles. */
const STAYS_FRESH_MS = 5 * 60_000;

/** @param device the trusted device that spared the second step; by default the one that the session was begun with */
export async function verdictOf(
  request: GateRequest,
  standing: GateStanding,
  need: GateNeed,
  device: string | null = standing.signedIn?.row.deviceId ?? null,
): Promise<Verdict> {
  if (!standing.enabled || need.access === 'denied') return { let: 'nobody' };
  const verdict = isStanding(request, standing) ? await ofUser(request, standing, need, device) : undefined;
  // What everybody may see is not kept from those who would have to prove more elsewhere.
  if (need.access === 'public') return verdict?.let === 'in' ? verdict : { let: 'in', who: null };
  return verdict ?? { let: 'sign-in', more: false, level: need.level };
}

/** A gate at which somebody is signed in. */
interface Standing extends GateStanding {
  signedIn: NonNullable<GateStanding['signedIn']>;
}

function isStanding({ realm, at }: GateRequest, standing: GateStanding): standing is Standing {
  const { gate, signedIn } = standing;
  // A gate has no word for whoever acts as somebody else.
  if (signedIn?.session.facts.impersonator) return false;
  if (!signedIn || !isAlive(signedIn.session, realm.realm.settings, at)) return false;
  return gate.idle === null || signedIn.row.lastSeenAt + gate.idle * 1000 > at;
}

async function ofUser(request: GateRequest, { gate, signedIn }: Standing, need: GateNeed, device: string | null): Promise<Verdict | undefined> {
  const { db, realm, factors, at } = request;
  const { session, user } = signedIn;
  const roles = [...new Set([...rolesOfRules(gate.rules), ...gate.roles])];
  const known = await knownUser(db.knex, realm, { userId: user.id, clientId: gate.clientId, roles }, at);
  if (!known.user) return undefined;
  if (!isAllowed(need, known.user)) return { let: 'nobody' };

  const whom = { realmId: realm.realm.id, userId: user.id };
  const trust = device === null ? null : await standingTrust(db.knex, whom, device, known.credentials, at);
  const facts = factsOf(
    factors,
    realm,
    known,
    {
      client: clientFacts(realm.policy, gate.clientId, known.clientAttributes).client,
      requested: { acr: need.level === null ? [] : [need.level], essential: false },
      startedAt: at - STAYS_FRESH_MS,
    },
    { device: trust, skipped: session.facts.skipped },
  );
  const proofs = heldProofs(freshProofs(session.proofs, at, session.lastSeenAt), known.credentials);
  const decision = decide({ ...facts, now: at, proofs });
  if (decision.ask === 'unmet') return { let: 'nobody' };
  if (decision.ask !== 'nothing') return { let: 'sign-in', more: true, level: 'level' in decision ? decision.level : need.level };
  await noteUse(request, gate, signedIn);
  const held = known.user.roles.filter((role) => roles.includes(role));
  return { let: 'in', who: { ...user, groups: known.user.groups.toSorted(), roles: held.toSorted(), acr: decision.acr, amr: decision.amr } };
}

async function noteUse({ db, realm, at }: GateRequest, { idle }: Standing['gate'], { row, session }: Standing['signedIn']): Promise<void> {
  await noteActivity(db, session, realm.realm.settings, at);
  const every = notedEvery(idle === null ? Number.POSITIVE_INFINITY : idle * 1000);
  if (row.id !== '' && row.lastSeenAt <= at - every) await touchGateSession(db.knex, realm.realm.id, row, at);
}
