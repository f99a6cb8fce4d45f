/** A user's sign-in methods as the pages show them, and which of them may go. */
import type { Keyring } from '../crypto/keyring.ts';
import { notFound } from '../errors.ts';
import { ENROLMENT_PASS } from '../factors/enrolment-pass/stored.ts';
import { openCredentials } from '../factors/held.ts';
import type { FactorMap } from '../factors/index.ts';
import { levelName, nameOf } from '../factors/names.ts';
import { codesLeft, recoveryCodes } from '../factors/recovery-codes/recovery-codes.ts';
import { say, type Words } from '../languages/messages.ts';
import type { Level } from '../policy/assurance.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { RealmRow } from '../store/realms.ts';

export interface MethodModel {
  id: string;
  factor: string;
  name: Words;
  label: string;
  /** What it shows beside a password, the level's name; null for the password itself. */
  level: Level | null;
  levelName: Words | null;
  /** ISO 8601. */
  createdAt: string;
  lastUsedAt: string | null;
  removable: boolean;
  /** A user has one password, and a pass is nobody's for long: they need no name. */
  renamable: boolean;
  /** It is shown first, or could be. */
  preferred: boolean;
  preferable: boolean;
  /** How many recovery codes are left. */
  left: number | null;
  /** Why it is as it is, when there is something to say. */
  reason: Words | null;
}

/** What is known of a user's methods besides their rows. */
export interface MethodFacts {
  /** The factor that is shown first. */
  preferred?: string | undefined;
  /** Recovery codes that are left, by credential. */
  left?: ReadonlyMap<string, number>;
}

const iso = (at: number): string => new Date(at).toISOString();

/** A realm, the factors that it uses, and what its policy asks of the user at hand. */
export interface MethodsIn {
  realm: RealmRow;
  factors: FactorMap;
  /** Whether the user could still sign in everywhere with these. */
  isEnough(left: readonly CredentialRow[]): boolean;
}

export const isSecond = ({ factors }: Pick<MethodsIn, 'factors'>, row: CredentialRow): boolean => factors.get(row.factor)?.role === 'second';

/** True when the policy asks this user for more than what would be left can show. */
export function mustStay(on: MethodsIn, held: readonly CredentialRow[], id: string): boolean {
  return !on.isEnough(held.filter((row) => row.id !== id));
}

export function methodModel(on: MethodsIn, held: readonly CredentialRow[], row: CredentialRow, facts: MethodFacts = {}): MethodModel {
  const second = isSecond(on, row);
  const level = second && row.factor !== ENROLMENT_PASS ? (row.level ?? on.factors.get(row.factor)?.levelIn(on.realm.settings) ?? null) : null;
  const stays = second && mustStay(on, held, row.id);
  const offered = new Set(held.filter((one) => isOffered(on, one)).map((one) => one.factor));
  const preferred = offered.size > 1 && row.factor === facts.preferred && isOffered(on, row);
  return {
    id: row.id,
    factor: row.factor,
    name: factorName(on, row),
    label: second ? row.label : '',
    level,
    levelName: level === null ? null : levelName(level),
    createdAt: iso(row.createdAt),
    lastUsedAt: row.lastUsedAt === null ? null : iso(row.lastUsedAt),
    removable: second && !stays,
    renamable: second && on.factors.get(row.factor)?.auxiliary !== true,
    preferred,
    preferable: offered.size > 1 && !preferred && isOffered(on, row),
    left: facts.left?.get(row.id) ?? null,
    reason: reasonOf(on.realm, row, stays),
  };
}

/** What a sign-in offers by itself: nothing that is kept for the day when the rest is lost. */
const isOffered = (on: MethodsIn, row: CredentialRow): boolean => row.enabled && isSecond(on, row) && on.factors.get(row.factor)?.auxiliary !== true;

/** The recovery codes that are left, by credential. */
export async function codesLeftOf(keyring: Keyring, held: readonly CredentialRow[]): Promise<Map<string, number>> {
  const opened = await openCredentials(keyring, recoveryCodes, held, null);
  return new Map(opened.map(({ id, secret }) => [id, codesLeft(secret)]));
}

export function factorName({ factors }: Pick<MethodsIn, 'factors'>, { factor: id }: Pick<CredentialRow, 'factor'>): Words {
  const factor = factors.get(id);
  return factor ? nameOf(factor) : id;
}

function reasonOf(realm: RealmRow, row: CredentialRow, stays: boolean): Words | null {
  if (row.factor === ENROLMENT_PASS) return say('account.methods.pass');
  if (!row.enabled) return say('account.methods.disabled');
  if (stays) return say('account.methods.only', { realm: realm.displayName });
  return null;
}

/** Passwords first, then second steps, each from the oldest. */
export function inOrder(on: MethodsIn, held: readonly CredentialRow[]): CredentialRow[] {
  return [...held].sort((a, b) => Number(isSecond(on, a)) - Number(isSecond(on, b)) || a.createdAt - b.createdAt);
}

/** A second step of this user, or a 404: also for an id that is somebody else's. */
export function requireMethod(on: MethodsIn, held: readonly CredentialRow[], id: string): CredentialRow {
  const row = held.find((one) => one.id === id && isSecond(on, one));
  if (!row) throw notFound(say('account.methods.gone'));
  return row;
}
