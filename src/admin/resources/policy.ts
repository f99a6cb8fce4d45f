/**
 * A realm's policy: read with its version, replaced by whoever has seen the newest one, and each change recorded with
 * its difference. A document that nobody could meet is not stored (policy/check.ts).
 */
import type { PolicyChange } from '../../audit/event.ts';
import { badInput, conflict } from '../../errors.ts';
import type { Factors } from '../../factors/index.ts';
import type { Level } from '../../policy/assurance.ts';
import { contradictionIn } from '../../policy/check.ts';
import { type Difference, differences } from '../../policy/difference.ts';
import { type PolicyDocument, policyDocument } from '../../policy/document.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { insertPolicy, type Policy, type PolicyRow, policyInForce, policyVersions } from '../../store/policies.ts';
import { lockRealm, type RealmRow, touchRealm } from '../../store/realms.ts';
import { audit, type Operator, validated } from './context.ts';

/** What these operations stand on: which factors a realm has decides what its rules may name. */
export type PolicyOperator = Operator & { factors: Factors };

/** A change that was looked at, and not made. */
export interface PlannedPolicy {
  before: Policy;
  document: PolicyDocument;
  changes: Difference[];
}

/** The policy in force. */
export const readPolicy = ({ db }: Pick<Operator, 'db'>, realm: RealmRow): Promise<Policy> => policyInForce(db.knex, realm.id);

/** The versions of a realm's policy, newest first, page by page. */
export async function* policyHistory({ db }: Pick<Operator, 'db'>, realm: RealmRow): AsyncGenerator<PolicyRow> {
  const limit = 50;
  for (let before: number | undefined; ; ) {
    const page = await policyVersions(db.knex, realm.id, { before, limit });
    yield* page;
    if (page.length < limit) return;
    before = page.at(-1)?.version;
  }
}

/**
 * What a document would change, without changing it.
 * @throws AppError 400 naming the field: the document is none, or rules in it contradict each other
 */
export async function planPolicy(operator: Pick<PolicyOperator, 'db' | 'factors'>, realm: RealmRow, input: unknown): Promise<PlannedPolicy> {
  const document = checkedPolicy(operator, realm, input);
  const before = await policyInForce(operator.db.knex, realm.id);
  return { before, document, changes: differences(before.document, document) };
}

/** A document that may be stored in this realm. */
export function checkedPolicy({ factors }: Pick<PolicyOperator, 'factors'>, realm: RealmRow, input: unknown): PolicyDocument {
  const document = validated(policyDocument, input);
  const found = contradictionIn(document, strongestIn(factors, realm.settings));
  if (found) throw badInput(found.field, found.message);
  return document;
}

/**
 * Replaces a realm's policy. A document that says the same is not stored again.
 *
 * @param options.expectedVersion the version that the change was made from; without it whatever is there is replaced
 * @throws AppError 400 naming the field, 409 when the policy in force has another version
 */
export async function changePolicy(
  operator: PolicyOperator,
  realm: RealmRow,
  input: unknown,
  options: { expectedVersion?: number | undefined } = {},
): Promise<Policy & { changes: Difference[] }> {
  const document = checkedPolicy(operator, realm, input);
  const { db, actor, now } = operator;
  return db.transaction(async (trx) => {
    await lockRealm(trx, realm.id);
    const before = await policyInForce(trx, realm.id);
    const { expectedVersion = before.version } = options;
    const changes = differences(before.document, document);
    const other = `The policy of realm "${realm.name}" is at version ${before.version}, not ${expectedVersion}. Look at what has changed, and try again.`;
    if (before.version !== expectedVersion) throw conflict(other, 'expectedVersion');
    if (changes.length === 0 && before.version > 0) return { ...before, changes };

    const version = before.version + 1;
    if (!(await insertPolicy(trx, { realmId: realm.id, version, document, actor, createdAt: now }))) throw conflict(other, 'expectedVersion');
    const told = policyDifferences(before.document, document);
    await audit(operator, { realmId: realm.id }, { type: 'policy.changed', details: { version, changes: told } }, trx);
    await touchRealm(trx, realm.id, now);
    await db.changes.announce(`realm:${realm.id}`, trx);
    return { version, document, changes };
  });
}

/** What is other between two policies, as it is recorded. */
export const policyDifferences = (before: PolicyDocument, after: PolicyDocument): PolicyChange[] =>
  differences(before, after).map(({ lowers: _, ...change }) => change);

/** The most that a factor can show beside a password, whichever credential of it. */
function strongestIn(factors: Factors, settings: RealmSettings): (factor: string) => Level | undefined {
  const own = factors.in(settings);
  return (id) => {
    const factor = own.get(id);
    if (factor?.role !== 'second') return undefined;
    if (factor.kinds.every((kind) => kind === 'knowledge')) return 'aal1';
    const level = factor.levelIn(settings);
    // Attested hardware shows more than others of its factor.
    return level === 'phr' ? 'phrh' : level;
  };
}
