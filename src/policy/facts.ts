/** What a decision depends on, as data: the same facts for the sign-in pages, the provider's check, the consoles and a dry run. */
import type { Kind, Level, Proof } from './assurance.ts';
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
  client: FactsClient | null;
  requested: {
    /** From `acr_values` or `claims.id_token.acr`, in order of preference; any one of them satisfies. */
    acr: readonly string[];
    /** Whether the request is refused when no value can be met (OpenID Connect Core section 5.5.1.1). */
    essential: boolean;
    /** Proofs older than this do not count: `max_age`, `prompt=login`. */
    freshSince?: number;
  };
  /** When the sign-in began, from which a rule's `maxAge` counts, or a slow typist would never arrive; now when absent. */
  startedAt?: number;
  /** The user asked to enrol one more factor, or to change something of their account (`kc_action`). */
  action?: 'enrol' | 'change';
  /** Which factors that wish is about; any that may be enrolled when absent. */
  actionFactors?: readonly string[];
  /** How old the proofs may be that allow the action; five minutes when absent, and never more for a change. */
  actionFreshSince?: number;
  /** What is unusual about this sign-in. */
  risk: readonly Risk[];
  /** A valid trusted device of this user: it raises nothing and only spares the question. */
  device: { trustedAt: number } | null;
  /** Sign-ins in which the user has put off an enrolment so far. */
  grace: { used: number };
  /** "Skip for now" was pressed in this sign-in, or the session began that way. */
  skipped: boolean;
  /** When an administrator began to act as this user, who has shown nothing then. */
  impersonatedAt?: number;
  /** The one way down: an administrator's exception for this user. One that has run out counts for nothing. */
  exception: { id: string; level: Level; until: number; reason: string } | null;
}

export interface FactsClient {
  clientId: string;
  /** The least that it asks of everybody (Keycloak's `minimum.acr.value`). */
  floor: Level | null;
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
