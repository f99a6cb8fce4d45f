/** Policies for the tests, and fast-check arbitraries of them: a small world on purpose, so that rules meet each other. */

import { LEVELS } from '../../src/policy/assurance.ts';
import type { Facts } from '../../src/policy/decide.ts';
import { type PolicyDocument, type PolicyInput, type PolicyRule, policyDocument, RISKS } from '../../src/policy/document.ts';
import { DAY, FACTORS, HOUR, MINUTE, NOW } from './proofs.ts';
import fc from './property.ts';

/** A policy as an administrator would write it. */
export const policyWith = (input: PolicyInput): PolicyDocument => policyDocument.parse(input);

/** A rule with a name. */
export const rule = (id: string, when: PolicyRule['when'], need: PolicyRule['need']): PolicyRule => ({ id, when, need });

/** The whole realm needs a level. */
export const realmNeeds = (need: PolicyRule['need']): PolicyDocument => policyWith({ rules: [rule('realm', {}, need)] });

/** An ISO time, in milliseconds from the tests' present. */
export const at = (ms: number): string => new Date(NOW + ms).toISOString();

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const some = <T>(...values: T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 });
/** Leaves out what is undefined, as JSON does. */
const bare = <T extends object>(value: T): T => JSON.parse(JSON.stringify(value));

const when = fc
  .record({
    client: maybe(some('shop', 'payroll')),
    role: maybe(some('staff', 'payroll:clerk')),
    group: maybe(some('/sales', '/it')),
    user: maybe(some('alice', 'erin')),
    action: maybe(some('enrol' as const)),
    risk: maybe(some(...RISKS)),
  })
  // Most rules name one thing or none, or too few would meet.
  .chain((all) => fc.constantFrom<PolicyRule['when']>({}, {}, all, ...Object.entries(all).map(([key, value]) => ({ [key]: value }))));

const seconds = fc.constantFrom(0, 60, 300, 3_600, 86_400, 30 * 86_400);
const need = fc.record({
  level: maybe(fc.constantFrom(...LEVELS)),
  factors: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: some(...Object.keys(FACTORS)) }),
  maxAge: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: seconds }),
  remember: maybe(seconds),
  enrolBy: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.constantFrom(-DAY, -1, 0, 1, HOUR, 14 * DAY).map((ms) => at(ms)) },
  ),
  graceLogins: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: fc.nat(3) }),
  deny: fc.oneof({ weight: 30, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant(true as const) }),
});

export const ruleWith = (id: string): fc.Arbitrary<PolicyRule> => fc.record({ when, need }).map((parts) => bare({ id, ...parts }));

export const policy = (): fc.Arbitrary<PolicyDocument> =>
  fc
    .record({
      useOwned: fc.boolean(),
      administrator: fc.constantFrom(...LEVELS),
      rules: fc.integer({ min: 0, max: 4 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => ruleWith(`rule-${index}`)))),
      gold: maybe(fc.constantFrom(...LEVELS)),
    })
    .map(({ useOwned, administrator, rules, gold }): PolicyDocument => {
      const acr: PolicyDocument['acr'] = gold === undefined ? {} : { 'urn:unknown': gold };
      return { useOwned, acr, floors: { administrator }, rules };
    });

/** Everything about a request that a policy looks at, besides proofs and factors. */
export const circumstances = (): fc.Arbitrary<Pick<Facts, 'user' | 'client' | 'risk' | 'device' | 'grace' | 'skipped' | 'exception'>> =>
  fc.record({
    user: fc.option(
      fc.record({
        id: fc.constant('11111111-1111-4111-8111-111111111111'),
        username: fc.constantFrom('alice', 'erin'),
        roles: fc.uniqueArray(fc.constantFrom('staff', 'payroll:clerk')),
        groups: fc.uniqueArray(fc.constantFrom('/sales', '/it')),
        administrator: fc.constantFrom(false, false, false, true),
      }),
    ),
    client: fc.option(
      fc.record({
        clientId: fc.constantFrom('shop', 'payroll'),
        floor: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(...LEVELS) }),
      }),
    ),
    risk: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...RISKS), { maxLength: 2 }) }),
    device: fc.option(fc.record({ trustedAt: fc.constantFrom(0, MINUTE, HOUR, 20 * DAY, 40 * DAY).map((ago) => NOW - ago) })),
    grace: fc.record({ used: fc.nat(3) }),
    skipped: fc.boolean(),
    exception: fc.option(
      fc.record({
        id: fc.constant('22222222-2222-4222-8222-222222222222'),
        level: fc.constantFrom(...LEVELS),
        until: fc.constantFrom(NOW - 1, NOW, NOW + 1, NOW + DAY),
        reason: fc.constant('a new telephone is on its way'),
      }),
      { freq: 3 },
    ),
  });
