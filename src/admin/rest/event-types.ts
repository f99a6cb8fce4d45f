/**
 * What is recorded, in Keycloak's words: each of our types of what users do has one of its event types, and those of
 * administrators have an operation and a kind of resource. Types without a counterpart are in our own export (audit.ts).
 */
import { EVENT_TYPES } from '../../telemetry/counted.ts';

/** Of what users and their programs do. */
export const USER_EVENTS: Readonly<Record<string, string>> = {
  'login.ok': 'LOGIN',
  'login.sso': 'LOGIN',
  'login.failed': 'LOGIN_ERROR',
  'login.cancelled': 'LOGIN_ERROR',
  'flow.refused': 'LOGIN_ERROR',
  'mfa.challenge.failed': 'LOGIN_ERROR',
  'mfa.challenge.expired': 'LOGIN_ERROR',
  'mfa.challenge.throttled': 'LOGIN_ERROR',
  'mfa.replay': 'LOGIN_ERROR',
  'mfa.factor.disabled': 'USER_DISABLED_BY_TEMPORARY_LOCKOUT',
  logout: 'LOGOUT',
  'logout.untold': 'LOGOUT_ERROR',
  'consent.given': 'GRANT_CONSENT',
  'consent.denied': 'GRANT_CONSENT_ERROR',
  'device.started': 'OAUTH2_DEVICE_AUTH',
  'device.approved': 'OAUTH2_DEVICE_VERIFY_USER_CODE',
  'device.denied': 'OAUTH2_DEVICE_VERIFY_USER_CODE_ERROR',
  'ciba.approved': 'AUTHREQID_TO_TOKEN',
  'ciba.denied': 'AUTHREQID_TO_TOKEN_ERROR',
  'mfa.factor.enrolled': 'UPDATE_CREDENTIAL',
  'mfa.recovery.generated': 'UPDATE_CREDENTIAL',
  'mfa.factor.removed': 'REMOVE_CREDENTIAL',
  'recovery.requested': 'SEND_RESET_PASSWORD',
  'recovery.refused': 'RESET_PASSWORD_ERROR',
  'recovery.done': 'RESET_PASSWORD',
  'user.password-set': 'UPDATE_PASSWORD',
  'token.reuse': 'REFRESH_TOKEN_ERROR',
  'token.exchange': 'TOKEN_EXCHANGE',
  'token.exchange.refused': 'TOKEN_EXCHANGE_ERROR',
};

/** Our types of one of Keycloak's, or of all. */
export const userTypes = (wanted: readonly string[]): string[] =>
  Object.entries(USER_EVENTS).flatMap(([type, name]) => (wanted.length === 0 || wanted.includes(name) ? [type] : []));

export const KEYCLOAK_EVENT_TYPES: readonly string[] = [...new Set(Object.values(USER_EVENTS))].sort();

/** The first that fits counts. */
const RESOURCES: readonly [RegExp, string][] = [
  [/^realm\.(created|updated|deleted)$/, 'REALM'],
  [/^user\.role-/, 'REALM_ROLE_MAPPING'],
  [/^user\.unlocked$/, 'USER_LOGIN_FAILURE'],
  [/^(user|consent|mfa)\b/, 'USER'],
  [/^session\./, 'USER_SESSION'],
  [/^role\./, 'REALM_ROLE'],
  [/^group\.member-/, 'GROUP_MEMBERSHIP'],
  [/^group\.role-/, 'REALM_ROLE_MAPPING'],
  [/^group\./, 'GROUP'],
  [/^client-scope\./, 'CLIENT_SCOPE'],
  [/^scope-mapping\./, 'REALM_SCOPE_MAPPING'],
  [/^protocol-mapper\./, 'PROTOCOL_MAPPER'],
  [/^client\./, 'CLIENT'],
  [/^(component|keys)\./, 'COMPONENT'],
  [/^identity-provider/, 'IDENTITY_PROVIDER'],
  [/^(policy|delivery|factor|crypto)\./, 'REALM'],
];

const OPERATIONS: readonly [RegExp, string][] = [
  [/(created|added|enrolled|granted|imported|linked|generated|assigned|made)$/, 'CREATE'],
  [/(deleted|removed|revoked|erased|unlinked|unassigned)$/, 'DELETE'],
  [/(updated|changed|moved|set|renamed|rotated|regenerated|preferred|enabled|disabled|restored)$/, 'UPDATE'],
];

const wordOf = (words: readonly [RegExp, string][], type: string, otherwise: string): string =>
  words.find(([pattern]) => pattern.test(type))?.[1] ?? otherwise;

export const resourceTypeOf = (type: string): string => wordOf(RESOURCES, type, 'CUSTOM');
export const operationTypeOf = (type: string): string => (/un(linked|assigned)$/.test(type) ? 'DELETE' : wordOf(OPERATIONS, type, 'ACTION'));

/** Our types of these operations on these resources; none named is all. */
export const administratorTypes = (operations: readonly string[], resources: readonly string[]): string[] =>
  EVENT_TYPES.filter(
    (type) =>
      (operations.length === 0 || operations.includes(operationTypeOf(type))) && (resources.length === 0 || resources.includes(resourceTypeOf(type))),
  );

/** Where it is in Keycloak's API. */
export function resourcePathOf(event: { type: string; subject: string | null; clientId: string | null; details: Record<string, unknown> }): string {
  const { subject, clientId, details } = event;
  const text = (name: string): string => (typeof details[name] === 'string' ? details[name] : '');
  switch (resourceTypeOf(event.type)) {
    case 'CLIENT':
      return `clients/${clientId ?? text('name')}`;
    case 'CLIENT_SCOPE':
      return `client-scopes/${text('name')}`;
    case 'COMPONENT':
      return `components/${text('component')}`;
    case 'GROUP':
      return `groups${text('path')}`;
    case 'REALM_ROLE':
      return `roles/${text('role')}`;
    default:
      return subject === null ? '' : `users/${subject}`;
  }
}
