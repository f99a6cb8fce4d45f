/** A user's sign-in methods as the pages show them, and which of them may go. */
import { notFound } from '../errors.ts';
import type { FactorMap } from '../factors/index.ts';
import { nameOf } from '../factors/names.ts';
import { say, type Words } from '../languages/messages.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { RealmRow } from '../store/realms.ts';

export interface MethodModel {
  id: string;
  factor: string;
  name: Words;
  label: string;
  /** ISO 8601. */
  createdAt: string;
  lastUsedAt: string | null;
  removable: boolean;
  /** Why it is as it is, when there is something to say. */
  reason: Words | null;
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

/** True when the policy asks this user for more than what would be left can show (security-tests C04). */
export function mustStay(on: MethodsIn, held: readonly CredentialRow[], id: string): boolean {
  return !on.isEnough(held.filter((row) => row.id !== id));
}

export function methodModel(on: MethodsIn, held: readonly CredentialRow[], row: CredentialRow): MethodModel {
  const second = isSecond(on, row);
  const stays = second && mustStay(on, held, row.id);
  return {
    id: row.id,
    factor: row.factor,
    name: factorName(on, row),
    // A user has one password, and it needs no name.
    label: second ? row.label : '',
    createdAt: iso(row.createdAt),
    lastUsedAt: row.lastUsedAt === null ? null : iso(row.lastUsedAt),
    removable: second && !stays,
    reason: reasonOf(on.realm, row, stays),
  };
}

function factorName({ factors }: MethodsIn, { factor: id }: CredentialRow): Words {
  const factor = factors.get(id);
  return factor ? nameOf(factor) : id;
}

function reasonOf(realm: RealmRow, row: CredentialRow, stays: boolean): Words | null {
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
