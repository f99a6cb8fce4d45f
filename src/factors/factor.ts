/**
 * The Factor contract: one folder a factor, the same file names in each, one line in index.ts.
 *
 * A factor knows no HTTP, no database and no OpenID Connect. It is handed what it needs in a context, returns the page
 * to show (a Step) or a verdict, and throws only on faults. Whatever must happen once is spent through `cx.spend`,
 * one conditional UPDATE, before a verdict says ok.
 */
import type { Kind, Level } from '../policy/assurance.ts';
import type { RealmSettings } from '../realms/settings.ts';

/** Form fields as the dispatcher parsed them: strings only, arrays and files are refused before. */
export type Form = Readonly<Record<string, string>>;

/** A credential of the user at hand with its secret already opened. */
export interface Credential<Secret = unknown> {
  id: string;
  factor: string;
  /** The user's own name for it, such as "Pixel 9"; empty without one. */
  label: string;
  secret: Secret;
  /** The last used counter or time step; only ever grows. `null` until first use. */
  counter: number | null;
  createdAt: number;
  lastUsedAt: number | null;
}

export interface FactorContext {
  realm: { id: string; name: string; displayName: string };
  /** Absent for a user who is not known, or not yet. */
  user?: { id: string; username: string; email: string | null };
  /** Milliseconds since the epoch. */
  now: number;
  settings: RealmSettings;
  /** Argon2id with bounded concurrency; `verify(undefined, …)` does the same work and answers false. */
  passwords: PasswordHasher;
  /**
   * Spends a counter value: one `UPDATE … SET counter = :counter WHERE id = :credentialId AND (counter IS NULL OR counter < :counter)`.
   * False means that it, or a later one, was spent before.
   */
  spend(credentialId: string, counter: number): Promise<boolean>;
}

export interface PasswordHasher {
  /** A PHC string. Rejects with a `busy` AppError when the queue is full. */
  hash(password: string): Promise<string>;
  /** Does one argon2id verification in every case, also for `undefined`. */
  verify(phc: string | undefined, password: string): Promise<boolean>;
  /** True when the stored parameters are not the ones configured now. */
  needsRehash(phc: string): boolean;
}

/** A page to show: a view name below views/, its model, and a state that is sealed and stays on the server. */
export interface Step<State> {
  view: string;
  model: Record<string, unknown>;
  state: State;
}

export type Verdict<Secret = unknown> =
  | {
      ok: true;
      credentialId: string;
      kinds: Kind[];
      level: Level;
      amr: string[];
      /** A replacement for the stored secret, such as a rehashed password. */
      renewed?: Secret;
    }
  | { ok: false; reason: 'wrong' | 'expired' | 'replayed' | 'malformed'; credentialId?: string };

export type Enrolment<Secret = unknown> =
  | { ok: true; secret: Secret; counter: number | null; label: string; kinds: Kind[]; level: Level; amr: string[] }
  | { ok: false; reason: 'wrong' | 'malformed' };

export interface Factor<Secret = unknown, State = unknown> {
  /** Folder, view folder and database value. */
  readonly id: string;
  /** `first` starts a sign-in, `second` is asked after it. */
  readonly role: 'first' | 'second';
  /** The level that it supports, and what it shows, for the policy and the choice page. */
  readonly level: Level;
  readonly kinds: readonly Kind[];
  /** What it is called, and one sentence on its strength, in English; pages have the texts `factor.<id>.name` and `.strength` of locales/ where there are any. */
  readonly name: string;
  readonly strength: string;
  /** Narrows what was stored; throws on anything else. */
  parseSecret(value: unknown): Secret;
  enrol?: {
    begin(cx: FactorContext): Promise<Step<State>>;
    /** Shows the same enrolment again after a wrong code: the same secret, not a new one. */
    show(cx: FactorContext, state: State): Promise<Step<State>>;
    finish(cx: FactorContext, state: State, input: Form): Promise<Enrolment<Secret>>;
  };
  challenge(cx: FactorContext, held: Credential<Secret>[]): Promise<Step<null>>;
  verify(cx: FactorContext, input: Form, held: Credential<Secret>[]): Promise<Verdict<Secret>>;
}
