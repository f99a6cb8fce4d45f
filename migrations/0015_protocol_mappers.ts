/** One name a parent for mappers, one mapping a role, and in realms that are there already the mappers that new ones come with. */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('protocol_mappers', (table) => {
    table.text('protocol').notNullable().defaultTo('openid-connect');
    // Of the two one is null, and nulls are not the same: each index is about one kind of parent.
    table.unique(['realm_id', 'client_id', 'name']);
    table.unique(['realm_id', 'scope_id', 'name']);
  });
  await knex.schema.alterTable('scope_mappings', (table) => {
    table.unique(['realm_id', 'client_id', 'role_id']);
    table.unique(['realm_id', 'scope_id', 'role_id']);
  });
  await fillScopes(knex);
}

/** Page by page: there may be very many realms. */
async function fillScopes(knex: Knex): Promise<void> {
  const limit = 500;
  for (let after: { realm_id: string; id: string } | undefined; ; ) {
    const query = knex('client_scopes').orderBy(['realm_id', 'id']).limit(limit).select('realm_id', 'id', 'name', 'protocol');
    const last = after;
    if (last) void query.whereRaw('(realm_id, id) > (?, ?)', [last.realm_id, last.id]);
    const scopes: { realm_id: string; id: string; name: string; protocol: string }[] = await query;
    const rows = scopes.flatMap(({ realm_id, id, name, protocol }) =>
      (protocol === 'openid-connect' && Object.hasOwn(MAPPERS, name) ? (MAPPERS[name] ?? []) : []).map(([mapperName, mapper, config]) => ({
        ...{ realm_id, id: randomUUID(), client_id: null, scope_id: id, name: mapperName, protocol: 'openid-connect' },
        ...{ mapper, config: JSON.stringify(config) },
      })),
    );
    await knex.batchInsert('protocol_mappers', rows, 200);
    if (scopes.length < limit) return;
    after = scopes.at(-1);
  }
}

type Config = Record<string, string>;
type Default = readonly [name: string, mapper: string, config: Config];

const TOKENS: Config = { 'id.token.claim': 'true', 'access.token.claim': 'true', 'introspection.token.claim': 'true' };
const ALL: Config = { ...TOKENS, 'userinfo.token.claim': 'true' };
const ACCESS: Config = { 'access.token.claim': 'true', 'introspection.token.claim': 'true' };

/** A claim of JSON type String, from an attribute of the user. */
const claim = (name: string, from: string, to: string, type = 'String'): Default => [
  name,
  'oidc-usermodel-attribute-mapper',
  { 'user.attribute': from, 'claim.name': to, 'jsonType.label': type, ...ALL },
];
const roles = (name: string, kind: 'realm' | 'client', to: string, where: Config): Default => [
  name,
  `oidc-usermodel-${kind}-role-mapper`,
  { 'claim.name': to, 'jsonType.label': 'String', multivalued: 'true', ...where },
];

/** What realms came with when this was written. */
const MAPPERS: Readonly<Record<string, readonly Default[]>> = {
  basic: [
    ['sub', 'oidc-sub-mapper', ACCESS],
    [
      'auth_time',
      'oidc-usersessionmodel-note-mapper',
      { 'user.session.note': 'AUTH_TIME', 'claim.name': 'auth_time', 'jsonType.label': 'long', ...TOKENS },
    ],
  ],
  acr: [
    ['acr loa level', 'oidc-acr-mapper', TOKENS],
    ['amr', 'oidc-amr-mapper', TOKENS],
  ],
  profile: [
    ['full name', 'oidc-full-name-mapper', ALL],
    claim('username', 'username', 'preferred_username'),
    claim('given name', 'firstName', 'given_name'),
    claim('family name', 'lastName', 'family_name'),
    claim('middle name', 'middleName', 'middle_name'),
    ...['nickname', 'profile', 'picture', 'website', 'gender', 'birthdate', 'zoneinfo', 'locale'].map((name) => claim(name, name, name)),
    claim('updated at', 'updatedAt', 'updated_at', 'long'),
  ],
  email: [
    claim('email', 'email', 'email'),
    [
      'email verified',
      'oidc-usermodel-property-mapper',
      { 'user.attribute': 'emailVerified', 'claim.name': 'email_verified', 'jsonType.label': 'boolean', ...ALL },
    ],
  ],
  roles: [
    roles('realm roles', 'realm', 'realm_access.roles', ACCESS),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Keycloak's word for it in configs
    roles('client roles', 'client', 'resource_access.${client_id}.roles', ACCESS),
    ['audience resolve', 'oidc-audience-resolve-mapper', ACCESS],
  ],
  'web-origins': [['allowed web origins', 'oidc-allowed-origins-mapper', ACCESS]],
  address: [
    [
      'address',
      'oidc-address-mapper',
      {
        ...Object.fromEntries(
          ['formatted', 'street', 'locality', 'region', 'postal_code', 'country'].map((part) => [`user.attribute.${part}`, part]),
        ),
        ...ALL,
      },
    ],
  ],
  phone: [
    claim('phone number', 'phoneNumber', 'phone_number'),
    claim('phone number verified', 'phoneNumberVerified', 'phone_number_verified', 'boolean'),
  ],
  'microprofile-jwt': [claim('upn', 'username', 'upn'), roles('groups', 'realm', 'groups', TOKENS)],
};

export const down = forwardOnly;
