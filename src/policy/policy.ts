/**
 * Who must prove what: the facts of one request, and the need that follows from them. Pure.
 *
 * Every rule that matches only raises (the strictest wins, so the order of rules never matters), and every need carries
 * the names of its rules, so that a page, a log line and the console can say why somebody is asked.
 * decide.ts holds what has been proved against the need and says what is still to ask.
 */
import type { Kind, Level, Proof } from './assurance.ts';
import { isLevel, LEVELS, reaches, strongest } from './assurance.ts';

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
  /** The realm's setting: nobody, whoever owns a factor, or everybody must show a second one. */
  mfa: 'off' | 'optional' | 'required';
  now: number;
  /** Of the session (only what `freshProofs` left) and of this transaction. Their order is of no account. */
  proofs: readonly Proof[];
  /** Second factors that the user has active; empty while the user is unknown. */
  owned: readonly OwnedFactor[];
  /** Second factors that this realm lets the user enrol now. */
  enrollable: readonly OwnedFactor[];
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
  /** How old the proofs may be that allow the action; five minutes when absent. */
  actionFreshSince?: number;
}

/** Names of the rules that can take part in a decision. */
export type RuleName = 'default' | 'realm.mfa' | 'user.owned' | 'request.acr' | 'request.max_age' | 'action.enrol' | 'enrol.recent';

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
  if (facts.mfa === 'required') {
    level = 'aal2';
    rules.push('realm.mfa');
  }
  const second = facts.mfa !== 'off' && facts.owned.length > 0;
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
