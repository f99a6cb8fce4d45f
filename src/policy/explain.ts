/**
 * Why somebody is asked what, and what a token would say: every way through a sign-in, walked with `decide` itself, so that
 * an explanation cannot differ from what happens. Pure.
 */
import { type Level, type Proof, reaches } from './assurance.ts';
import { type Decision, decide, isCounted } from './decide.ts';
import type { PolicyRule } from './document.ts';
import type { Facts, OwnedFactor, RuleName } from './facts.ts';
import { needOf, ownedBy, requestedLevel } from './policy.ts';
import { PASSWORD } from './proofs.ts';

/** What somebody does on their way; `skip` puts an enrolment off. */
export type Step = { do: 'prove'; factor: string } | { do: 'enrol'; factor: string } | { do: 'skip' };

/** Where a way leads: what the token would say, or why there is none. */
export type Outcome = { ok: true; acr: string; level: Level; amr: string[]; spared: 'grace' | 'device' | null } | { ok: false; reason: string };

export interface Way {
  steps: Step[];
  outcome: Outcome;
}

/** One reason of a decision: a rule as it is written down, or one of ours with what it says here. */
export type Reason =
  | { id: RuleName; rule: PolicyRule }
  | { id: RuleName; rule: null; level: Level | null; until: number | null; reason: string | null };

export interface Explanation {
  /** What the request needs in the end. */
  need: {
    level: Level;
    secondFactor: boolean;
    /** The only ones that count; null for all. */
    factors: string[] | null;
    /** In seconds; null where proofs count as long as they stand. */
    maxAge: number | null;
    /** For how many seconds the device may be trusted; 0 for not at all. */
    remember: number;
  };
  reasons: Reason[];
  /** Shortest first. */
  ways: Way[];
  /** False where there are more ways than were walked. */
  complete: boolean;
}

/** More are no explanation any more. */
const MOST_WAYS = 100;
/** A password, a factor, an enrolment, and room to spare. */
const MOST_STEPS = 6;

/**
 * @param facts of the request as it begins, with the proofs that the session brings
 * @param amr what a factor's proofs add to a token
 */
export function explain(facts: Facts, amr: (factor: string) => readonly string[]): Explanation {
  const need = needOf(facts);
  const walked = waysThrough(facts, amr);
  const enrols = walked.ways.some(({ steps }) => steps.some((step) => step.do === 'enrol'));
  const startedAt = facts.startedAt ?? facts.now;
  return {
    need: {
      level: need.level,
      secondFactor: need.second || need.level !== 'aal1',
      factors: need.factors === null ? null : [...need.factors].sort(),
      maxAge: Number.isFinite(need.since) ? Math.round((startedAt - need.since) / 1000) : null,
      remember: need.remember,
    },
    reasons: [...need.rules, ...(enrols ? ['enrol.recent'] : [])].map((id) => reasonOf(id, facts)),
    ...walked,
  };
}

function reasonOf(id: RuleName, facts: Facts): Reason {
  const rule = facts.policy.rules.find((one) => one.id === id);
  if (rule) return { id, rule };
  const { client, exception } = facts;
  const levels = new Map<RuleName, Level | null | undefined>([
    ['client.floor', client?.floor],
    ['administrator.floor', facts.policy.floors.administrator],
    ['request.acr', requestedLevel(facts)],
    ['user.exception', exception?.level],
  ]);
  const excepted = id === 'user.exception' ? exception : null;
  return { id, rule: null, level: levels.get(id) ?? null, until: excepted?.until ?? null, reason: excepted?.reason ?? null };
}

/** Every way through, up to a limit. */
function waysThrough(facts: Facts, amr: (factor: string) => readonly string[]): { ways: Way[]; complete: boolean } {
  const ways: Way[] = [];
  let open: { steps: Step[]; facts: Facts }[] = [{ steps: [], facts }];
  for (let length = 0; length <= MOST_STEPS && open.length > 0; length += 1) {
    const next: typeof open = [];
    for (const at of open) {
      const decision = decide(at.facts);
      const outcome = outcomeOf(decision);
      if (outcome) ways.push({ steps: at.steps, outcome });
      else next.push(...choices(decision, at.facts, amr).map((choice) => ({ steps: [...at.steps, choice.step], facts: choice.facts })));
    }
    open = next.slice(0, MOST_WAYS);
    if (next.length > MOST_WAYS || ways.length > MOST_WAYS) return { ways: ways.slice(0, MOST_WAYS), complete: false };
  }
  return { ways, complete: open.length === 0 };
}

function outcomeOf(decision: Decision): Outcome | undefined {
  if (decision.ask === 'unmet') return { ok: false, reason: decision.reason };
  if (decision.ask !== 'nothing') return undefined;
  const { acr, level, amr, spared } = decision;
  return { ok: true, acr, level, amr, spared };
}

interface Choice {
  step: Step;
  facts: Facts;
}

/** What somebody could do about a question, and what is known then. */
function choices(decision: Decision, facts: Facts, amr: (factor: string) => readonly string[]): Choice[] {
  const prove = (factor: OwnedFactor): Choice => ({
    step: { do: 'prove', factor: factor.factor },
    facts: { ...facts, proofs: [...facts.proofs, proofOf(factor, facts.now, amr)] },
  });
  switch (decision.ask) {
    case 'password': {
      // A passkey stands for the password and more.
      const complete = ownedBy(facts).filter(({ kinds, level, disabled }) => kinds.length >= 2 && reaches(level, 'aal2') && disabled !== true);
      return [{ factor: PASSWORD, level: 'aal1' as const, kinds: ['knowledge' as const] }, ...complete].map(prove);
    }
    case 'factor':
      return facts.owned.filter(({ factor }) => decision.factors.includes(factor)).map(prove);
    case 'enrol': {
      const enrolled = facts.enrollable.filter(({ factor }) => decision.factors.includes(factor)).map((factor) => enrol(factor, facts, amr));
      return decision.skip === null ? enrolled : [...enrolled, { step: { do: 'skip' }, facts: skipped(facts, isCounted(decision.skip)) }];
    }
    default:
      return [];
  }
}

function enrol(factor: OwnedFactor, facts: Facts, amr: (factor: string) => readonly string[]): Choice {
  const { action: _fulfilled, ...rest } = facts;
  const proofs = [...facts.proofs, proofOf(factor, facts.now, amr)];
  return { step: { do: 'enrol', factor: factor.factor }, facts: { ...rest, proofs, owned: [...facts.owned, factor] } };
}

function skipped(facts: Facts, counted: boolean): Facts {
  const { action: _cancelled, ...rest } = facts;
  return { ...rest, skipped: true, grace: { used: facts.grace.used + Number(counted) } };
}

const proofOf = ({ factor, level, kinds }: OwnedFactor, at: number, amr: (factor: string) => readonly string[]): Proof => ({
  credentialId: `shown-${factor}`,
  factor,
  kinds: [...kinds],
  level,
  amr: [...amr(factor)],
  at,
});
