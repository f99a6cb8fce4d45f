/**
 * Everything that is recorded, as one union: grouped by what it is about, each type with details of its own. Never a
 * code, a secret, a token or an address that something was sent to.
 *
 * What stands in a column of its own (who, about whom, which client and sign-in, from where) is the origin, not the
 * details. What may name or describe a person stands in PERSONAL_DETAILS, and goes when that person is erased.
 */

import type { RecordedInputs } from '../policy/replay.ts';

/** A sign-in, from its first page to its session. */
type LoginEvent =
  /** With what it was decided from, which a dry run of another policy needs. */
  | { type: 'login.ok'; details: { acr: string; amr: string[]; rules: string[]; inputs?: RecordedInputs } }
  /** Answered from a session that was there. */
  | { type: 'login.sso'; details: { acr: string; amr: string[]; rules: string[] } }
  | { type: 'login.failed'; details: { reason: 'credentials' | 'throttled' | 'disabled' | 'refused' } }
  | { type: 'login.cancelled'; details: Record<string, never> }
  /** More failures in the whole realm than its ceiling: that many within so many seconds. */
  | { type: 'login.flood'; details: { failures: number; within: number } }
  | { type: 'logout'; details: { sessions: number } }
  /** A client could not be told of the end of a session of the subject, and is not told any more. */
  | { type: 'logout.untold'; details: { attempts: number; status: number | null; reason: string } }
  | { type: 'flow.refused'; details: { reason: string } }
  | { type: 'consent.given'; details: { scopes: string[] } }
  | { type: 'consent.denied'; details: Record<string, never> }
  /** A device asks to be signed in (RFC 8628), is signed in by a user at a browser, or is not: by its user, or for the reason that is told to it. */
  | { type: 'device.started' | 'device.approved'; details: Record<string, never> }
  | { type: 'device.denied'; details: { reason: string } }
  /** A client asks a user by CIBA, who answers at a browser; the request is refused at once, by the error that the client is told. */
  | { type: 'ciba.requested' | 'ciba.approved'; details: Record<string, never> }
  | { type: 'ciba.denied' | 'ciba.refused'; details: { reason: string } };

/** One question for a factor, and its answers. `factor` is `enrol-<id>` where the code confirms an enrolment. */
type ChallengeEvent =
  /** `resent` when the user asked for another code. */
  | { type: 'mfa.challenge.issued'; details: { factor: string; resent?: boolean } }
  /** `ms` is the time since the question was asked. */
  | { type: 'mfa.challenge.ok'; details: { factor: string; credential: string; ms?: number } }
  | { type: 'mfa.challenge.failed'; details: { factor: string; credential?: string } }
  | { type: 'mfa.challenge.expired'; details: { factor: string } }
  | { type: 'mfa.challenge.throttled'; details: { factor: string } }
  | { type: 'mfa.replay'; details: { factor: string; credential?: string } }
  /** A counter of an authenticator that went back: there may be two of it (WebAuthn section 6.1.1). */
  | { type: 'mfa.clone_suspected'; details: { factor: string; credential: string } }
  /** One factor was asked in the place of another. */
  | { type: 'mfa.fallback'; details: { factor: string; from: string; reason: 'no-number' | 'provider' | 'budget' | 'hook' } };

