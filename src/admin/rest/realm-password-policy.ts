/**
 * Keycloak's password policy, such as `length(12) and notUsername`: the length is our setting. What a password must not be
 * (names, patterns) holds in every realm, and rules about digits and signs have no effect (NIST SP 800-63B-4 section
 * 3.1.1.2 forbids them): the text is kept as it was given.
 */
import { badInput } from '../../errors.ts';
import { defaultRealmSettings } from '../../realms/settings.ts';

const FIELD = 'passwordPolicy';

/** Keycloak's ids, and whether each takes a value. */
export const PASSWORD_POLICIES: readonly { id: string; displayName: string; configType: 'int' | 'String' | ''; defaultValue: string }[] = [
  { id: 'length', displayName: 'Minimum Length', configType: 'int', defaultValue: '8' },
  { id: 'maxLength', displayName: 'Maximum Length', configType: 'int', defaultValue: '64' },
  { id: 'digits', displayName: 'Digits', configType: 'int', defaultValue: '1' },
  { id: 'lowerCase', displayName: 'Lowercase Characters', configType: 'int', defaultValue: '1' },
  { id: 'upperCase', displayName: 'Uppercase Characters', configType: 'int', defaultValue: '1' },
  { id: 'specialChars', displayName: 'Special Characters', configType: 'int', defaultValue: '1' },
  { id: 'notUsername', displayName: 'Not Username', configType: '', defaultValue: '' },
  { id: 'notContainsUsername', displayName: 'Not Contains Username', configType: '', defaultValue: '' },
  { id: 'notEmail', displayName: 'Not Email', configType: '', defaultValue: '' },
  { id: 'regexPattern', displayName: 'Regular Expression', configType: 'String', defaultValue: '' },
  { id: 'passwordHistory', displayName: 'Not Recently Used', configType: 'int', defaultValue: '3' },
  { id: 'passwordAge', displayName: 'Not Recently Used (In Days)', configType: 'int', defaultValue: '30' },
  { id: 'passwordBlacklist', displayName: 'Password Blacklist', configType: 'String', defaultValue: '' },
  { id: 'forceExpiredPasswordChange', displayName: 'Expire Password', configType: 'int', defaultValue: '365' },
  { id: 'maxAuthAge', displayName: 'Maximum Authentication Age', configType: 'int', defaultValue: '300' },
  { id: 'hashAlgorithm', displayName: 'Hashing Algorithm', configType: 'String', defaultValue: 'argon2' },
  { id: 'hashIterations', displayName: 'Hashing Iterations', configType: 'int', defaultValue: '5' },
  { id: 'recoveryCodesWarningThreshold', displayName: 'Recovery Codes Warning Threshold', configType: 'int', defaultValue: '4' },
];

/** The rules of a policy with their values. @throws AppError 400 for what is none */
export function rulesOf(policy: string): Map<string, string> {
  const rules = new Map<string, string>();
  for (const rule of policy.trim() === '' ? [] : policy.split(/\s+and\s+/)) {
    const [, id = '', value] = /^([A-Za-z]+)(?:\((.*)\))?$/s.exec(rule.trim()) ?? [];
    const known = PASSWORD_POLICIES.find((one) => one.id === id);
    if (!known) throw badInput(FIELD, `${FIELD}: there is no rule "${rule.trim().slice(0, 60)}"`);
    const given = value === undefined || value === 'undefined' ? '' : value.trim();
    if (known.configType === 'int' && given !== '' && !/^-?\d{1,9}$/.test(given)) throw badInput(FIELD, `${FIELD}: ${id} takes a number`);
    rules.set(id, given);
  }
  return rules;
}

/** The fewest characters that a policy allows; ours where it says nothing of it. */
export function minLengthOf(policy: string): number {
  const length = rulesOf(policy).get('length');
  if (length === undefined) return defaultRealmSettings().passwordMinLength;
  return length === '' ? 8 : Number(length);
}

export const passwordPolicyOf = (minLength: unknown): string => `length(${String(minLength)})`;
