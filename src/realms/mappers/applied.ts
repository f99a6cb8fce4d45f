/** Which mappers count for a client and for what was asked: those of the scopes that apply, and its own. */
import type { ClientRow, ClientScopeRow } from '../../store/clients.ts';
import type { RoleScope } from '../../store/effective-roles.ts';
import type { ProtocolMapperRow } from '../../store/protocol-mappers.ts';
import { CLAIM_PROTOCOL } from './defaults.ts';
import { type Mapper, prepared } from './prepare.ts';
import { claimNames } from './types.ts';

/** Mappers of a realm's client scopes, by the scope's id. */
export type ScopeMappers = ReadonlyMap<string, readonly Mapper[]>;

export interface AssignedScope {
  id: string;
  name: string;
  /** It applies unasked. */
  isDefault: boolean;
  /** Tokens name it, and users are asked about it. */
  shown: boolean;
  mappers: readonly Mapper[];
}

export interface ClientMappers {
  scopes: readonly AssignedScope[];
  own: readonly Mapper[];
}

export function scopeMappers(rows: readonly ProtocolMapperRow[]): ScopeMappers {
  const byScope = Map.groupBy(rows, ({ parent }) => ('scope' in parent ? parent.scope : ''));
  return new Map([...byScope].map(([scope, mine]) => [scope, prepared(mine)]));
}

export const isShown = ({ attributes }: Pick<ClientScopeRow, 'attributes'>): boolean => attributes['include.in.token.scope'] !== 'false';

/** @param names of the scopes that the client has */
export function clientMappers(
  realm: { scopes: readonly ClientScopeRow[]; mappers: ScopeMappers },
  names: { defaults: readonly string[]; optional: readonly string[] },
  own: readonly ProtocolMapperRow[],
): ClientMappers {
  const scopes = realm.scopes.flatMap((scope) => {
    const isDefault = names.defaults.includes(scope.name);
    if (scope.protocol !== CLAIM_PROTOCOL || !(isDefault || names.optional.includes(scope.name))) return [];
    return [{ id: scope.id, name: scope.name, isDefault, shown: isShown(scope), mappers: realm.mappers.get(scope.id) ?? [] }];
  });
  return { scopes, own: prepared(own) };
}

/**
 * The scopes that apply: default ones that no token names, and those that the token names. A service account has all of its
 * defaults, for nobody is asked about them.
 * @param scope what the token says it is for
 */
export function appliedScopes({ scopes }: ClientMappers, scope: string | undefined, service: boolean): readonly AssignedScope[] {
  const named = new Set(scope?.split(' '));
  return scopes.filter(({ name, isDefault, shown }) => named.has(name) || (isDefault && (service || !shown)));
}

export const appliedMappers = (client: ClientMappers, scope: string | undefined, service: boolean): readonly Mapper[] => [
  ...appliedScopes(client, scope, service).flatMap(({ mappers }) => mappers),
  ...client.own,
];

const says = (names: readonly string[], { type, config }: Mapper): boolean => claimNames(type, config).some((name) => names.includes(name));

/** The scopes of a client that say one of these claims and do not apply, of those that users are asked about. */
export function scopesBeyond(client: ClientMappers, scope: string | undefined, names: readonly string[]): readonly AssignedScope[] {
  const applied = appliedScopes(client, scope, false);
  return client.scopes.filter((one) => one.shown && !applied.includes(one) && one.mappers.some((mapper) => says(names, mapper)));
}

/** The mappers in them that say those claims: the ones that were asked for by themselves. */
export const askedMappers = (client: ClientMappers, scope: string | undefined, names: readonly string[]): readonly Mapper[] =>
  scopesBeyond(client, scope, names).flatMap(({ mappers }) => mappers.filter((mapper) => says(names, mapper)));

/** Every mapper that may count for a client, whatever is asked. */
export const allMappers = ({ scopes, own }: ClientMappers): readonly Mapper[] => [...scopes.flatMap(({ mappers }) => mappers), ...own];

/** The roles that a client may be told of, and use; undefined for all. */
export const roleScopeFor = (
  row: Pick<ClientRow, 'id' | 'fullScope'>,
  { scopes }: ClientMappers,
  scope: string | undefined,
): RoleScope | undefined =>
  row.fullScope
    ? undefined
    : { clientId: row.id, scopes: [...scopes.flatMap(({ name, isDefault }) => (isDefault ? [name] : [])), ...(scope?.split(' ') ?? [])] };
