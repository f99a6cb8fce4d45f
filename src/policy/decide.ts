/**
 * What is still to ask, given what has been proved. Pure: no clock, no store, no request.
 *
 * The sign-in pages (login/machine.ts) and the provider's check before it issues anything call the same `decide`, so a
 * forged or early finish cannot pass and the two can never disagree. Only what is missing or stale is asked.
 *
 *     facts ─ needOf ─► need ─┬─ proofs meet it ──────────────► nothing   (acr, amr, auth_time of what counted)
 *                             ├─ no first factor ─────────────► password
 *                             ├─ an owned factor would do ────► factor
 *                             ├─ one to enrol would do ───────► enrol     (after the strongest owned one, moments ago)
 *                             └─ nothing would ───────────────► unmet
 */
import type { Level, Proof } from './assurance.ts';
import { reaches } from './assurance.ts';
import { byPassword, countsOnTop, isEnough, meets, needsMeanwhile } from './meeting.ts';
import type { Facts, Need, OwnedFactor, RuleName } from './policy.ts';
import { deviceStands, ENROL_FRESH_MS, graceOf, levelOfAcr, needBeforeChange, needBeforeEnrolment, needOf, ownedBy } from './policy.ts';
import { amrOf, countedProofs, isFirst, isForAdministrators, isPass, isRecovery, levelOf, PASSWORD } from './proofs.ts';

export type { Facts, FactsClient, FactsUser, OwnedFactor, RuleName } from './policy.ts';
export { amrOf, freshProofs, isFirst, levelOf, PASSWORD, RECOVERY_CODES } from './proofs.ts';

export type Decision =
  | {
      ask: 'nothing';
      /** The level that the counted proofs reach. */
      level: Level;
      /** What the token says: the first requested value that is satisfied, else the level's own name. */
      acr: string;
      amr: string[];
      /** When the oldest counted proof was made, in milliseconds. */
      authTime: number;
      counted: Proof[];
      rules: RuleName[];
      /** For how many seconds this device may be trusted from now on; 0: not at all. */
      remember: number;
      /** What has spared a question that was due: the level is lower than what was needed. */
      spared: 'grace' | 'device' | null;
    }
  | { ask: 'password'; rules: RuleName[] }
  /** Any one of these owned factors would do; whoever shows one may have the device trusted for `remember` seconds. */
  | { ask: 'factor'; factors: string[]; level: Level; remember: number; rules: RuleName[] }
  /** Any one of these may be enrolled and would do. */
  | { ask: 'enrol'; factors: string[]; level: Level; rules: RuleName[]; skip: Skip | null }
  /** The request cannot be met; `reason` is safe to show. */
  | { ask: 'unmet'; reason: string; rules: RuleName[] };

/** An enrolment that may be put off: until then, or as often; null where there is no such end. */
export interface Skip {
  until: number | null;
  loginsLeft: number | null;
}

/** Whether putting off an enrolment is one of the sign-ins that a rule's grace counts. */
export const isCounted = (skip: Skip): boolean => skip.until !== null || skip.loginsLeft !== null;

const NEVER = {
  denied: 'The policy of this realm does not let this account in here.',
  empty: 'The rules of this realm leave no sign-in method that could be used here.',
} as const;

/** What is to be asked next, or what the request may be granted. */
export function decide(facts: Facts): Decision {
  return facts.impersonatedAt === undefined ? asked(facts) : ofImpersonator(facts, facts.impersonatedAt);
}

/**
 * Somebody acts as the user. They get what needs the first level and nothing of any age, and are asked nothing: whatever
 * they could show would be theirs, or the user's in the wrong hands. Nothing was shown, so `amr` is empty.
 */
function ofImpersonator(facts: Facts, begunAt: number): Decision {
  const standIn: Proof = { credentialId: '', factor: PASSWORD, kinds: [], level: 'aal1', amr: [], at: begunAt };
  const decision = asked({ ...facts, proofs: [standIn], device: null, skipped: false });
  if (decision.ask === 'unmet') return decision;
  const isFirstOnly = decision.ask === 'nothing' && decision.level === 'aal1' && decision.spared === null && facts.action === undefined;
  if (isFirstOnly && needOf(facts).since === Number.NEGATIVE_INFINITY) return decision;
  return { ask: 'unmet', reason: 'This needs the user, and an administrator acts as the user here.', rules: decision.rules };
}

function asked(facts: Facts): Decision {
  const need = needOf(facts);
  const { rules } = need;
  if (need.never !== null) return { ask: 'unmet', reason: NEVER[need.never], rules };
  const { requested } = facts;
  if (requested.essential && requested.acr.length > 0 && !requested.acr.some((value) => levelOfAcr(facts.policy, value)))
    return { ask: 'unmet', reason: 'The application asked for an assurance level that is not known here.', rules: ['request.acr'] };

  const pass = newestPass(facts, need);
  if (pass === undefined) return settled(facts, need);
  const otherwise = settled({ ...facts, proofs: facts.proofs.filter((proof) => !isPass(proof)) }, need);
  return otherwise.ask === 'nothing' || otherwise.ask === 'password' ? otherwise : (afterPass(facts, need, pass) ?? otherwise);
}

