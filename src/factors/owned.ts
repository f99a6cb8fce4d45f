/** What the policy is told about a user's credentials and a realm's factors. */
import type { Level, Proof } from '../policy/assurance.ts';
import { strongest } from '../policy/assurance.ts';
import type { OwnedFactor } from '../policy/policy.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { Enroller, Factor } from './factor.ts';
import type { FactorMap, Factors } from './index.ts';

/**
 * The second factors among a user's credentials, one entry a factor. One that was switched off after too many failures is
 * still owned: whoever has the password must not get in by using up the codes.
 */
export function ownedFactors(
  factors: Factors,
  settings: RealmSettings,
  credentials: readonly { factor: string; enabled: boolean; level: Level | null }[],
): OwnedFactor[] {
  return secondFactors(factors.in(settings)).flatMap((factor) => {
    const held = credentials.filter((credential) => credential.factor === factor.id);
    if (held.length === 0) return factor.ownedByAll?.(settings) ? [shownBy(factor, settings)] : [];
    const usable = held.filter((credential) => credential.enabled);
    const level = usable.reduce<Level>((level, credential) => strongest(level, credential.level ?? level), factor.levelIn(settings));
    const owned = { ...shownBy(factor, settings), level };
    return [usable.length > 0 ? owned : { ...owned, disabled: true }];
  });
}

/** Proofs of credentials that are still there: a password that was reset and an app that was removed prove nothing any more. */
export function heldProofs(proofs: readonly Proof[], credentials: readonly { id: string }[]): Proof[] {
  const held = new Set(credentials.map((credential) => credential.id));
  return proofs.filter((proof) => held.has(proof.credentialId) || proof.credentialId === everybodys(proof.factor));
}

/** What stands for a credential in the proof of a factor that everybody in the realm has. */
export const everybodys = (factor: string): string => `all:${factor}`;

/**
 * The second factors that a realm lets this user enrol.
 * @param wanted ids that were asked for by name: an auxiliary factor, such as recovery codes, is only offered so
 */
export function enrollableFactors(factors: Factors, settings: RealmSettings, user: Enroller['user'], wanted: readonly string[] = []): OwnedFactor[] {
  const who: Enroller = { settings, user, channels: factors.channels(settings), origin: factors.origin };
  return secondFactors(factors.in(settings))
    .filter((factor) => factor.enrol !== undefined && factor.enrol.available?.(who) !== false)
    .filter((factor) => factor.auxiliary !== true || wanted.includes(factor.id))
    .map((factor) => ({ ...shownBy(factor, settings), level: factor.enrol?.levelIn?.(settings) ?? factor.levelIn(settings) }));
}

export const secondFactors = (factors: FactorMap): Factor[] => [...factors.values()].filter((factor) => factor.role === 'second');

const shownBy = (factor: Factor, settings: RealmSettings): OwnedFactor => ({
  factor: factor.id,
  level: factor.levelIn(settings),
  kinds: factor.kinds,
});