/** What a user has to sign in with. */
type FactorEvent =
  | { type: 'mfa.factor.enrolled'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.renamed'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.preferred'; details: { factor: string } }
  | { type: 'mfa.factor.removed'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.disabled'; details: { factor: string } }
  | { type: 'mfa.factor.restored'; details: { factor: string } }
  | { type: 'mfa.factor.resynced'; details: { factor: string; credential: string } }
  /** Hardware tokens of the realm's stock. */
  | { type: 'mfa.token.imported'; details: { tokens: number; format: 'csv' | 'pskc' } }
  | { type: 'mfa.token.removed'; details: { token: string } }
  | { type: 'mfa.token.assigned' | 'mfa.token.returned'; details: { token: string; credential: string } }
  | { type: 'mfa.recovery.generated'; details: { codes: number } }
  | { type: 'mfa.recovery.used'; details: { left: number } }
  | { type: 'mfa.recovery.low'; details: { left: number } }
  | { type: 'mfa.trusted_device.added'; details: { device: string; until: number } }
  | { type: 'mfa.trusted_device.used'; details: { device: string } }
  | { type: 'mfa.trusted_device.reuse_detected'; details: { device: string } }
  | {
      type: 'mfa.trusted_device.revoked';
      details: { devices: string[]; reason: 'user' | 'administrator' | 'credentials' | 'sign-out' | 'reuse' | 'limit' };
    }
  /** A browser that its user took off the list: the next sign-in there is one with a new device. */
  | { type: 'device.forgotten'; details: { device: string } };

/** What is asked of whom, and the ways around it. */
type PolicyEvent =
  | { type: 'policy.changed'; details: { version: number; changes: PolicyChange[] } }
  | { type: 'mfa.exception.granted'; details: { exception: string; level: string; until: number; reason: string } }
  | { type: 'mfa.exception.revoked'; details: { exception: string } }
  /** An enrolment pass: asked for by one administrator, approved by another where the realm wants two. */
  | { type: 'mfa.reset.requested'; details: { reset: string; reason: string } }
  | { type: 'mfa.reset.approved'; details: { reset: string } }
  | { type: 'mfa.reset.refused'; details: { reset: string; reason: 'administrator' | 'own-request' | 'expired' } }
  | { type: 'mfa.reset.revoked'; details: { reset: string } }
  | { type: 'mfa.reset.used'; details: { reset: string; removed: string[] } }
  | { type: 'stepup.required'; details: { acr: string[] } }
  | { type: 'stepup.ok'; details: { acr: string } }
  | { type: 'stepup.unmet'; details: { reason: string } };

/** A forgotten password. */
type RecoveryEvent =
  /** Not sent where the name is nobody's, or somebody's who cannot be written to. */
  | { type: 'recovery.requested'; details: { sent: boolean } }
  | {
      type: 'recovery.refused';
      details: { reason: 'browser' | 'link' | 'attempts' | 'administrator' | 'mailbox' | 'switched-off' | 'changed' | 'cancelled' };
    }
  /** `factor` is the one that was shown besides the mailbox. */
  | { type: 'recovery.done'; details: { factor: string | null } };

/** What was sent, never to which address. `country` is that of a number, as ISO 3166-1 has it. */
type DeliveryEvent =
  | { type: 'delivery.sent'; details: { channel: 'mail' | 'sms'; purpose: string; country?: string } }
  | { type: 'delivery.failed'; details: { channel: 'mail' | 'sms'; purpose: string; reason: string; country?: string } }
  /** Not sent: the user, the realm or the country has had as many as it may. */
  | { type: 'delivery.budget'; details: { channel: 'mail' | 'sms'; purpose: string; limit: 'user' | 'realm' | 'country' } };

/** Alarms, and the keys behind everything. */
type SecurityEvent =
  | { type: 'token.reuse'; details: { kind: string } }
  /** A client got a token of its own for a user's token that it was called with; `from` is the client that one was of. */
  | {
      type: 'token.exchange';
      /** `vouched`: the subject token is bound to a key that was not proved here, but to the client (cardea.token.exchange.bound). */
      details: { from: string; mode: 'impersonation' | 'delegation'; scope: string[]; audience: string[]; vouched: boolean };
    }
  | { type: 'token.exchange.refused'; details: { reason: string } }
  /** A sealed value that does not open: moved, changed, or its key is gone. */
  | { type: 'crypto.unreadable'; details: { what: string } }
  | { type: 'crypto.data_key.made'; details: { key: string } }
  | { type: 'crypto.data_key.retired'; details: { keys: string[]; resealed: number } }
  | { type: 'crypto.master_key.rotated'; details: { key: string; rewrapped: number } }
  | { type: 'keys.rotated'; details: { kids: string[] } }
  /** Of an algorithm that the realm had no key of: it is from before there was that algorithm. */
  | { type: 'keys.added'; details: { kids: string[] } }
  /** The rows of the chain from which a person was erased, as ranges of their numbers. */
  | { type: 'audit.erased'; details: { rows: string } };

/** What administrators make and change. */
type ResourceEvent =
  | { type: 'realm.created' | 'client.created' | 'user.created'; details: { name: string } }
  | { type: 'realm.updated'; details: { changes: PolicyChange[] } }
  /** A key, or what is kept by Keycloak's name for it. */
  | { type: 'component.created' | 'component.updated' | 'component.deleted'; details: { component: string; name: string; provider: string } }
  /** In master: the realm itself has no rows any more. */
  | { type: 'realm.deleted'; details: { name: string; id: string } }
  | { type: 'realm.renamed'; details: { from: string; to: string } }
  /** Which fields of a client were changed, never what they held. */
  | { type: 'client.updated'; details: { name: string; fields: string[] } }
  | { type: 'client.deleted' | 'client.registration-token-made' | 'client.secret-ended'; details: { name: string } }
  /** A token by which so many clients may register. */
  | { type: 'client.initial-access-made'; details: { id: string; count: number } }
  | { type: 'client.initial-access-removed'; details: { id: string } }
  /** `until`: how long the secret of before stays good; missing when it ended at once. */
  | { type: 'client.secret-regenerated'; details: { name: string; until?: number } }
  | { type: 'role.created' | 'role.deleted' | 'user.role-added' | 'user.role-removed'; details: NamedRole }
  | { type: 'role.composite-added' | 'role.composite-removed'; details: NamedRole & { contained: NamedRole } }
  | { type: 'group.created' | 'group.deleted' | 'group.member-added' | 'group.member-removed'; details: { path: string } }
  | { type: 'group.moved'; details: { from: string; to: string } }
  | { type: 'group.role-added' | 'group.role-removed'; details: { path: string } & NamedRole }
  /** An account that a realm sends by; `at` is the mail server, or the account's id. */
  | { type: 'delivery.account-set'; details: { channel: 'mail' | 'sms'; at: string } }
  | { type: 'delivery.account-removed'; details: { channel: 'mail' | 'sms' } }
  | { type: 'user.password-set' | 'user.deleted'; details: Record<string, never> }
  /** Which fields of a user were changed, never what they held. */
  | { type: 'user.updated'; details: { fields: string[] } }
  | { type: 'role.updated'; details: NamedRole & { fields: string[] } }
  | { type: 'group.updated'; details: { path: string; fields: string[] } }
  /** What every new user is put into. */
  | { type: 'group.default-added' | 'group.default-removed'; details: { path: string } }
  /** What the user said to the realm's terms. */
  | { type: 'user.terms-accepted' | 'user.terms-declined'; details: Record<string, never> }
  /** What a user was asked by mail to do. */
  | { type: 'user.actions-sent'; details: { actions: string[] } }
  /** A link was made by which the actor may act as the user, and one was used. */
  | { type: 'user.impersonation-offered'; details: Record<string, never> }
  | { type: 'user.impersonated'; details: { session: string } }
  | { type: 'user.identity-linked' | 'user.identity-unlinked'; details: { provider: string } }
  /** What a user allowed a client was taken back, by the user or by an administrator: the actor. */
  | { type: 'consent.revoked'; details: Record<string, never> }
  /** Sessions were ended, by their user or by an administrator: those of a user, of a client, or of everybody. `offline`: grants of offline tokens. */
  | { type: 'session.ended'; details: { sessions: number; offline?: number } }
  /** Which factors a realm uses. */
  | { type: 'factor.enabled' | 'factor.disabled' | 'factor.removed'; details: { factor: string } }
  | { type: 'factor.added'; details: { factor: string; host: string } }
  /** Which fields of one were changed, never what they held. */
  | { type: 'identity-provider.created'; details: { alias: string; provider: string } }
  | { type: 'identity-provider.updated'; details: { alias: string; fields: string[] } }
  | { type: 'identity-provider.deleted'; details: { alias: string } }
  | {
      type: 'identity-provider.mapper-created' | 'identity-provider.mapper-updated' | 'identity-provider.mapper-deleted';
      details: { alias: string; name: string };
    }
  /** Where events are told; `host` is that of the address. */
  | { type: 'webhook.created'; details: { webhook: string; host: string; events: string[] } }
  | { type: 'webhook.updated'; details: { webhook: string; host: string; fields: string[] } }
  /** A host behind a gate: its rules and lifetimes. */
  | { type: 'gate.created' | 'gate.deleted'; details: { gate: string; origin: string } }
  | { type: 'gate.updated'; details: { gate: string; origin: string; fields: string[] } }
  | { type: 'webhook.deleted' | 'webhook.secret-rotated'; details: { webhook: string } }
  /** `accepted`: how many secrets of a webhook are good now. */
  | { type: 'factor.secret-rotated'; details: { factor: string; accepted: number } }
  /** Pauses after wrong passwords and codes were lifted: how many there were. */
  | { type: 'user.unlocked'; details: { pauses: number } };

/** What tokens say: client scopes, protocol mappers and scope mappings. */
type TokenContentEvent =
  | { type: 'client-scope.created' | 'client-scope.deleted'; details: { name: string } }
  | { type: 'client-scope.updated'; details: { name: string; fields: string[] } }
  /** Of one client, or without one of every new client of the realm. */
  | { type: 'client-scope.assigned' | 'client-scope.unassigned'; details: { name: string; client: string | null; as: 'default' | 'optional' } }
  /** `of` is the client or the client scope. */
  | { type: 'protocol-mapper.created' | 'protocol-mapper.updated' | 'protocol-mapper.deleted'; details: { name: string; of: NamedParent } }
  | { type: 'scope-mapping.added' | 'scope-mapping.removed'; details: NamedRole & { of: NamedParent } };

/** A client by its client_id, or a client scope by its name. */
export type NamedParent = { client: string } | { scope: string };

export type AuditEvent =
  | LoginEvent
  | ChallengeEvent
  | FactorEvent
  | PolicyEvent
  | RecoveryEvent
  | DeliveryEvent
  | SecurityEvent
  | ResourceEvent
  | TokenContentEvent;

/**
 * The details that name or describe the subject. A new event with such a detail is named here, or erasing a person
 * leaves it behind.
 */
export const PERSONAL_DETAILS: Readonly<Partial<Record<AuditEvent['type'], readonly string[]>>> = {
  'login.ok': ['inputs'],
  'user.created': ['name'],
  'mfa.exception.granted': ['reason'],
  'mfa.reset.requested': ['reason'],
};

/** One difference between two policies: where it is, what was there and what is. */
export interface PolicyChange {
  /** Such as `rules.payroll.need.level`. */
  at: string;
  from?: unknown;
  to?: unknown;
}

/** A role by its name, and its client's client_id; null for a realm role. */
export interface NamedRole {
  role: string;
  client: string | null;
}

/** Who did it, about whom, where. */
export interface AuditOrigin {
  realmId: string;
  at: number;
  /** A user id, or the name of a command. */
  actor?: string | null;
  /** The user it is about. */
  subject?: string | null;
  /** client_id. */
  clientId?: string | null;
  /** The sign-in that it belongs to. */
  transactionId?: string | null;
  ip?: string | null;
  userAgent?: string | null;
}