function settled(facts: Facts, need: Need): Decision {
  const state = standing(facts, need);
  if ('ask' in state && state.ask === 'unmet') return state;
  // A wish that this realm cannot fulfil is no reason to refuse the sign-in: the caller reports it as not done.
  const wished = facts.action === 'enrol' ? facts.enrollable.filter(({ factor }) => facts.actionFactors?.includes(factor) ?? true) : [];
  if ('due' in state && (state.put === null || !facts.skipped)) return enrolment(facts, need, { offered: state.due, skip: state.put });
  const granted = 'due' in state ? state.anyway : state;
  // What allows the enrolment is asked first: it serves the sign-in too, and nobody is asked for one factor, then another.
  const gap = 'ask' in granted ? granted : null;
  if (wished.length > 0) return enrolment(facts, need, { offered: wished, skip: null, gap });
  // The change itself is a page behind the last proof: nothing is asked once it may be made.
  const first = facts.action === 'change' ? beforehand(facts, needBeforeChange(facts, need), gap) : null;
  if (first !== null) return first;
  return 'ask' in granted ? granted : answer(facts, need, granted);
}

type Question = Extract<Decision, { ask: 'password' | 'factor' | 'unmet' }>;

/** What a request may be granted: the proofs that count, and what has spared more. */
interface Grant {
  counted: readonly Proof[];
  spared: 'grace' | 'device' | null;
}

/** A new factor is due; `put` says whether that may be put off, and `anyway` what follows then. */
interface Due {
  due: readonly OwnedFactor[];
  put: Skip | null;
  anyway: Question | Grant;
}

/**
 * A pass opens the enrolment of something that is enough for this request, and nothing else: what the user had is lost, by
 * their word and an administrator's. The password has to be as fresh as for any other enrolment, counted from when the
 * pass was typed: to install an app takes its time, and nobody is given a second pass for that.
 *
 * @param typedAt when the pass was
 */
function afterPass(facts: Facts, need: Need, typedAt: number): Decision | undefined {
  const due = opened(facts);
  if (due.length === 0) return undefined;
  const since = Math.max(need.since, typedAt - ENROL_FRESH_MS);
  if (!facts.proofs.some((proof) => isFirst(proof) && proof.at >= since)) return { ask: 'password', rules: need.rules };
  const wished = due.filter((id) => facts.action === 'enrol' && facts.actionFactors?.includes(id));
  return { ask: 'enrol', factors: wished.length > 0 ? wished : due, level: need.level, rules: need.rules, skip: null };
}

/** When the newest pass was typed, of those that count. */
const newestPass = ({ proofs }: Facts, { since }: Need): number | undefined =>
  proofs.filter((proof) => isPass(proof) && proof.at >= since).reduce<number | undefined>((newest, { at }) => Math.max(newest ?? at, at), undefined);

/** What a pass lets this user set up: whatever is enough beside a password alone. */
const opened = (facts: Facts): string[] => idsOf(wouldDo(facts, needOf(facts), [byPassword]));

const tooWeak = ({ level, rules }: Need): Extract<Decision, { ask: 'unmet' }> => ({
  ask: 'unmet',
  reason: `No sign-in method that can be used here reaches ${level}.`,
  rules,
});

/** How the proofs stand to the need. */
function standing(facts: Facts, need: Need): Question | Grant | Due {
  const counted = countedFor(facts, need);
  const gap = missing(facts, need, counted);
  if (gap === null) return recovered(facts, need, { counted, spared: null });
  if (gap === 'unreachable') return unreachable(facts, need, counted);
  return (gap.ask === 'factor' ? spared(facts, need, counted) : null) ?? gap;
}

/** What a trusted device lets pass without the question; null where it does not. */
function spared(facts: Facts, need: Need, counted: readonly Proof[]): Grant | null {
  if (!deviceStands(facts, need)) return null;
  const others = counted.filter((proof) => !isRecovery(proof));
  return isEnough(needOf(facts, 'device'), others, facts.owned) ? { counted: others, spared: 'device' } : null;
}

/** Nothing that the user owns would do: something that would has to be enrolled, now or, where a rule gives time, later. */
function unreachable(facts: Facts, need: Need, counted: readonly Proof[]): Question | Due {
  const due = wouldDo(facts, need, counted);
  const refusal = tooWeak(need);
  const skip = graceOf(facts);
  if (due.length === 0) return refusal;
  if (skip === null) return { due, put: null, anyway: refusal };
  const relieved = needOf(facts, 'grace');
  const enough = countedFor(facts, relieved);
  const gap = missing(facts, relieved, enough);
  // Another rule, without a deadline, asks for more than there is.
  if (gap === 'unreachable') return { due, put: null, anyway: refusal };
  const more = gap ?? meanwhile(facts);
  if (more !== null) return { due, put: skip, anyway: more };
  const then = recovered(facts, relieved, { counted: enough, spared: 'grace' });
  return 'due' in then ? { due, put: then.put && skip, anyway: then.anyway } : { due, put: skip, anyway: then };
}

