/** Whom a token is about, as mappers ask: the row, attributes with those that groups hand down, and groups. */
import type { About } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';

export interface Subject {
  user: UserRow;
  about: About;
}

/** What a user's row has by names of attributes, as in Keycloak. */
const OF_ROW: Readonly<Record<string, (user: UserRow) => string | null>> = {
  username: ({ username }) => username,
  email: ({ email }) => email,
  firstName: ({ firstName }) => firstName,
  lastName: ({ lastName }) => lastName,
};

/** Whether the row alone says it. */
export const isOfRow = (attribute: string | undefined): boolean => attribute !== undefined && Object.hasOwn(OF_ROW, attribute);

/**
 * The values of an attribute: the user's own or else those of the closest group that has it; with `aggregate` all of them.
 */
export function attributeOf({ user, about }: Subject, name: string, aggregate = false): readonly string[] {
  const ofRow = Object.hasOwn(OF_ROW, name) ? OF_ROW[name]?.(user) : undefined;
  const own = ofRow === undefined ? (about.attributes.get(name) ?? []) : ofRow === null || ofRow === '' ? [] : [ofRow];
  const inherited = about.inherited.map((attributes) => attributes.get(name) ?? []);
  if (aggregate) return [...new Set([...own, ...inherited.flat()])];
  const found = own.length > 0 ? own : (inherited.find((values) => values.length > 0) ?? []);
  // Keycloak's scope has a claim of this attribute, which is nobody's there: ours is the time of the row.
  return found.length === 0 && name === 'updatedAt' ? [String(Math.floor(user.updatedAt / 1000))] : found;
}

/** What Keycloak calls a property of a user. */
export function propertyOf({ user }: Subject, name: string): string | null {
  switch (name) {
    case 'id':
      return user.id;
    case 'emailVerified':
      return String(user.emailVerified);
    case 'enabled':
      return String(user.enabled);
    case 'createdTimestamp':
      return String(user.createdAt);
    default:
      return Object.hasOwn(OF_ROW, name) ? (OF_ROW[name]?.(user) ?? null) : null;
  }
}

export const PROPERTIES: readonly string[] = ['id', 'username', 'email', 'firstName', 'lastName', 'emailVerified', 'enabled', 'createdTimestamp'];
