/** The mappers of the client scopes that a realm comes with, by Keycloak's names. */
import { ROLES_OF_CLIENTS } from './roles.ts';

/** The protocol whose mappers say something here. */
export const CLAIM_PROTOCOL = 'openid-connect';

export interface DefaultMapper {
  name: string;
  mapper: string;
  config: Readonly<Record<string, string>>;
}

const TRUE = 'true';
const tokens = { 'id.token.claim': TRUE, 'access.token.claim': TRUE, 'introspection.token.claim': TRUE };
const everywhere = { ...tokens, 'userinfo.token.claim': TRUE };
const access = { 'access.token.claim': TRUE, 'introspection.token.claim': TRUE };

const attribute = (name: string, from: string, claim: string, type = 'String'): DefaultMapper => ({
  name,
  mapper: 'oidc-usermodel-attribute-mapper',
  config: { 'user.attribute': from, 'claim.name': claim, 'jsonType.label': type, ...everywhere },
});

const address = ['formatted', 'street', 'locality', 'region', 'postal_code', 'country'].map((part) => [`user.attribute.${part}`, part]);

/** By the scope's name; scopes that are not here have none. */
export const DEFAULT_MAPPERS: Readonly<Record<string, readonly DefaultMapper[]>> = {
  basic: [
    { name: 'sub', mapper: 'oidc-sub-mapper', config: access },
    {
      name: 'auth_time',
      mapper: 'oidc-usersessionmodel-note-mapper',
      config: { 'user.session.note': 'AUTH_TIME', 'claim.name': 'auth_time', 'jsonType.label': 'long', ...tokens },
    },
  ],
  acr: [
    { name: 'acr loa level', mapper: 'oidc-acr-mapper', config: tokens },
    { name: 'amr', mapper: 'oidc-amr-mapper', config: tokens },
  ],
  profile: [
    { name: 'full name', mapper: 'oidc-full-name-mapper', config: everywhere },
    attribute('username', 'username', 'preferred_username'),
    attribute('given name', 'firstName', 'given_name'),
    attribute('family name', 'lastName', 'family_name'),
    attribute('middle name', 'middleName', 'middle_name'),
    attribute('nickname', 'nickname', 'nickname'),
    attribute('profile', 'profile', 'profile'),
    attribute('picture', 'picture', 'picture'),
    attribute('website', 'website', 'website'),
    attribute('gender', 'gender', 'gender'),
    attribute('birthdate', 'birthdate', 'birthdate'),
    attribute('zoneinfo', 'zoneinfo', 'zoneinfo'),
    attribute('locale', 'locale', 'locale'),
    attribute('updated at', 'updatedAt', 'updated_at', 'long'),
  ],
  email: [
    attribute('email', 'email', 'email'),
    {
      name: 'email verified',
      mapper: 'oidc-usermodel-property-mapper',
      config: { 'user.attribute': 'emailVerified', 'claim.name': 'email_verified', 'jsonType.label': 'boolean', ...everywhere },
    },
  ],
  roles: [
    {
      name: 'realm roles',
      mapper: 'oidc-usermodel-realm-role-mapper',
      config: { 'claim.name': 'realm_access.roles', 'jsonType.label': 'String', multivalued: TRUE, ...access },
    },
    {
      name: 'client roles',
      mapper: 'oidc-usermodel-client-role-mapper',
      config: { 'claim.name': ROLES_OF_CLIENTS, 'jsonType.label': 'String', multivalued: TRUE, ...access },
    },
    { name: 'audience resolve', mapper: 'oidc-audience-resolve-mapper', config: access },
  ],
  'web-origins': [{ name: 'allowed web origins', mapper: 'oidc-allowed-origins-mapper', config: access }],
  address: [{ name: 'address', mapper: 'oidc-address-mapper', config: { ...Object.fromEntries(address), ...everywhere } }],
  phone: [
    attribute('phone number', 'phoneNumber', 'phone_number'),
    attribute('phone number verified', 'phoneNumberVerified', 'phone_number_verified', 'boolean'),
  ],
  'microprofile-jwt': [
    attribute('upn', 'username', 'upn'),
    {
      name: 'groups',
      mapper: 'oidc-usermodel-realm-role-mapper',
      config: { 'claim.name': 'groups', 'jsonType.label': 'String', multivalued: TRUE, ...tokens },
    },
  ],
};