/** What somebody who puts an enrolment off is asked all the same, because they own it. */
function meanwhile(facts: Facts): Question | null {
  const gaps = needsMeanwhile(facts).map((need) => missing(facts, need, countedFor(facts, need)));
  return gaps.find((gap) => gap !== null && gap !== 'unreachable') ?? null;
}

/**
 * After a code for a lost factor a new one is due, unless the rest would have been enough or another factor was shown too.
 * Whoever still owns another factor may leave it for later.
 */
function recovered(facts: Facts, need: Need, grant: Grant): Grant | Due {
  const others = grant.counted.filter((proof) => !isRecovery(proof));
  if (others.length === grant.counted.length || isEnough(need, others, facts.owned)) return grant;
  const device = spared(facts, needOf(facts), others);
  if (device !== null) return device;
  // Whether or not it counts here: with one more it would be the same.
  const all = countedFor(facts, { ...need, factors: null });
  if (all.some((proof) => proof.factor !== PASSWORD && !isRecovery(proof))) return grant;
  const offered = facts.enrollable.filter((factor) => !isRecovery(factor));
  if (offered.length === 0) return grant;
  const enough = wouldDo(facts, need, others);
  const due = enough.length > 0 ? enough : offered;
  const owns = facts.owned.some((factor) => !isRecovery(factor) && factor.disabled !== true);
  if (owns) return { due, put: { until: null, loginsLeft: null }, anyway: grant };
  const skip = graceOf(facts);
  return { due, put: skip && isEnough(needOf(facts, 'grace'), others, facts.owned) ? skip : null, anyway: grant };
}

/** What lies between the proofs and the need: a question, `unreachable` with what is owned, or null for nothing. */
function missing(facts: Facts, need: Need, counted: readonly Proof[]): Question | 'unreachable' | null {
  if (!counted.some(isFirst)) return { ask: 'password', rules: need.rules };
  const owned = ownedBy(facts);
  if (meets(need, counted, owned)) return null;
  const would = owned.filter((factor) => factor.disabled !== true && countsOnTop(need, counted, factor, owned));
  const passes = facts.owned.filter((factor) => isPass(factor) && factor.disabled !== true);
  if (passes.length > 0 && opened(facts).length > 0) would.push(...passes);
  if (would.length === 0) return 'unreachable';
  return { ask: 'factor', factors: idsOf(would), level: need.level, remember: need.remember, rules: need.rules };
}

/**
 * A new factor is due: one of `offered`, once the strongest owned one has been shown moments ago, and `gap` is closed. A
 * code or a pass for a lost factor stands for what was lost.
 */
function enrolment(
  facts: Facts,
  need: Need,
  { offered, skip, gap = null }: { offered: readonly OwnedFactor[]; skip: Skip | null; gap?: Question | null },
): Decision {
  const before = needBeforeEnrolment(facts, need);
  return beforehand(facts, before, gap) ?? { ask: 'enrol', factors: idsOf(offered), level: need.level, rules: before.rules, skip };
}

/** What is still to be shown before something is bound or changed, and for the request besides (`gap`); null for nothing. */
function beforehand(facts: Facts, before: Need, gap: Question | null): Question | null {
  const first = missing(facts, before, countedFor(facts, before));
  if (first === 'unreachable') {
    // What is owned was switched off, or is of a kind that shows nothing. Nothing is bound.
    return { ask: 'unmet', reason: 'The sign-in methods of this account cannot be verified.', rules: before.rules };
  }
  if (first?.ask === 'factor' && gap?.ask === 'factor') {
    // One question for both, where there is one.
    const both = first.factors.filter((id) => gap.factors.includes(id));
    if (both.length > 0) return { ...first, factors: both };
  }
  return first ?? gap;
}

function answer(facts: Facts, need: Need, { counted, spared }: Grant): Decision {
  const level = levelOf(counted);
  const asked = facts.requested.acr.find((value) => {
    const wanted = levelOfAcr(facts.policy, value);
    return wanted !== undefined && reaches(level, wanted);
  });
  return {
    ask: 'nothing',
    level,
    acr: asked ?? level,
    amr: amrOf(counted),
    authTime: Math.min(...counted.map((proof) => proof.at)),
    counted: [...counted],
    rules: need.rules,
    remember: spared === null && counted.some((proof) => proof.factor !== PASSWORD) ? need.remember : 0,
    spared,
  };
}

/** The proofs that count for a need. */
function countedFor({ proofs, user }: Facts, need: Need): Proof[] {
  return countedProofs(user?.administrator ? proofs.filter(isForAdministrators) : proofs, need.since, need.factors);
}

/** What may be enrolled here and would do. */
const wouldDo = (facts: Facts, need: Need, counted: readonly Proof[]): OwnedFactor[] =>
  facts.enrollable.filter((factor) => !isRecovery(factor) && countsOnTop(need, counted, factor, [factor]));

function idsOf(factors: readonly OwnedFactor[]): string[] {
  return [...new Set(factors.map((factor) => factor.factor))];
}
