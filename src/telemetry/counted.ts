/**
 * Which counter each event of the audit moves: one table, so that what is recorded is counted, and a new event has to say
 * how. Labels come from small sets: no user, no realm, no client; of what administrators name (custom factors, levels
 * of their own) one word stands for all.
 */
import type { AuditEvent } from '../audit/event.ts';
import { LEVELS } from '../policy/assurance.ts';

/** Names without the prefix, what they count, and their labels. */
export const COUNTERS = {
  logins_total: { help: 'Sign-ins by how they ended and the level they reached', labels: ['result', 'acr'] },
  challenges_total: { help: 'Questions for a factor, and the answers', labels: ['factor', 'purpose', 'result'] },
  lockouts_total: { help: 'Attempts that were refused unseen, and factors that were switched off', labels: ['what'] },
  replays_total: { help: 'Codes and signatures that came a second time', labels: ['factor'] },
  factor_changes_total: { help: 'Factors that users got, lost and got back', labels: ['factor', 'change'] },
  fallbacks_total: { help: 'Factors that were asked in the place of another', labels: ['factor', 'reason'] },
  recoveries_total: { help: 'Ways around a factor that was lost', labels: ['what'] },
  trusted_devices_total: { help: 'Devices that were trusted, spared a question, or lost their trust', labels: ['change'] },
  impersonations_total: { help: 'Administrators who asked to act as a user, and who did', labels: ['what'] },
  step_ups_total: { help: 'Requests for more than a session had', labels: ['result'] },
  deliveries_total: { help: 'Mails and text messages', labels: ['channel', 'result'] },
  alarms_total: { help: 'What should never happen: the audit has more', labels: ['what'] },
} as const;

export type CounterName = keyof typeof COUNTERS;
export interface Counted {
  counter: CounterName;
  labels: Readonly<Record<string, string>>;
}

type DetailsOf<T> = AuditEvent extends infer E ? (E extends { type: infer U; details: infer D } ? (T extends U ? D : never) : never) : never;
/** Null: recorded, and not counted. */
type Table = { readonly [T in AuditEvent['type']]: null | ((details: DetailsOf<T>) => Counted) };

/** Factors of the product. */
const FACTORS: ReadonlySet<string> = new Set([
  ...['password', 'totp', 'hotp', 'email-otp', 'sms-otp', 'security-key', 'passkey', 'recovery-codes', 'enrolment-pass'],
]);
export const factorLabel = (factor: string): string => (FACTORS.has(factor) ? factor : 'custom');
const levelLabel = (acr: string): string => (LEVELS.some((level) => level === acr) ? acr : 'other');

const counted = (counter: CounterName, labels: Counted['labels']): Counted => ({ counter, labels });
const login = (result: string, acr = 'none') => counted('logins_total', { result, acr });
const challenge = (result: string) => (details: { factor: string }) => {
  // The code that confirms an enrolment is recorded under `enrol-<factor>`.
  const [, factor = details.factor] = /^enrol-(.+)$/.exec(details.factor) ?? [];
  return counted('challenges_total', { factor: factorLabel(factor), purpose: factor === details.factor ? 'sign-in' : 'enrolment', result });
};
const change = (what: string) => (details: { factor: string }) =>
  counted('factor_changes_total', { factor: factorLabel(details.factor), change: what });
const recovery = (what: string) => () => counted('recoveries_total', { what });
const device = (what: string) => () => counted('trusted_devices_total', { change: what });
const stepUp = (result: string) => () => counted('step_ups_total', { result });
const alarm = (what: string) => () => counted('alarms_total', { what });

