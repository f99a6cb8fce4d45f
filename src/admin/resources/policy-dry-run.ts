/**
 * A draft of a policy, held against the sign-ins of the last days: who would be asked more, who less, who could not get in
 * any more, and which rules do that.
 *
 * Each recorded sign-in is replayed twice, under the policy of then and under the draft (policy/replay.ts); roles and groups
 * are those of today, since the draft is for tomorrow. It is read page by page: what is kept is counts and a few examples.
 */
import { z } from 'zod';
import { type PolicyDocument, rolesNamed } from '../../policy/document.ts';
import { type Asked, type RecordedInputs, recordedInputs, replay } from '../../policy/replay.ts';
import { auditEvents, type ListedRow } from '../../store/audit.ts';
import { type Memberships, membershipsOf } from '../../store/memberships.ts';
import { type Policy, policyOfVersion } from '../../store/policies.ts';
import type { RealmRow } from '../../store/realms.ts';
import { validated } from './context.ts';
import { checkedPolicy, type PolicyOperator } from './policy.ts';

const request = z.strictObject({
  draft: z.unknown(),
  days: z.number().int().min(1).max(366).default(30),
  /** How many users are named for each rule. */
  examples: z.number().int().min(0).max(50).default(5),
});
export type DryRunRequest = z.input<typeof request>;

/** Sign-ins, counted by what becomes of them. */
export interface Counts {
  /** Not asked for anything then, and asked now. */
  newlyAsked: number;
  noLongerAsked: number;
  /** Got in then, and would not now. */
  newlyBlocked: number;
  /** Would have to set something up before they get in, and had not to then. */
  mustEnrol: number;
  /** Would be offered to, and could put it off. */
  mayEnrol: number;
}

export interface RuleCounts extends Counts {
  id: string;
  /** Sign-ins in whose decision the rule took part. */
  signIns: number;
  /** Of whom it asks more than before. */
  examples: { id: string; username: string | null }[];
}

export interface DryRun extends Counts {
  days: number;
  signIns: number;
  /** Recorded by a release that did not keep what a replay needs. */
  passedOver: number;
  askedThen: number;
  askedNow: number;
  /** Those that took part, by how much they change. */
  rules: RuleCounts[];
}

const PAGE = 200;
const DAY_MS = 86_400_000;
const NOTHING: Counts = { newlyAsked: 0, noLongerAsked: 0, newlyBlocked: 0, mustEnrol: 0, mayEnrol: 0 };

/** @throws AppError 400 naming the field: the draft is no policy that could be stored */
export async function dryRunPolicy(operator: PolicyOperator, realm: RealmRow, input: DryRunRequest): Promise<DryRun> {
  const { draft, days, examples } = validated(request, input);
  const document = checkedPolicy(operator, realm, draft);
  const policies = policiesOfThen(operator, realm);
  const total: DryRun = { ...NOTHING, days, signIns: 0, passedOver: 0, askedThen: 0, askedNow: 0, rules: [] };
  const rules = new Map<string, RuleCounts>();
  for await (const page of recordedSignIns(operator, realm, days)) {
    const read = page.map((row) => ({ row, inputs: inputsIn(row) }));
    const subjects = [...new Set(page.flatMap((row) => row.subject ?? []))];
    const now = await membershipsOf(operator.db.knex, realm.id, subjects, rolesNamed(document));
    for (const { row, inputs } of read) {
      if (!inputs || row.subject === null) {
        total.passedOver += 1;
        continue;
      }
      const signIn = { row, inputs, user: { id: row.subject, username: '', ...now.get(row.subject) }, at: operator.now };
      const change = changeOf(signIn, await policies(inputs.policy), document);
      count(total, change);
      for (const id of change.rules) {
        const rule = rules.get(id) ?? { ...NOTHING, id, signIns: 0, examples: [] };
        rules.set(id, rule);
        add(rule, change);
        rule.signIns += 1;
        if (change.asksMore && rule.examples.length < examples && !rule.examples.some((one) => one.id === row.subject))
          rule.examples.push({ id: row.subject, username: now.get(row.subject)?.username ?? null });
      }
    }
  }
  const weight = (rule: RuleCounts): number => rule.newlyBlocked + rule.mustEnrol + rule.mayEnrol + rule.newlyAsked + rule.noLongerAsked;
  total.rules = [...rules.values()].sort((a, b) => weight(b) - weight(a) || (a.id < b.id ? -1 : 1));
  return total;
}

interface Change {
  then: Asked;
  now: Asked;
  asksMore: boolean;
  /** Of the draft. */
  rules: string[];
}

interface SignIn {
  row: ListedRow;
  inputs: RecordedInputs;
  /** As they are today; somebody who is gone has no name, and the roles of then. */
  user: { id: string; username: string } & Partial<Memberships>;
  at: number;
}

function changeOf({ row, inputs, user, at }: SignIn, policy: PolicyDocument, draft: PolicyDocument): Change {
  const { id, username } = user;
  // Judged as of then, with what was known of the user then.
  const { asked: then } = replay(policy, inputs, { clientId: row.clientId, user: { id, username }, now: inputs.at });
  const { asked: now, decision } = replay(draft, inputs, { clientId: row.clientId, user, now: at });
  // What follows from an enrolment that is due is no reason for it.
  return { then, now, asksMore: WEIGHT[now] > WEIGHT[then], rules: decision.rules.filter((id) => id !== 'enrol.recent') };
}

const WEIGHT: Readonly<Record<Asked, number>> = { nothing: 0, factor: 1, 'enrol-or-skip': 2, enrol: 3, blocked: 4 };

function count(total: DryRun, change: Change): void {
  total.signIns += 1;
  total.askedThen += Number(change.then !== 'nothing');
  total.askedNow += Number(change.now !== 'nothing');
  add(total, change);
}

function add(counts: Counts, { then, now }: Change): void {
  counts.newlyAsked += Number(then === 'nothing' && now !== 'nothing');
  counts.noLongerAsked += Number(then !== 'nothing' && now === 'nothing');
  counts.newlyBlocked += Number(then !== 'blocked' && now === 'blocked');
  counts.mustEnrol += Number(then !== 'enrol' && now === 'enrol');
  counts.mayEnrol += Number(then !== 'enrol-or-skip' && now === 'enrol-or-skip');
}

async function* recordedSignIns({ db, now }: PolicyOperator, realm: RealmRow, days: number): AsyncGenerator<ListedRow[]> {
  const page = { type: 'login.ok', since: now - days * DAY_MS, until: now + 1, oldestFirst: true, limit: PAGE };
  for (let after: { at: number; id: string } | undefined; ; ) {
    const rows = await auditEvents(db.knex, realm.id, { ...page, after });
    if (rows.length > 0) yield rows;
    if (rows.length < PAGE) return;
    after = rows.at(-1);
  }
}

/** Undefined for a row that was written otherwise. */
function inputsIn({ details }: ListedRow): RecordedInputs | undefined {
  const parsed: unknown = JSON.parse(details);
  const inputs = typeof parsed === 'object' && parsed !== null && 'inputs' in parsed ? parsed.inputs : undefined;
  return recordedInputs.safeParse(inputs).data;
}

/** The policies that were in force, each read once. */
function policiesOfThen({ db }: PolicyOperator, realm: RealmRow): (version: number) => Promise<PolicyDocument> {
  const read = new Map<number, Promise<Policy>>();
  return async (version) => {
    const policy = read.get(version) ?? policyOfVersion(db.knex, realm.id, version);
    read.set(version, policy);
    return (await policy).document;
  };
}
