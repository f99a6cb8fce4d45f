/** Everything that is recorded, as one union. Never a code, a secret or a token. */

export type AuditEvent =
  | { type: 'login.ok'; details: { acr: string; amr: string[]; rules: string[] } }
  | { type: 'login.failed'; details: { reason: 'credentials' | 'throttled' | 'disabled' | 'refused' } }
  | { type: 'login.cancelled'; details: Record<string, never> }
  | { type: 'logout'; details: { sessions: number } }
  | { type: 'mfa.challenge.ok'; details: { factor: string; credential: string } }
  | { type: 'mfa.challenge.failed'; details: { factor: string } }
  | { type: 'mfa.challenge.throttled'; details: { factor: string } }
  | { type: 'mfa.replay'; details: { factor: string } }
  | { type: 'mfa.factor.enrolled'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.renamed'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.removed'; details: { factor: string; credential: string } }
  | { type: 'mfa.factor.disabled'; details: { factor: string } }
  | { type: 'stepup.required'; details: { acr: string[] } }
  | { type: 'stepup.unmet'; details: { reason: string } }
  | { type: 'token.reuse'; details: { kind: string } }
  | { type: 'flow.refused'; details: { reason: string } }
  | { type: 'consent.given'; details: { scopes: string[] } }
  | { type: 'consent.denied'; details: Record<string, never> }
  | { type: 'crypto.unreadable'; details: { what: string } }
  | { type: 'realm.created' | 'client.created' | 'user.created'; details: { name: string } }
  | { type: 'role.created' | 'role.deleted' | 'user.role-added' | 'user.role-removed'; details: NamedRole }
  | { type: 'role.composite-added' | 'role.composite-removed'; details: NamedRole & { contained: NamedRole } }
  | { type: 'group.created' | 'group.deleted' | 'group.member-added' | 'group.member-removed'; details: { path: string } }
  | { type: 'group.moved'; details: { from: string; to: string } }
  | { type: 'group.role-added' | 'group.role-removed'; details: { path: string } & NamedRole }
  | { type: 'user.password-set'; details: Record<string, never> }
  | { type: 'keys.rotated'; details: { kids: string[] } };

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
