/**
 * Keycloak's authentication flows as a projection of the policy: its clients read what this realm does in the words that
 * they know. What decides is the policy, which says more than flows can; nothing here is stored.
 */
import { createHash } from 'node:crypto';
import { AppError, notFound } from '../../errors.ts';
import { reaches } from '../../policy/assurance.ts';
import { nameOf, type PolicyDocument } from '../../policy/document.ts';
import { policyInForce } from '../../store/policies.ts';
import type { RealmRow } from '../../store/realms.ts';
import { BUILT_IN_FLOWS, type BuiltInFlow, type BuiltInStep, type Requirement } from './built-in-flows.ts';
import type { Operator } from './context.ts';

/** A step as it stands in this realm. */
export interface Execution {
  id: string;
  provider: string | undefined;
  name: string;
  description: string | undefined;
  requirement: Requirement;
  choices: readonly Requirement[];
  configurable: boolean;
  /** How deep it lies, and its place among its siblings. */
  level: number;
  index: number;
  /** The flow that it is in. */
  parent: { id: string; alias: string };
  /** The flow that it is. */
  flow: { id: string; alias: string } | undefined;
}

/** A flow, at the top or within another. */
export interface Flow {
  id: string;
  alias: string;
  description: string;
  provider: string;
  topLevel: boolean;
  /** In their order, with all that lie below. */
  executions: Execution[];
}

/** An id that is the same whenever it is asked for: a UUID of version 8 (RFC 9562 section 5.8) out of the realm's and a name. */
function derivedId(realmId: string, ...names: string[]): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([realmId, ...names]), 'utf8')
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(6) & 0x0f), 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const flowId = (realmId: string, alias: string): string => derivedId(realmId, 'flow', alias);

/** What the policy asks of everybody, in Keycloak's words: nobody, whoever has a factor, or all. */
function requirementOf(document: PolicyDocument): Requirement {
  const named = nameOf(document);
  if (named === 'off') return 'DISABLED';
  const ofAll = document.rules.some(({ when, need }) => Object.keys(when).length === 0 && need.level !== undefined && reaches(need.level, 'aal2'));
  if (ofAll) return 'REQUIRED';
  return document.useOwned || document.rules.length > 0 ? 'CONDITIONAL' : 'DISABLED';
}

/** Every flow of the realm: those at the top in Keycloak's order, each followed by those within. */
export async function flowsOf({ db }: Pick<Operator, 'db'>, realm: RealmRow): Promise<Flow[]> {
  const { document } = await policyInForce(db.knex, realm.id);
  const byPolicy = requirementOf(document);
  const requirement = (of: BuiltInStep['requirement']): Requirement => {
    if (of === 'by-policy') return byPolicy;
    if (typeof of === 'string') return of;
    return of.ifUsed.some((factor) => !realm.settings.disabledFactors.includes(factor)) ? 'ALTERNATIVE' : 'DISABLED';
  };
  return BUILT_IN_FLOWS.flatMap((flow) => projected(realm, flow, requirement));
}

function projected(realm: RealmRow, flow: BuiltInFlow, requirement: (of: BuiltInStep['requirement']) => Requirement): Flow[] {
  const inner: Flow[] = [];
  const walk = (steps: readonly BuiltInStep[], parent: { id: string; alias: string }, level: number): Execution[] =>
    steps.flatMap((step, index) => {
      const own = step.steps && { id: flowId(realm.id, step.name), alias: step.name };
      const below = own ? walk(step.steps ?? [], own, level + 1) : [];
      if (own) {
        const executions = below.map((one) => ({ ...one, level: one.level - level - 1 }));
        const provider = step.provider === undefined ? 'basic-flow' : 'form-flow';
        inner.push({ ...own, description: step.description ?? '', provider, topLevel: false, executions });
      }
      const { provider, name, description, choices, configurable = false } = step;
      const id = derivedId(realm.id, 'execution', parent.alias, name);
      return [
        { id, provider, name, description, requirement: requirement(step.requirement), choices, configurable, level, index, parent, flow: own },
        ...below,
      ];
    });
  const top = { id: flowId(realm.id, flow.alias), alias: flow.alias };
  const executions = walk(flow.steps, top, 0);
  return [{ ...top, description: flow.description, provider: flow.provider, topLevel: true, executions }, ...inner];
}

/** @throws AppError 404 when no flow has this alias, or this id */
export async function flowOf(operator: Pick<Operator, 'db'>, realm: RealmRow, named: { alias: string } | { id: string }): Promise<Flow> {
  const found = (await flowsOf(operator, realm)).find((flow) => ('id' in named ? flow.id === named.id : flow.alias === named.alias));
  if (!found) throw notFound('Could not find flow');
  return found;
}

/** @throws AppError 404 when there is no such step */
export async function executionOf(operator: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<Execution> {
  const found = (await flowsOf(operator, realm))
    .filter(({ topLevel }) => topLevel)
    .flatMap(({ executions }) => executions)
    .find((one) => one.id === id);
  if (!found) throw notFound('Illegal execution');
  return found;
}

/** 501: flows are shown and not changed. */
export const notByFlows = (realm: RealmRow): AppError =>
  new AppError({
    code: 'not_implemented',
    status: 501,
    message: `Flows show what the policy of the realm says, and cannot be changed. Who must prove what is said at /admin/realms/${realm.name}/mfa/policy.`,
  });
