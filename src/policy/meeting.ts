/** Whether proofs meet a need, those that are there and those that would be. Pure. */
import type { Proof } from './assurance.ts';
import { reaches } from './assurance.ts';
import type { PolicyRule } from './document.ts';
import type { Facts, Need, OwnedFactor } from './policy.ts';
import { hasGrace, matchingRules, needOf, ownedBy } from './policy.ts';
import { counts, isComplete, isFirst, isRecovery, levelOf, PASSWORD } from './proofs.ts';

/** The proof that a factor would give if it were verified now. */
function asIfProved(factor: OwnedFactor): Proof {
  return { credentialId: '', factor: factor.factor, kinds: [...factor.kinds], level: factor.level, amr: [], at: Number.POSITIVE_INFINITY };
}

/** A password that would be typed now. */
export const byPassword: Proof = asIfProved({ factor: PASSWORD, level: 'aal1', kinds: ['knowledge'] });

/** Whether a factor would meet the need beside the proofs that count. */
export const countsOnTop = (need: Need, counted: readonly Proof[], factor: OwnedFactor, owned: readonly OwnedFactor[]): boolean =>
  counts(factor.factor, need.factors) && meets(need, [...counted, asIfProved(factor)], owned);

/** Whether proofs are a sign-in that meets the need. */
export const isEnough = (need: Need, counted: readonly Proof[], owned: readonly OwnedFactor[]): boolean =>
  counted.some(isFirst) && meets(need, counted, owned);

/** Whether proofs meet the need. @param owned what counts as a second factor of this user's */
export function meets(need: Need, counted: readonly Proof[], owned: readonly OwnedFactor[]): boolean {
  if (need.recoverable === true && counted.some(isRecovery)) return true;
  if (!reaches(levelOf(counted), need.level)) return false;
  return !need.second || counted.some((proof) => isComplete(proof) || isRecovery(proof) || owned.some((factor) => factor.factor === proof.factor));
}

/**
 * What holds of the rules with a deadline while an enrolment is put off: it gives time to set something up, and spares nobody
 * what they can show already. Of each owned factor, the rules with a deadline that it is enough for hold like all others;
 * otherwise one more rule with a deadline would open what those keep closed.
 */
export function needsMeanwhile(facts: Facts): Need[] {
  const due = matchingRules(facts).filter(hasGrace);
  const relieved = needOf(facts, 'grace');
  const needWith = (kept: readonly PolicyRule[]): Need => {
    const rules = facts.policy.rules.filter((rule) => !hasGrace(rule) || kept.includes(rule));
    const { level, second, factors } = needOf({ ...facts, policy: { ...facts.policy, rules } });
    return { ...relieved, level, second, factors };
  };
  const usable = ownedBy(facts).filter(({ disabled }) => disabled !== true);
  return usable.map((factor) => needWith(due.filter((rule) => countsOnTop(needWith([rule]), [byPassword], factor, [factor]))));
}
