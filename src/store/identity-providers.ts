/** Identity providers elsewhere: what administrators have said of them, and of what is to be taken over from each. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { SealContext } from '../crypto/seal.ts';
import { fromJson, stringMap } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

/** What is said of one besides its configuration, as Keycloak has it. */
const terms = z.object({
  displayName: z.string().nullable().default(null),
  enabled: z.boolean().default(true),
  trustEmail: z.boolean().default(false),
  storeToken: z.boolean().default(false),
  addReadTokenRoleOnCreate: z.boolean().default(false),
  authenticateByDefault: z.boolean().default(false),
  linkOnly: z.boolean().default(false),
  hideOnLogin: z.boolean().default(false),
  updateProfileFirstLoginMode: z.string().default('on'),
  firstBrokerLoginFlowAlias: z.string().nullable().default(null),
  postBrokerLoginFlowAlias: z.string().nullable().default(null),
  organizationId: z.string().nullable().default(null),
});
export type ProviderTerms = z.output<typeof terms>;
export const defaultTerms = (): ProviderTerms => terms.parse({});

export interface IdentityProviderRow {
  realmId: string;
  id: string;
  alias: string;
  providerId: string;
  terms: ProviderTerms;
  /** Without the secret. */
  config: Record<string, string>;
  /** Sealed; null for none. */
  secret: string | null;
  createdAt: number;
  updatedAt: number;
}

interface ProviderRecord {
  realm_id: string;
  id: string;
  alias: string;
  provider_id: string;
  terms: string;
  config: string;
  secret: string | null;
  created_at: number;
  updated_at: number;
}

const fromRecord = (row: ProviderRecord): IdentityProviderRow => ({
  realmId: row.realm_id,
  id: row.id,
  alias: row.alias,
  providerId: row.provider_id,
  terms: fromJson(terms, row.terms, `identity provider ${row.id}`),
  config: fromJson(stringMap, row.config, `identity provider ${row.id}`),
  secret: row.secret,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const toRecord = (row: IdentityProviderRow): ProviderRecord => ({
  realm_id: row.realmId,
  id: row.id,
  alias: row.alias,
  provider_id: row.providerId,
  terms: JSON.stringify(row.terms),
  config: JSON.stringify(row.config),
  secret: row.secret,
  created_at: row.createdAt,
  updated_at: row.updatedAt,
});

export const identityProviderSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'identity-provider',
  realm: row.realmId,
  row: row.id,
  column: 'secret',
});

export const sealedIdentityProviders: SealedColumn = {
  table: 'identity_providers',
  column: 'secret',
  place: ({ realmId, key }) => identityProviderSeal({ realmId, id: key }),
};

/** By alias, a page. @param page.search part of an alias or a name, whatever its case */
export async function listIdentityProviders(
  knex: Knex,
  realmId: string,
  page: { search?: string | undefined; first: number; max: number },
): Promise<IdentityProviderRow[]> {
  const query = knex('identity_providers').where({ realm_id: realmId }).orderBy('alias').limit(page.max).offset(page.first);
  const wanted = page.search?.trim().toLowerCase() ?? '';
  if (wanted !== '') void query.whereRaw("lower(alias) LIKE ? ESCAPE '!'", [`%${wanted.replaceAll('*', '').replace(/[!%_]/g, '!$&')}%`]);
  const rows: ProviderRecord[] = await query;
  return rows.map(fromRecord);
}

export async function identityProviderByAlias(knex: Knex, realmId: string, alias: string): Promise<IdentityProviderRow | undefined> {
  const row: ProviderRecord | undefined = await knex('identity_providers').where({ realm_id: realmId, alias }).first();
  return row && fromRecord(row);
}

/** A unique violation when there is one of that alias. */
export async function insertIdentityProvider(trx: Knex, row: IdentityProviderRow): Promise<void> {
  await trx('identity_providers').insert(toRecord(row));
}

/** Replaces it if nobody else did since `before` was read; identities of users follow another alias. */
export async function replaceIdentityProvider(trx: Knex, before: IdentityProviderRow, after: IdentityProviderRow): Promise<boolean> {
  const { realm_id, id, created_at: _made, ...values } = toRecord(after);
  const changed = await trx('identity_providers').where({ realm_id, id, updated_at: before.updatedAt }).update(values);
  if (changed === 1 && before.alias !== after.alias)
    await trx('federated_identities').where({ realm_id, provider: before.alias }).update({ provider: after.alias });
  return changed === 1;
}

/** With its mappers, and with the identities that users have there. False when there was none. */
export async function deleteIdentityProvider(trx: Knex, row: { realmId: string; id: string; alias: string }): Promise<boolean> {
  const deleted = await trx('identity_providers').where({ realm_id: row.realmId, id: row.id }).delete();
  if (deleted === 1) await trx('federated_identities').where({ realm_id: row.realmId, provider: row.alias }).delete();
  return deleted === 1;
}

export interface ProviderMapperRow {
  realmId: string;
  id: string;
  /** The provider's id. */
  provider: string;
  name: string;
  /** Keycloak's name of the kind. */
  mapper: string;
  config: Record<string, string>;
}

interface MapperRecord {
  realm_id: string;
  id: string;
  provider: string;
  name: string;
  mapper: string;
  config: string;
}

const mapperFrom = (row: MapperRecord): ProviderMapperRow => ({
  realmId: row.realm_id,
  id: row.id,
  provider: row.provider,
  name: row.name,
  mapper: row.mapper,
  config: fromJson(stringMap, row.config, `mapper ${row.id} of an identity provider`),
});

const MOST_MAPPERS = 1_000;

export async function mappersOfProvider(knex: Knex, realmId: string, provider: string): Promise<ProviderMapperRow[]> {
  const rows: MapperRecord[] = await knex('identity_provider_mappers').where({ realm_id: realmId, provider }).orderBy('name').limit(MOST_MAPPERS);
  return rows.map(mapperFrom);
}

export async function mapperOfProvider(knex: Knex, realmId: string, provider: string, id: string): Promise<ProviderMapperRow | undefined> {
  const row: MapperRecord | undefined = await knex('identity_provider_mappers').where({ realm_id: realmId, provider, id }).first();
  return row && mapperFrom(row);
}

/** A unique violation when the provider has one of that name. */
export async function insertProviderMapper(trx: Knex, { realmId, config, ...row }: ProviderMapperRow): Promise<void> {
  await trx('identity_provider_mappers').insert({ realm_id: realmId, ...row, config: JSON.stringify(config) });
}

export async function updateProviderMapper(trx: Knex, { realmId, id, provider, ...row }: ProviderMapperRow): Promise<boolean> {
  const values = { name: row.name, mapper: row.mapper, config: JSON.stringify(row.config) };
  return (await trx('identity_provider_mappers').where({ realm_id: realmId, provider, id }).update(values)) === 1;
}

export async function deleteProviderMapper(trx: Knex, row: { realmId: string; provider: string; id: string }): Promise<boolean> {
  return (await trx('identity_provider_mappers').where({ realm_id: row.realmId, provider: row.provider, id: row.id }).delete()) === 1;
}
