/**
 * The Factor contract: one folder a factor, the same file names in each, one line in index.ts.
 *
 * A factor knows no HTTP, no database and no OpenID Connect. It is handed what it needs in a context, returns the page
 * to show or a verdict, and throws only on faults. Whatever must happen once is spent through the context (`spend`,
 * `once`, `codes`), each one conditional statement, before a verdict says ok.
 *
 *     challenge:  begin? ─► show ⇄ resend? ─► verify ─► verdict          (resync? for counters)
 *     enrolment:  enrol.begin ─► enrol.show ─► enrol.finish ─► enrolled, or one more page
 *     discovery:  discover.begin ─► the first page ─► discover.find ─► the user's credential ─► verify
 *
 * What a challenge or an enrolment has to remember is its state: plain JSON, sealed, kept on the server with the sign-in.
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
  /** What this very credential shows, where it is not what its factor shows. */
  level: Level | null;
  createdAt: number;
  lastUsedAt: number | null;
}

export interface FactorContext {
  realm: { id: string; name: string; displayName: string };
  /** Absent for a user who is not known, or not yet. */
  user?: FactorUser;
  /** Milliseconds since the epoch. */
  now: number;
  /** Ours, as the settings of the installation have it, such as `https://id.example.com`. */
  origin: string;
  /** The sign-in, recovery or command that codes and challenges are bound to. */
  transaction: string;
  /** Of the page that asks, such as `de`; absent where there is none. */
  language?: string;
  settings: RealmSettings;
  /** Argon2id with bounded concurrency; `verify(undefined, …)` does the same work and answers false. */
  passwords: PasswordHasher;
  /**
   * Spends a counter value: one `UPDATE … SET counter = :counter WHERE id = :credentialId AND (counter IS NULL OR counter < :counter)`.
   * False means that it, or a later one, was spent before.
   */
  spend(credentialId: string, counter: number): Promise<boolean>;
  /**
   * True for exactly one caller of a value in this realm: one conditional INSERT of its hash.
   * @param until how long it is remembered, milliseconds since the epoch
   */
  once(value: string, until: number): Promise<boolean>;
  /**
   * By what the user's credentials of these factors are found, switched off or not: an authenticator is not bound twice.
   */
  lookups(factors: readonly string[]): Promise<string[]>;
  /** 64 bytes that stand for the user in this realm, the same each time, and tell nothing of them (WebAuthn section 14.6.1). */
  handle(): Buffer;
  codes: OneTimeCodes;
  stock: TokenStock;
  /** Sends a code, unless a limit or the realm's budget says no. Never throws for what a provider did. */
  deliver(delivery: Delivery): Promise<Delivered>;
  /**
   * Records that the user has proved a telephone number (E.164).
   * @returns from when it may be signed in with: one that takes the place of another waits, as long as the realm says
   */
  proveNumber(number: string): Promise<number>;
}

export interface FactorUser {
  id: string;
  username: string;
  email: string | null;
  emailVerified: boolean;
  /** Whether the user administers this installation or a realm: some factors are not for administrators. */
  administrator: boolean;
}

/** What says whether a factor can be enrolled, before anything is begun. */
export interface Enroller {
  settings: RealmSettings;
  user: { email: string | null; administrator: boolean } | null;
  channels: Channels;
  /** Ours; undefined where nobody asks from a page. */
  origin?: string;
}

/** What a realm can send by. */
export interface Channels {
  mail: boolean;
  sms: boolean;
}

/** Codes that we make ourselves. At rest there is an HMAC over realm, user, transaction, purpose and code. */
export interface OneTimeCodes {
  /** Makes this the one live code of the user and purpose; the one before is worth nothing from then on. */
  issue(purpose: string, code: string, lifetimeMs: number): Promise<void>;
  /**
   * Counts the try before it compares, in one statement; the right code is spent by one caller, and `replayed` to all others.
   * `expired` also when there is none, its five tries are used up, or it belongs to another transaction.
   */
  check(purpose: string, code: string): Promise<'ok' | 'wrong' | 'expired' | 'replayed'>;
}

