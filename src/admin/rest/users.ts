/** Users over REST: looked for, made, read, changed and deleted, with Keycloak's UserRepresentation. */
import { z } from 'zod';
import { AppError, conflict } from '../../errors.ts';
import { countFoundUsers, findUsers, type UserSearch } from '../../store/user-search.ts';
import type { UserRow } from '../../store/users.ts';
import { requireGroup } from '../resources/groups.ts';
import { changeRealm } from '../resources/realm-changes.ts';
import { changeUser, detailsOfUsers, removeUser, requireUserById } from '../resources/user-changes.ts';
import { importCredentials, resetPassword } from '../resources/user-credentials.ts';
import { createUser } from '../resources/users.ts';
import { requireGrantableGroup, requireNoMore } from './grantable.ts';
import { flag, id, inRealm, type Operation, paging, type RealmCall } from './operation.ts';
import { profileIn, settingsWithProfile, USER_PROFILE_METADATA, userProfile, userProfileIn, userProfileMetadata } from './user-profile.ts';
import { credentialsOf, emptied, profileOf, representedUser, type UserRepresentation, userIn, userRepresentation } from './user-representation.ts';

const tag = 'Users';
const path = '/realms/{realm}/users';
const params = { id };

const text = z.string().max(500).optional();
const looked = {
  search: text,
  username: text,
  email: text,
  firstName: text,
  lastName: text,
  exact: flag,
  q: text,
  enabled: flag,
  emailVerified: flag,
  idpAlias: text,
  idpUserId: text,
};
type Looked = z.output<z.ZodObject<typeof looked>>;

const DEFAULT_MAX = 100;

export const userOperations: readonly Operation[] = [
  inRealm({
    id: 'users.list',
    method: 'GET',
    path,
    tag,
    summary: 'Users, by username, looked for by name, address or attribute',
    roles: ['query-users', 'view-users', 'manage-users'],
    status: 200,
    query: { ...looked, ...paging, briefRepresentation: flag },
    answer: z.array(userRepresentation),
    async run(call, { query }) {
      const { operator, realm, access } = call;
      // Whoever may only ask is shown nobody, as in Keycloak.
      if (!access.has('view-users', 'manage-users')) return { body: [] };
      const page = { first: query.first ?? 0, max: query.max ?? DEFAULT_MAX };
      const users = await findUsers(operator.db.knex, realm.id, searchOf(query), page);
      return { body: await representedUsers(call, users, query.briefRepresentation === true) };
    },
  }),
  inRealm({
    id: 'users.count',
    method: 'GET',
    path: `${path}/count`,
    tag,
    summary: 'How many users the same search finds',
    roles: ['query-users', 'view-users', 'manage-users'],
    status: 200,
    query: looked,
    answer: z.number().int(),
    async run({ operator, realm, access }, { query }) {
      if (!access.has('view-users', 'manage-users')) return { body: 0 };
      return { body: await countFoundUsers(operator.db.knex, realm.id, searchOf(query)) };
    },
  }),
  inRealm({
    id: 'users.create',
    method: 'POST',
    path,
    tag,
    summary: 'Make a user',
    roles: ['manage-users'],
    status: 201,
    body: userIn,
    async run(call, { body }) {
      const { user, left } = await makeUser(call, body);
      return { created: user.id, ...ignoring(left) };
    },
  }),
  inRealm({
    id: 'users.profile.read',
    method: 'GET',
    path: `${path}/profile`,
    tag,
    summary: 'What a user consists of; every other attribute is the administrators’',
    roles: ['view-realm', 'manage-realm', 'view-users', 'manage-users', 'query-users'],
    status: 200,
    answer: userProfile,
    run: async ({ realm }) => ({ body: profileIn(realm.settings) }),
  }),
  inRealm({
    id: 'users.profile.update',
    method: 'PUT',
    path: `${path}/profile`,
    tag,
    summary: 'The profile is fixed; who may write attributes besides it, in Keycloak’s words, is kept without effect',
    roles: ['manage-realm'],
    status: 200,
    body: userProfileIn,
    answer: userProfile,
    async run({ operator, realm }, { body }) {
      const { displayName, enabled, settings } = realm;
      const changed = await changeRealm(operator, realm, { displayName, enabled, settings: settingsWithProfile(settings, body) });
      return { body: profileIn(changed.settings), headers: { Warning: '299 - "The user profile is fixed"' } };
    },
  }),
  inRealm({
    id: 'users.profile.metadata',
    method: 'GET',
    path: `${path}/profile/metadata`,
    tag,
    summary: 'What a form for a user shows',
    roles: ['view-realm', 'manage-realm', 'view-users', 'manage-users', 'query-users'],
    status: 200,
    answer: userProfileMetadata,
    run: async () => ({ body: USER_PROFILE_METADATA }),
  }),
  inRealm({
    id: 'users.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One user',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params,
    query: { userProfileMetadata: flag },
    answer: userRepresentation.extend({ userProfileMetadata: userProfileMetadata.optional() }),
    async run(call, { params, query }) {
      const [user] = await representedUsers(call, [await requireUserById(call.operator, call.realm, params.id)], false);
      if (!user) throw new Error('A user that is there is shown.');
      return { body: query.userProfileMetadata === true ? { ...user, userProfileMetadata: USER_PROFILE_METADATA } : user };
    },
  }),
  inRealm({
    id: 'users.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a user; what is not there stays',
    roles: ['manage-users'],
    status: 204,
    params,
    body: userIn,
    async run(call, { params, body }) {
      const { operator, realm } = call;
      const user = await requireUserById(operator, realm, params.id);
      await requireNoMore(call, user);
      const { password, temporary, imported, left } = credentialsOf(body.credentials);
      const changes = {
        ...profileOf(body),
        username: body.username ?? undefined,
        email: emptied(body.email),
        firstName: emptied(body.firstName),
        lastName: emptied(body.lastName),
      };
      await asInKeycloak(() => changeUser(operator, realm, user.id, changes));
      if (imported.length > 0) await importCredentials(operator, realm, user, { imported, temporary });
      if (password) await resetPassword(operator, realm, user, { value: password.value, temporary });
      return ignoring(left);
    },
  }),
  inRealm({
    id: 'users.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a user with all that is the user’s',
    roles: ['manage-users'],
    status: 204,
    params,
    async run(call, { params }) {
      await requireNoMore(call, await requireUserById(call.operator, call.realm, params.id));
      await removeUser(call.operator, call.realm, params.id);
      return {};
    },
  }),
];

