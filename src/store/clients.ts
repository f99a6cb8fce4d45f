/** Clients and the scopes they may ask for. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { type KeptOfClient, keptOfClient } from './kept-of-client.ts';
import { bool, fromJson, stringList, stringMap } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface ClientRow {
  realmId: string;
  /** The row id; `clientId` is the one of OAuth. */
  id: string;
  clientId: string;
  name: string | null;
  description: string | null;
  enabled: boolean;
  publicClient: boolean;
  /** False for first-party clients: nobody is asked. */
  consentRequired: boolean;
  standardFlow: boolean;
  directAccess: boolean;
  serviceAccount: boolean;
  fullScope: boolean;
  /** Sealed; null for public clients. */
  secret: string | null;
  /** When the secret was made; null where that is not known. */
  secretAt: number | null;
  /** The secret of before: sealed, and good until `rotatedUntil`. */
  rotatedSecret: string | null;
  rotatedUntil: number | null;
  /** SHA-256 of its registration access token (RFC 7592). */
  registrationToken: string | null;
  rootUrl: string | null;
  baseUrl: string | null;
  redirectUris: string[];
  postLogoutRedirectUris: string[];
  webOrigins: string[];
  attributes: Record<string, string>;
  kept: KeptOfClient;
  /** Keycloak's revokeRefreshToken; null means on for public clients and off for confidential ones. */
  revokeRefreshToken: boolean | null;
  /** Keycloak's refreshTokenMaxReuse: how often a rotated refresh token may be used again. */
  refreshTokenMaxReuse: number;
  createdAt: number;
  updatedAt: number;
}

/** Keycloak's attribute of clients whose access tokens carry no roles. */
export const LIGHTWEIGHT = 'client.use.lightweight.access.token.enabled';

/**
 * Ours: `false` for a client that a limited administrator has made or changed. Its users' tokens let it manage nothing
 * here; a service account's own do.
 */
export const FOR_ADMINISTRATION = 'cardea.administration';

export interface ClientRecord {
  realm_id: string;
  id: string;
  client_id: string;
  name: string | null;
  description: string | null;
  enabled: boolean | number;
  public_client: boolean | number;
  consent_required: boolean | number;
  standard_flow: boolean | number;
  direct_access: boolean | number;
  service_account: boolean | number;
  full_scope: boolean | number;
  secret: string | null;
  secret_at: number | null;
  rotated_secret: string | null;
  rotated_until: number | null;
  registration_token: string | null;
  root_url: string | null;
  base_url: string | null;
  redirect_uris: string;
  post_logout_redirect_uris: string;
  web_origins: string;
  attributes: string;
  kept: string;
  revoke_refresh_token: boolean | number | null;
  refresh_token_max_reuse: number;
  created_at: number;
  updated_at: number;
}

export const clientFromRecord = (row: ClientRecord): ClientRow => ({
  realmId: row.realm_id,
  id: row.id,
  clientId: row.client_id,
  name: row.name,
  description: row.description,
  enabled: bool(row.enabled),
  publicClient: bool(row.public_client),
  consentRequired: bool(row.consent_required),
  standardFlow: bool(row.standard_flow),
  directAccess: bool(row.direct_access),
  serviceAccount: bool(row.service_account),
  fullScope: bool(row.full_scope),
  secret: row.secret,
  secretAt: row.secret_at,
  rotatedSecret: row.rotated_secret,
  rotatedUntil: row.rotated_until,
  registrationToken: row.registration_token,
  rootUrl: row.root_url,
  baseUrl: row.base_url,
  redirectUris: fromJson(stringList, row.redirect_uris, `client ${row.client_id}`),
  postLogoutRedirectUris: fromJson(stringList, row.post_logout_redirect_uris, `client ${row.client_id}`),
  webOrigins: fromJson(stringList, row.web_origins, `client ${row.client_id}`),
  attributes: fromJson(stringMap, row.attributes, `client ${row.client_id}`),
  kept: fromJson(keptOfClient, row.kept, `client ${row.client_id}`),
  revokeRefreshToken: row.revoke_refresh_token === null ? null : bool(row.revoke_refresh_token),
  refreshTokenMaxReuse: row.refresh_token_max_reuse,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** What a client's secret is bound to. */
export const clientSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'client',
  realm: row.realmId,
  row: row.id,
  column: 'secret',
});

/** And the secret of before. */
export const rotatedSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'client',
  realm: row.realmId,
  row: row.id,
  column: 'rotated_secret',
});

export const sealedClients: SealedColumn = { table: 'clients', column: 'secret', place: ({ realmId, key }) => clientSeal({ realmId, id: key }) };
export const sealedRotated: SealedColumn = {
  table: 'clients',
  column: 'rotated_secret',
  place: ({ realmId, key }) => rotatedSeal({ realmId, id: key }),
};

export async function clientByClientId(knex: Knex, realmId: string, clientId: string): Promise<ClientRow | undefined> {
  const row = await knex<ClientRecord>('clients').where({ realm_id: realmId, client_id: clientId }).first();
  return row && clientFromRecord(row);
}

/** The client_id of the client with that row id. */
export async function clientNameById(knex: Knex, realmId: string, id: string): Promise<string | undefined> {
  const row: { client_id: string } | undefined = await knex('clients').where({ realm_id: realmId, id }).first('client_id');
  return row?.client_id;
}