const TABLE: Table = {
  'login.ok': ({ acr }) => login('ok', levelLabel(acr)),
  'login.sso': ({ acr }) => login('sso', levelLabel(acr)),
  'login.failed': ({ reason }) => (reason === 'throttled' ? counted('lockouts_total', { what: 'password' }) : login(reason)),
  'login.cancelled': () => login('cancelled'),
  'login.flood': alarm('flood'),
  logout: null,
  'logout.untold': alarm('logout'),
  'flow.refused': alarm('flow'),
  'consent.given': null,
  'consent.denied': null,
  'device.started': null,
  'device.approved': null,
  'device.denied': null,
  'ciba.requested': null,
  'ciba.approved': null,
  'ciba.denied': null,
  'ciba.refused': null,
  'mfa.challenge.issued': challenge('issued'),
  'mfa.challenge.ok': challenge('ok'),
  'mfa.challenge.failed': challenge('failed'),
  'mfa.challenge.expired': challenge('expired'),
  'mfa.challenge.throttled': () => counted('lockouts_total', { what: 'attempts' }),
  'mfa.replay': ({ factor }) => counted('replays_total', { factor: factorLabel(factor.replace(/^enrol-/, '')) }),
  'mfa.clone_suspected': alarm('clone'),
  'mfa.fallback': ({ factor, reason }) => counted('fallbacks_total', { factor: factorLabel(factor), reason }),
  'mfa.factor.enrolled': change('enrolled'),
  'mfa.factor.renamed': null,
  'mfa.factor.removed': change('removed'),
  'mfa.factor.disabled': () => counted('lockouts_total', { what: 'factor' }),
  'mfa.factor.restored': change('restored'),
  'mfa.factor.resynced': change('resynced'),
  'mfa.token.imported': null,
  'mfa.token.assigned': null,
  'mfa.token.returned': null,
  'mfa.token.removed': null,
  'mfa.recovery.generated': null,
  'mfa.recovery.used': recovery('code'),
  'mfa.recovery.low': null,
  'mfa.trusted_device.added': device('added'),
  'mfa.trusted_device.used': device('used'),
  'mfa.trusted_device.reuse_detected': alarm('device-reuse'),
  'mfa.trusted_device.revoked': device('revoked'),
  'device.forgotten': null,
  'policy.changed': null,
  'mfa.exception.granted': recovery('exception'),
  'mfa.exception.revoked': null,
  'mfa.reset.requested': recovery('pass-requested'),
  'mfa.reset.approved': null,
  'mfa.reset.refused': null,
  'mfa.reset.revoked': null,
  'mfa.reset.used': recovery('pass-used'),
  'mfa.factor.preferred': null,
  'recovery.requested': recovery('password-requested'),
  'recovery.refused': recovery('password-refused'),
  'recovery.done': recovery('password-set'),
  'stepup.required': stepUp('required'),
  'stepup.ok': stepUp('ok'),
  'stepup.unmet': stepUp('unmet'),
  'delivery.sent': ({ channel }) => counted('deliveries_total', { channel, result: 'sent' }),
  'delivery.failed': ({ channel }) => counted('deliveries_total', { channel, result: 'failed' }),
  'delivery.budget': ({ channel }) => counted('deliveries_total', { channel, result: 'budget' }),
  'delivery.account-set': null,
  'delivery.account-removed': null,
  'token.reuse': alarm('token-reuse'),
  'token.exchange': null,
  'token.exchange.refused': null,
  'crypto.unreadable': alarm('unreadable'),
  'crypto.data_key.made': null,
  'crypto.data_key.retired': null,
  'crypto.master_key.rotated': null,
  'keys.rotated': null,
  'keys.added': null,
  'audit.erased': null,
  'realm.created': null,
  'realm.deleted': null,
  'realm.renamed': null,
  'component.created': null,
  'component.updated': null,
  'component.deleted': null,
  'client.created': null,
  'client.updated': null,
  'client.deleted': null,
  'client.secret-regenerated': null,
  'client.secret-ended': null,
  'client.registration-token-made': null,
  'client.initial-access-made': null,
  'client.initial-access-removed': null,
  'client-scope.created': null,
  'client-scope.updated': null,
  'client-scope.deleted': null,
  'client-scope.assigned': null,
  'client-scope.unassigned': null,
  'protocol-mapper.created': null,
  'protocol-mapper.updated': null,
  'protocol-mapper.deleted': null,
  'scope-mapping.added': null,
  'scope-mapping.removed': null,
  'user.created': null,
  'user.deleted': null,
  'user.updated': null,
  'role.updated': null,
  'group.updated': null,
  'group.default-added': null,
  'group.default-removed': null,
  'user.terms-accepted': null,
  'user.terms-declined': null,
  'user.actions-sent': null,
  'user.impersonation-offered': () => counted('impersonations_total', { what: 'offered' }),
  'user.impersonated': () => counted('impersonations_total', { what: 'begun' }),
  'user.identity-linked': null,
  'user.identity-unlinked': null,
  'consent.revoked': null,
  'session.ended': null,
  'realm.updated': null,
  'role.created': null,
  'role.deleted': null,
  'user.role-added': null,
  'user.role-removed': null,
  'role.composite-added': null,
  'role.composite-removed': null,
  'group.created': null,
  'group.deleted': null,
  'group.member-added': null,
  'group.member-removed': null,
  'group.moved': null,
  'group.role-added': null,
  'group.role-removed': null,
  'user.password-set': null,
  'user.unlocked': null,
  'factor.enabled': null,
  'factor.disabled': null,
  'factor.removed': null,
  'factor.added': null,
  'factor.secret-rotated': null,
  'gate.created': null,
  'gate.updated': null,
  'gate.deleted': null,
  'identity-provider.created': null,
  'identity-provider.updated': null,
  'identity-provider.deleted': null,
  'identity-provider.mapper-created': null,
  'identity-provider.mapper-updated': null,
  'identity-provider.mapper-deleted': null,
  'webhook.created': null,
  'webhook.updated': null,
  'webhook.deleted': null,
  'webhook.secret-rotated': null,
};

/** Every type that there is. */
export const EVENT_TYPES: readonly string[] = Object.keys(TABLE);

/** What an event counts as, if it does. */
export function countedAs<T extends AuditEvent['type']>(event: { type: T; details: DetailsOf<T> }): Counted | undefined {
  return TABLE[event.type]?.(event.details);
}
