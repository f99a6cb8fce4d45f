/**
 * Who must prove what: the facts of one request, and the need that follows from them. Pure.
 *
 * Every rule that matches only raises (the strictest wins, so the order of rules never matters), and every need carries
 * the names of its rules, so that a page, a log line and the console can say why somebody is asked.
 * decide.ts holds what has been proved against the need and says what is still to ask.
 */
import type { Kind, Level, Proof } from './assurance.ts';
import { isLevel, LEVELS, reaches, strongest } from './assurance.ts';
import type { PolicyDocument, Risk } from './document.ts';

/** A second factor that a user has active, or that a realm offers: what it would show. */
export interface OwnedFactor {
  /** Factor id, such as `totp`. */
  factor: string;
  level: Level;
  kinds: readonly Kind[];
  /** Switched off after too many failures: still owned, so still needed, but it cannot be used until it is restored. */
  disabled?: boolean;
}

/** Everything that a decision depends on. Times are milliseconds since the epoch. */
export interface Facts {
  /** The realm's policy as it is in force. */
  policy: PolicyDocument;
  now: number;
  /** Of the session (only what `freshProofs` left) and of this transaction. Their order is of no account. */
  proofs: readonly Proof[];
  /** Second factors that the user has active; empty while the user is unknown. */
  owned: readonly OwnedFactor[];
  /** Second factors that this realm lets the user enrol now. */
  enrollable: readonly OwnedFactor[];
  /** Null while nobody is known. */
  user: FactsUser | null;
  /** The application that asks; null where none does, such as for an enrolment pass. */
  client: { clientId: string /** The least that it asks of everybody (Keycloak's `minimum.acr.value`). */; floor: Level | null } | null;
  requested: {
    /** From `acr_values` or `claims.id_token.acr`, in order of preference; any one of them satisfies. */
    acr: readonly string[];
    /** Whether the request is refused when no value can be met (OpenID Connect Core section 5.5.1.1). */
    essential: boolean;
    /** Proofs older than this do not count: `max_age`, `prompt=login`. */
    freshSince?: number;
  };
  /** The user asked to enrol one more factor (`kc_action`). */
  action?: 'enrol';
  /** Which factors that wish is about; any that may be enrolled when absent. */
  actionFactors?: readonly string[];
  /** How old the proofs may be that allow the action; five minutes when absent. */
  actionFreshSince?: number;
  /** What is unusual about this sign-in. */
  risk: readonly Risk[];
  /** A valid trusted device of this user: it raises nothing and only spares the question. */
  device: { trustedAt: number } | null;
  /** Sign-ins in which the user has put off an enrolment so far. */
  grace: { used: number };
  /** "Skip for now" was pressed in this sign-in, or the session began that way. */
  skipped: boolean;
  /** The one way down: an administrator's exception for this user. One that has run out counts for nothing. */
  exception: { id: string; level: Level; until: number; reason: string } | null;
}

/** What rules may ask about a user. */
export interface FactsUser {
  id: string;
  username: string;
  /** Effective roles: the name of a realm role, `client:role` for a client's. */
  roles: readonly string[];
  /** Paths of the user's groups and of all groups above them. */
  groups: readonly string[];
  /** Somebody with a role that administers this realm or the installation. */
  administrator: boolean;
}

/** The id of a rule of the document, or the name of a built-in one; those have a dot, or are `default`. */
export type RuleName = string;

/** What a set of proofs has to show. */
export interface Need {
  level: Level;
  /** A second factor is due whatever its level is, because the user owns one. */
  second: boolean;
  /** Proofs before this do not count. */
  since: number;
  rules: RuleName[];
}

/**
 * New factors are bound only by somebody who has just shown the strongest one that they own: who finds an open session
 * must not be able to add a factor of their own to it (NIST SP 800-63B-4 section 4.1.2.1; the five minutes are ours).
 */
export const ENROL_FRESH_MS = 5 * 60_000;

/** The requested acr values that this product knows; the others are nobody's promise and are ignored. */
export function knownLevels(requested: readonly string[]): Level[] {
  return requested.filter(isLevel);
}

/**
 * What the request needs, whoever the user turns out to be able to satisfy it with.
 *
 * A requested acr only raises: the weakest listed level joins the realm's own floor.
 */
export function needOf(facts: Facts): Need {
  const rules: RuleName[] = [];
  let level: Level = 'aal1';
  for (const rule of facts.policy.rules) {
    if (Object.keys(rule.when).length > 0 || rule.need.level === undefined) continue;
    level = strongest(level, rule.need.level);
    rules.push(rule.id);
  }
  const second = facts.policy.useOwned && facts.owned.length > 0;
  if (second) rules.push('user.owned');

  const asked = weakest(knownLevels(facts.requested.acr));
  if (asked !== undefined) {
    level = strongest(level, asked);
    rules.push('request.acr');
  }
  const since = facts.requested.freshSince ?? Number.NEGATIVE_INFINITY;
  if (facts.requested.freshSince !== undefined) rules.push('request.max_age');
  if (facts.action === 'enrol') rules.push('action.enrol');
  return { level, second, since, rules: rules.length > 0 ? rules : ['default'] };
}

/**
 * What must have been shown before a new factor is bound: the strongest level that the user owns, moments ago.
 *
 * @param need what the request itself needs; its rules are kept, its freshness only gets stricter
 */
export function needBeforeEnrolment(facts: Facts, need: Need): Need {
  const recent = facts.action === 'enrol' && facts.actionFreshSince !== undefined ? facts.actionFreshSince : facts.now - ENROL_FRESH_MS;
  // A factor of the password's own kind shows nothing new beside it and so lends no level, but it is asked all the same.
  const top = facts.owned
    .filter((owned) => owned.kinds.some((kind) => kind !== 'knowledge'))
    .reduce<Level>((level, owned) => strongest(level, owned.level), 'aal1');
  return {
    level: top,
    second: facts.owned.length > 0,
    since: Math.max(need.since, recent),
    rules: [...need.rules, 'enrol.recent'],
  };
}

function weakest(levels: readonly Level[]): Level | undefined {
  return LEVELS.find((level) => levels.includes(level) && levels.every((other) => reaches(other, level)));
}
