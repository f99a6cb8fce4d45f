/** What a client's tokens would say: with the scopes that it has or asks for, about a user, by the code that makes real ones. */
import { randomUUID } from 'node:crypto';
import { issuerOf } from '../../realms/issuer.ts';
import { appliedMappers, appliedScopes, type ClientMappers, clientMappers, roleScopeFor, scopeMappers } from '../../realms/mappers/applied.ts';
import type { Use } from '../../realms/mappers/mapper.ts';
import { accessTokenPayload, idTokenClaims, userinfoClaims } from '../../realms/mappers/payload.ts';
import { claimsOf, ofClient, type Said } from '../../realms/mappers/token-claims.ts';
import { scopesAssigned } from '../../store/client-scopes.ts';
import { type ClientRow, clientScopes } from '../../store/clients.ts';
import { effectiveRoles, type RoleScope } from '../../store/effective-roles.ts';
import { mappersOf, mappersOfScopes } from '../../store/protocol-mappers.ts';
import type { RealmRow } from '../../store/realms.ts';
import { userWith } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';
import type { Operator } from './context.ts';

type Asking = Pick<Operator, 'db' | 'now'>;

/** What a client has, and what a request of it would be for. */
export interface Evaluated {
  client: ClientRow;
  mappers: ClientMappers;
  /** As tokens name it: what was asked for of the client's scopes, and its default ones. */
  scope: string;
}

/** @param asked names with spaces between them, as a request has them */
export async function evaluate({ db }: Asking, realm: RealmRow, client: ClientRow, asked: string | undefined): Promise<Evaluated> {
  const [scopes, ofScopes, assigned, own] = await Promise.all([
    clientScopes(db.knex, realm.id),
    mappersOfScopes(db.knex, realm.id),
    scopesAssigned(db.knex, realm.id, client.id),
    mappersOf(db.knex, realm.id, { client: client.id }),
  ]);
  const names = {
    defaults: assigned.filter(({ isDefault }) => isDefault).map(({ name }) => name),
    optional: assigned.filter(({ isDefault }) => !isDefault).map(({ name }) => name),
  };
  const mappers = clientMappers({ scopes, mappers: scopeMappers(ofScopes) }, names, own);
  const wanted = new Set(asked?.split(' '));
  const named = mappers.scopes.filter(({ name, isDefault, shown }) => shown && (isDefault || wanted.has(name)));
  return { client, mappers, scope: ['openid', ...named.map(({ name }) => name)].join(' ') };
}

export interface EvaluatedMapper {
  id: string;
  name: string;
  type: string;
  /** The client itself, or the client scope that it comes from. */
  container: { id: string; name: string; kind: 'client' | 'client-scope' };
}

/** The mappers that count. */
export const mappersThatCount = ({ client, mappers, scope }: Evaluated): EvaluatedMapper[] => [
  ...appliedScopes(mappers, scope, false).flatMap(({ id, name, mappers: mine }) =>
    mine.map((one) => ({ id: one.id, name: one.name, type: one.type.id, container: { id, name, kind: 'client-scope' as const } })),
  ),
  ...mappers.own.map((one) => ({
    ...{ id: one.id, name: one.name, type: one.type.id },
    container: { id: client.id, name: client.clientId, kind: 'client' as const },
  })),
];

/** The roles that tokens may name; undefined for all. */
export const rolesThatCount = ({ client, mappers, scope }: Evaluated): RoleScope | undefined => roleScopeFor(client, mappers, scope);

export type Example = 'access-token' | 'id-token' | 'userinfo';

/** The payload of a token, or the answer of userinfo, as if the user had signed in just now with a password. */
export async function exampleOf(
  { db, now }: Asking,
  realm: RealmRow,
  evaluated: Evaluated,
  options: { user: UserRow; origin: string; example: Example },
): Promise<Record<string, unknown>> {
  const { user, origin, example } = options;
  const { client, scope } = evaluated;
  const seconds = Math.floor(now / 1000);
  const sid = randomUUID();
  const signIn = { acr: 'aal1', amr: ['pwd'], authTime: seconds, sid };
  const registered = { iss: issuerOf(origin, realm.name), iat: seconds, exp: seconds + realm.settings.accessTokenLifespan, jti: randomUUID() };
  const say = (use: Use): Promise<Said> => said({ db }, evaluated, { user, signIn }, use);
  switch (example) {
    case 'access-token': {
      const about = { sub: user.id, azp: client.clientId, sid, aud: 'account' };
      return accessTokenPayload({ ...registered, scope, client_id: client.clientId }, about, await say('access'));
    }
    case 'id-token':
      return { ...idTokenClaims(await say('id'), { sub: user.id, azp: client.clientId }), ...registered, aud: client.clientId, sid };
    case 'userinfo':
      return userinfoClaims(await say('userinfo'), user.id);
  }
}

function said(
  { db }: Pick<Operator, 'db'>,
  { client, mappers, scope }: Evaluated,
  { user, signIn }: { user: UserRow; signIn: { acr: string; amr: string[]; authTime: number; sid: string } },
  use: Use,
): Promise<Said> {
  return claimsOf(appliedMappers(mappers, scope, user.serviceAccountOf !== null), use, {
    user,
    signIn: user.serviceAccountOf === null ? signIn : undefined,
    ...ofClient(client),
    async about(wanted) {
      const found = await userWith(db.knex, user.realmId, { id: user.id }, wanted);
      if (!found) throw new Error('The user of an example is gone.');
      return found.about;
    },
    roles: () => effectiveRoles(db.knex, user.realmId, user.id, roleScopeFor(client, mappers, scope)),
  });
}