/** A user of a representation, with what it names to sign in with; `left` are types of credentials that cannot be taken over. */
async function makeUser(call: RealmCall, body: z.output<typeof userIn>): Promise<{ user: UserRow; left: string[] }> {
  const { operator, realm } = call;
  const { password, temporary, imported, left } = credentialsOf(body.credentials);
  const groups = body.groups ?? [];
  for (const one of groups) await requireGrantableGroup(call, await requireGroup(operator, realm, one));
  const { requiredActions = [], ...profile } = profileOf(body);
  const asked = {
    ...profile,
    username: body.username ?? '',
    email: emptied(body.email) ?? undefined,
    firstName: emptied(body.firstName) ?? undefined,
    lastName: emptied(body.lastName) ?? undefined,
    enabled: body.enabled === true,
    groups,
    requiredActions: temporary ? [...new Set([...requiredActions, 'UPDATE_PASSWORD' as const])] : requiredActions,
    password: password?.value,
  };
  return { user: await asInKeycloak(() => createUser(operator, realm, asked, imported)), left };
}

const ignoring = (left: readonly string[]): { headers?: Record<string, string> } =>
  left.length === 0 ? {} : { headers: { Warning: `299 - "Ignored: credentials of type ${left.join(', ').replaceAll(/[^\w, -]/g, '')}"` } };

/** However many there are, it takes the same number of queries. */
export async function representedUsers(call: RealmCall, users: readonly UserRow[], brief: boolean): Promise<UserRepresentation[]> {
  const details = brief ? undefined : await detailsOfUsers(call.operator, call.realm, users);
  return users.map((user) => representedUser(user, call.access, details?.(user)));
}

/** Users as members of something: Keycloak does not say of them what the caller may do. */
export async function representedMembers(call: RealmCall, users: readonly UserRow[], brief: boolean): Promise<UserRepresentation[]> {
  return (await representedUsers(call, users, brief)).map(({ access: _, ...user }) => user);
}

const isField = (name: string): boolean => ['username', 'email', 'firstName', 'lastName'].includes(name);

/** Service accounts are found by a name, and are in no list of people. */
function searchOf(query: Looked): UserSearch {
  const { search, q, idpAlias, idpUserId, ...given } = query;
  const asked = attributesOf(q ?? '');
  // What every user has is looked for as by its own parameter, as in Keycloak.
  const fields = { ...Object.fromEntries(asked.filter(([name]) => isField(name))), ...given };
  const named = [fields.username, fields.email, fields.firstName, fields.lastName].some((value) => value !== undefined);
  const ids = search?.startsWith('id:') ? search.slice(3).trim().split(/\s+/).slice(0, 100) : undefined;
  return {
    ...fields,
    search: ids ? undefined : search,
    ids,
    attributes: asked.filter(([name]) => !isField(name)),
    provider: idpAlias,
    subject: idpUserId,
    serviceAccounts: named && search === undefined,
  };
}

/** `key:value`, either of them in quotes where it holds a space or a colon. */
export function attributesOf(q: string): [string, string][] {
  const pairs = [...q.matchAll(/(?:"([^"]*)"|(?<![^\s:"])([^\s:"]+)):(?:"([^"]*)"|(\S+))/g)];
  return pairs.slice(0, 10).map(([, quoted, plain, quotedValue, plainValue]) => [quoted ?? plain ?? '', quotedValue ?? plainValue ?? '']);
}

/** What Keycloak's clients look for in a conflict. */
async function asInKeycloak<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.status === 409 && (error.field === 'username' || error.field === 'email'))
      throw conflict(`User exists with same ${error.field}`, error.field);
    throw error;
  }
}