/** The hardware tokens of the realm that are nobody's. */
export interface TokenStock {
  /** One that counts its codes, by the serial number that is printed on it; undefined when there is none in stock. */
  find(serial: string): Promise<StockToken | undefined>;
}

export interface StockToken {
  id: string;
  serial: string;
  model: string | null;
  /** As a credential of it will hold it. */
  secret: unknown;
  counter: number | null;
}

/** A code on its way to a person. The delivery room puts it into words. */
export interface Delivery {
  /** The factor that sends it. Limits are counted by channel: two factors that send by the same share them. */
  factor: string;
  channel: 'mail' | 'sms';
  /** An email address, or a telephone number in E.164. */
  to: string;
  code: string;
  purpose: 'sign-in' | 'enrol';
  validMs: number;
}

export type Delivered =
  /** `nextAfterMs`: how long until the user may ask for another, unless this one is used before. */
  | { ok: true; nextAfterMs?: number }
  /** `wait`: too soon after the one before, or too many today. */
  | { ok: false; reason: 'wait'; retryAfterMs: number }
  | { ok: false; reason: Unavailable };

/**
 * Why a challenge cannot be begun: no address, a channel that is not set up, a provider that failed, the realm's budget, an
 * address that the realm does not send to, or one that was changed too short a while ago.
 */
export type Unavailable = 'no-address' | 'not-configured' | 'failed' | 'budget' | 'not-allowed' | 'too-new';

export interface PasswordHasher {
  /** A PHC string. Rejects with a `busy` AppError when the queue is full. */
  hash(password: string): Promise<string>;
  /** Does one argon2id verification in every case, also for `undefined`. */
  verify(phc: string | undefined, password: string): Promise<boolean>;
  /** True when the stored parameters are not the ones configured now. */
  needsRehash(phc: string): boolean;
}

/** What is shown: a view name below views/ and its model. */
export interface Page {
  view: string;
  model: Record<string, unknown>;
}

/** A challenge that was begun, or sent once more. */
export type Begun<State> =
  | { ok: true; state: State }
  /** Too soon; what was sent before stays good. */
  | { ok: false; reason: 'wait'; retryAfterMs: number }
  /** The dispatcher falls back to another factor, if there is one that is enough. */
  | { ok: false; reason: Unavailable };

export type Refusal =
  | 'wrong'
  | 'expired'
  | 'replayed'
  | 'malformed'
  | 'cloned'
  /** What has to say whether it is right did not: a service that does not answer, a module that throws. */
  | 'failed';

export type Verdict<Secret = unknown> =
  | {
      ok: true;
      credentialId: string;
      kinds: Kind[];
      level: Level;
      amr: string[];
      /** A replacement for the stored secret, such as a rehashed password. */
      renewed?: Secret;
      /** How many are left, of what runs out: recovery codes. */
      left?: number;
    }
  | { ok: false; reason: Refusal; credentialId?: string };

export type Enrolment<Secret = unknown, State = unknown> =
  | {
      ok: true;
      secret: Secret;
      counter: number | null;
      label: string;
      kinds: Kind[];
      level: Level;
      amr: string[];
      /** By which it is found before its user is known. */
      lookup?: string;
      /** It takes the place of what the user had of this factor: those go in the same transaction. */
      replaces?: boolean;
      /** The address of the account was proved by it. */
      provesEmail?: string;
      /** It took the place of another number, and nobody signs in with it before this time, in milliseconds. */
      usableFrom?: number;
      /** How many there are, of what runs out. */
      left?: number;
      /** The id of the token that it takes out of the realm's stock, in the same transaction, if nobody else has taken it. */
      takes?: string;
    }
  /** One more page of the same enrolment. */
  | { ok: 'next'; state: State }
  /** With a state where the next try needs another one: a challenge that was answered. */
  | { ok: false; reason: Refusal; field?: string; state?: State }
  | { ok: false; reason: 'wait'; retryAfterMs: number }
  | { ok: false; reason: Unavailable; field?: string };

