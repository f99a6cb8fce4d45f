/**
 * Users from JSON as Keycloak exports them: `{ "users": [ … ] }`, or the list alone. One user is in memory at a time,
 * however long the file is.
 */
import { createReadStream } from 'node:fs';
import { z } from 'zod';
import type { ImportEntry } from '../admin/resources/import-entry.ts';
import { isKnownType } from '../admin/resources/imported-credentials.ts';
import { REQUIRED_ACTIONS } from '../admin/resources/users.ts';
import { AppError, badInput } from '../errors.ts';
import { reasonOf } from './files.ts';
import { elementsOf } from './json-elements.ts';
import type { UserFile } from './user-file.ts';

/** What a representation shows and nobody imports. */
const SHOWN = ['id', 'createdTimestamp', 'totp', 'access', 'disableableCredentialTypes', 'notBefore', 'self', 'origin', 'userProfileMetadata'];
const TAKEN = ['username', 'email', 'emailVerified', 'firstName', 'lastName', 'enabled', 'attributes', 'groups', 'realmRoles', 'clientRoles'];

const text = z.string().nullish();
const credentials = z.array(
  z.object({ type: z.string(), value: text, temporary: z.boolean().nullish(), secretData: text, credentialData: text, userLabel: text }),
);

export async function* jsonUsers(file: UserFile): AsyncGenerator<ImportEntry> {
  const source = createReadStream(file.path, { encoding: 'utf8' });
  source.on('data', (chunk) => file.read(Buffer.byteLength(chunk)));
  try {
    for await (const { index, text } of elementsOf(source, 'users')) yield { at: `users[${index}]`, ...entryOf(text, file) };
  } catch (error) {
    throw error instanceof AppError ? error : badInput('file', `The file cannot be read: ${reasonOf(error)}.`);
  }
}

function entryOf(text: string, file: UserFile): Omit<ImportEntry, 'at'> {
  let value: unknown;
  try {
    value = JSON.parse(text, (key, inner) => (key === '__proto__' ? undefined : inner));
  } catch {
    return { wrong: { field: '', reason: 'is not JSON' } };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { wrong: { field: '', reason: 'is no object' } };
  const given = new Map<string, unknown>(Object.entries(value).filter(([, inner]) => inner !== null && inner !== ''));
  const user: Record<string, unknown> = Object.fromEntries([...given].filter(([name]) => TAKEN.includes(name)));
  if (given.has('serviceAccountClientId')) return { user, passed: 'is the service account of a client, which makes its own' };
  const attributes = given.get('attributes');
  if (attributes !== undefined) user.attributes = asLists(attributes);
  for (const [name, inner] of given) {
    if (name === 'credentials') takeCredentials(inner, user, file);
    else if (name === 'requiredActions') user.requiredActions = knownActions(inner, file);
    else if (!TAKEN.includes(name) && !SHOWN.includes(name) && !isEmpty(inner)) file.leaveOut(name);
  }
  return { user };
}

/** A password as it is typed, and hashes, apps and tokens as Keycloak keeps them; the rest is left out. */
function takeCredentials(given: unknown, user: Record<string, unknown>, file: UserFile): void {
  const read = credentials.safeParse(given);
  if (!read.success) file.leaveOut('credentials');
  const kept = [];
  for (const one of read.data ?? []) {
    if (one.type === 'password' && one.value != null) Object.assign(user, { password: one.value, temporary: one.temporary === true });
    else if (isKnownType(one.type) && one.secretData != null) kept.push(one);
    else file.leaveOut(`credentials (${one.type})`);
  }
  user.credentials = kept;
}

function knownActions(given: unknown, file: UserFile): string[] {
  const named: unknown[] = Array.isArray(given) ? given : [];
  return named.flatMap((action) => {
    if (REQUIRED_ACTIONS.some((one) => one === action)) return [String(action)];
    file.leaveOut(`requiredActions (${String(action)})`);
    return [];
  });
}

/** A value is a list of itself, as in Keycloak. */
function asLists(attributes: unknown): unknown {
  if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes)) return attributes;
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]: [string, unknown]) => [name, Array.isArray(value) ? value : [String(value)]]),
  );
}

const isEmpty = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.keys(value).length === 0;