/** Clients by client_id, one page: those after `after`, at most `limit`. */
export async function listClients(knex: Knex, realmId: string, page: { after?: string; limit: number }): Promise<ClientRow[]> {
  const query = knex<ClientRecord>('clients').where({ realm_id: realmId }).orderBy('client_id').limit(page.limit);
  if (page.after !== undefined) query.where('client_id', '>', page.after);
  return (await query).map(clientFromRecord);
}

export async function insertClient(trx: Knex, client: ClientRow): Promise<void> {
  await trx('clients').insert(clientRecord(client));
}

/** Booleans and JSON as the columns have them. */
export function clientRecord(client: ClientRow): ClientRecord {
  return {
    realm_id: client.realmId,
    id: client.id,
    client_id: client.clientId,
    name: client.name,
    description: client.description,
    enabled: client.enabled,
    public_client: client.publicClient,
    consent_required: client.consentRequired,
    standard_flow: client.standardFlow,
    direct_access: client.directAccess,
    service_account: client.serviceAccount,
    full_scope: client.fullScope,
    secret: client.secret,
    secret_at: client.secretAt,
    rotated_secret: client.rotatedSecret,
    rotated_until: client.rotatedUntil,
    registration_token: client.registrationToken,
    root_url: client.rootUrl,
    base_url: client.baseUrl,
    redirect_uris: JSON.stringify(client.redirectUris),
    post_logout_redirect_uris: JSON.stringify(client.postLogoutRedirectUris),
    web_origins: JSON.stringify(client.webOrigins),
    attributes: JSON.stringify(client.attributes),
    kept: JSON.stringify(client.kept),
    revoke_refresh_token: client.revokeRefreshToken,
    refresh_token_max_reuse: client.refreshTokenMaxReuse,
    created_at: client.createdAt,
    updated_at: client.updatedAt,
  };
}

/** Replaces where a client's users may be sent. */
export async function updateClientUris(
  trx: Knex,
  client: { realmId: string; id: string },
  uris: { redirectUris: string[]; postLogoutRedirectUris: string[] },
  now: number,
): Promise<void> {
  await trx('clients')
    .where({ realm_id: client.realmId, id: client.id })
    .update({
      redirect_uris: JSON.stringify(uris.redirectUris),
      post_logout_redirect_uris: JSON.stringify(uris.postLogoutRedirectUris),
      updated_at: now,
    });
}

export interface ClientScopeRow {
  realmId: string;
  id: string;
  name: string;
  description: string | null;
  protocol: string;
  /** Keycloak's free-form attributes, such as include.in.token.scope. */
  attributes: Record<string, string>;
  realmAssignment: 'default' | 'optional' | 'none';
  createdAt: number;
}

export async function insertClientScopes(trx: Knex, scopes: ClientScopeRow[]): Promise<void> {
  await trx('client_scopes').insert(
    scopes.map((scope) => ({
      realm_id: scope.realmId,
      id: scope.id,
      name: scope.name,
      description: scope.description,
      protocol: scope.protocol,
      attributes: JSON.stringify(scope.attributes),
      realm_assignment: scope.realmAssignment,
      created_at: scope.createdAt,
    })),
  );
}

export async function clientScopes(knex: Knex, realmId: string): Promise<ClientScopeRow[]> {
  const rows = await knex('client_scopes').where({ realm_id: realmId }).orderBy('name');
  return rows.map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    name: row.name,
    description: row.description,
    protocol: row.protocol,
    attributes: fromJson(stringMap, row.attributes, `client scope ${row.name}`),
    realmAssignment: row.realm_assignment,
    createdAt: row.created_at,
  }));
}

/** Gives a new client the scopes that its realm gives to new clients: one INSERT … SELECT. */
export async function assignRealmScopes(trx: Knex, realmId: string, clientRowId: string): Promise<void> {
  await trx.into(trx.raw('client_scope_assignments (realm_id, client_id, scope_id, is_default)')).insert(
    trx('client_scopes')
      .where({ realm_id: realmId })
      .whereIn('realm_assignment', ['default', 'optional'])
      .select('realm_id', trx.raw('? as client_id', [clientRowId]), 'id', trx.raw("realm_assignment = 'default'")),
  );
}

/** Names of a client's scopes: those that apply unasked, and those it may ask for. */
export async function scopesOfClient(knex: Knex, realmId: string, clientRowId: string): Promise<{ defaults: string[]; optional: string[] }> {
  const rows: { name: string; is_default: boolean | number }[] = await knex('client_scope_assignments')
    .join('client_scopes', (on) =>
      on.on('client_scopes.realm_id', 'client_scope_assignments.realm_id').andOn('client_scopes.id', 'client_scope_assignments.scope_id'),
    )
    .where({
      'client_scope_assignments.realm_id': realmId,
      'client_scope_assignments.client_id': clientRowId,
      'client_scopes.protocol': 'openid-connect',
    })
    .orderBy('client_scopes.name')
    .select('client_scopes.name', 'client_scope_assignments.is_default');
  return {
    defaults: rows.filter((row) => bool(row.is_default)).map((row) => row.name),
    optional: rows.filter((row) => !bool(row.is_default)).map((row) => row.name),
  };
}

/** Counts per realm, for overviews: one query for all of them. */
export async function countClients(knex: Knex, realmIds: string[]): Promise<Map<string, number>> {
  const rows = await knex('clients').whereIn('realm_id', realmIds).groupBy('realm_id').select('realm_id').count('* as clients');
  return new Map(rows.map((row) => [String(row.realm_id), Number(row.clients)]));
}