/** `State` is that of a challenge, `Enrolling` that of an enrolment, where they differ. */
export interface Factor<Secret = unknown, State = unknown, Enrolling = State> {
  /** Folder, view folder and database value. */
  readonly id: string;
  /** `first` starts a sign-in, `second` is asked after it. */
  readonly role: 'first' | 'second';
  /** What it shows, for the policy and the choice page. */
  readonly kinds: readonly Kind[];
  /** What it is called, and one sentence on its strength, in English; pages have the texts `factor.<id>.name` and `.strength` of locales/ where there are any. */
  readonly name: string;
  readonly strength: string;
  /** Whose texts of locales/ say what was wrong, where it has none under its own id. */
  readonly texts?: string;
  /** Never offered by itself as what to enrol first: recovery codes, what only an administrator gives. */
  readonly auxiliary?: boolean;
  /** Its codes go to the mailbox of the account and nowhere else, so that it shows no more than a link in a mail does. */
  readonly byMail?: boolean;
  /** The level that a credential without a level of its own supports in a realm. */
  levelIn(settings: RealmSettings): Level;
  /** What its proofs add to a token in a realm (RFC 8176), for whoever asks beforehand; each verdict says it of itself. */
  amrIn(settings: RealmSettings): readonly string[];
  /** Everybody in the realm has it, without a credential; `held` is empty then. */
  ownedByAll?(settings: RealmSettings): boolean;
  /** Narrows what was stored; throws on anything else. */
  parseSecret(value: unknown): Secret;
  enrol?: {
    /** Whether this user can enrol it at all: a channel is set up, they have an address. By default everybody can. */
    available?(who: Enroller): boolean;
    /** What a new credential shows at best, where that is more than `levelIn`. */
    levelIn?(settings: RealmSettings): Level;
    begin(cx: FactorContext): Promise<Begun<Enrolling>>;
    /** The page of an enrolment, the same each time it is asked for. */
    show(cx: FactorContext, state: Enrolling): Promise<Page>;
    finish(cx: FactorContext, state: Enrolling, input: Form): Promise<Enrolment<Secret, Enrolling>>;
    resend?(cx: FactorContext, state: Enrolling): Promise<Begun<Enrolling>>;
  };
  /** Sends a code or makes a challenge; absent where a challenge needs nothing to be remembered, and then its state is null. */
  begin?(cx: FactorContext, held: Credential<Secret>[]): Promise<Begun<State>>;
  /** The page of a challenge. No side effects. */
  show(cx: FactorContext, state: State, held: Credential<Secret>[]): Promise<Page>;
  resend?(cx: FactorContext, state: State, held: Credential<Secret>[]): Promise<Begun<State>>;
  verify(cx: FactorContext, state: State, input: Form, held: Credential<Secret>[]): Promise<Verdict<Secret>>;
  /** Finds a counter again by two codes in a row (RFC 4226 section 7.4). */
  resync?(cx: FactorContext, input: Form, held: Credential<Secret>[]): Promise<Verdict<Secret>>;
  /** A sign-in that begins with this factor and no name. */
  discover?: {
    /** A challenge, made with the first page. Undefined where the realm does not offer it. */
    begin(cx: FactorContext): Promise<{ state: State } | undefined>;
    /** What the first page needs of it. */
    show(cx: FactorContext, state: State): Promise<Record<string, unknown>>;
    /** Whether it is time for another one: the page stood open for so long that an answer might come too late. */
    isStale?(cx: FactorContext, state: State): boolean;
    /** The lookup of the credential that an answer claims to be; undefined when it is no answer. */
    lookup(input: Form): string | undefined;
  };
}
