/**
 * Whether the rules of a document can be met at all, which is asked before it is stored. Pure.
 *
 * Factors of rules that apply together are intersected, and an empty intersection lets nobody in. So is one from which no
 * factor reaches the level that those rules need. What can be told beforehand is told here; the rest fails closed when it
 * is met (decide.ts).
 *
 * Two rules can apply together unless they name different clients, users or actions: nobody is two users, and no request
 * comes from two clients. Anybody may come to have two roles or be in two groups, and several things may be unusual at once.
 */
import { LEVELS, type Level, reaches, strongest } from './assurance.ts';
import { ACTIONS, comparableName, type PolicyDocument, type PolicyRule } from './document.ts';
import { isRecovery } from './proofs.ts';

/** A reason why a document cannot be stored. */
export interface Contradiction {
  /** Where, such as `rules.2.need.factors`. */
  field: string;
  message: string;
}

/**
 * @param strongestOf the highest level that any credential of a factor can show beside a password in this realm; undefined for a factor that it does not have
 * @returns the first thing that is wrong, in the order of the rules; null when every request could be met by somebody
 */
export function contradictionIn({ rules }: PolicyDocument, strongestOf: (factor: string) => Level | undefined): Contradiction | null {
  for (const [index, { need }] of rules.entries()) {
    const unknown = need.factors?.find((id) => strongestOf(id) === undefined);
    if (unknown !== undefined) return { field: `rules.${index}.need.factors`, message: `There is no factor "${unknown}" in this realm.` };
  }
  // Rules that ask for neither take no part.
  const asking = rules.filter(({ need }) => need.factors !== undefined || (need.level !== undefined && need.level !== LEVELS[0]));
  if (!asking.some(({ need }) => need.factors !== undefined)) return null;
  for (const together of meetings(asking)) {
    const found = impossible(together, strongestOf);
    if (found) return { field: `rules.${rules.indexOf(found.rule)}.need.factors`, message: found.message };
  }
  return null;
}

/** What keeps rules that apply together from being met; undefined when nothing does. */
function impossible(
  together: readonly PolicyRule[],
  strongestOf: (factor: string) => Level | undefined,
): { rule: PolicyRule; message: string } | undefined {
  let left: string[] | undefined;
  const level = together.reduce<Level>((most, { need }) => strongest(most, need.level ?? 'aal1'), 'aal1');
  for (const rule of together) {
    const { factors } = rule.need;
    if (factors === undefined) continue;
    left = left === undefined ? factors : left.filter((id) => factors.includes(id));
    const others = namesOf(together.filter((other) => other !== rule && other.need.factors !== undefined));
    if (left.length === 0) return { rule, message: `Rules ${named(rule)} and ${others} can apply together, and no factor is in all their lists.` };
  }
  // What is for a lost factor is nothing to sign in with every day.
  if (left === undefined || left.some((id) => !isRecovery({ factor: id }) && reaches(strongestOf(id) ?? 'aal1', level))) return undefined;
  const rule = together.find(({ need }) => need.factors !== undefined);
  const demanding = namesOf(together.filter(({ need }) => need.level === level));
  return (
    rule && {
      rule,
      message: `No factor that ${named(rule)} leaves (${left.join(', ')}) reaches ${level}, which ${demanding} needs of the same people.`,
    }
  );
}

const named = ({ id }: PolicyRule): string => `"${id}"`;
const namesOf = (rules: readonly PolicyRule[]): string => rules.map(named).join(', ');

/** Sets of rules that can apply to one request, whoever makes it. */
function* meetings(rules: readonly PolicyRule[]): Generator<PolicyRule[]> {
  const clients = patterns(rules.map(({ when }) => when.client));
  const users = patterns(rules.map(({ when }) => when.user?.map(comparableName)));
  const actions = patterns(
    rules.map(({ when }) => when.action),
    ACTIONS,
  );
  const seen = new Set<string>();
  for (const ofClient of clients) {
    for (const ofUser of users) {
      for (const ofAction of actions) {
        const together = rules.filter((_rule, index) => ofClient[index] && ofUser[index] && ofAction[index]);
        const key = together.map(({ id }) => id).join(' ');
        if (seen.has(key)) continue;
        seen.add(key);
        yield together;
      }
    }
  }
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * For every value that the rules tell apart, and for any other, which rules it meets. Who is named by an id may be the one
 * who is named by a user name elsewhere.
 *
 * @param named what each rule names; undefined for a rule that does not ask
 * @param all every value that there is, where that is known
 */
function patterns(named: readonly (readonly string[] | undefined)[], all?: readonly string[]): boolean[][] {
  const sets = named.map(
    (names) => names && { names: new Set(names), ids: names.some((one) => ID.test(one)), others: names.some((one) => !ID.test(one)) },
  );
  const values: (string | undefined)[] = [...new Set(all ?? named.flatMap((names) => names ?? [])), undefined];
  const found = new Map<string, boolean[]>();
  for (const value of values) {
    const isId = value !== undefined && ID.test(value);
    const pattern = sets.map((set) => set === undefined || (value !== undefined && (set.names.has(value) || (isId ? set.others : set.ids))));
    found.set(pattern.map(Number).join(''), pattern);
  }
  return [...found.values()];
}
