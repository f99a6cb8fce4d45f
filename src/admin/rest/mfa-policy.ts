/** The policy of a realm over REST: read with its version, replaced by whoever has seen the newest one, explained, and tried as a draft. */
import { z } from 'zod';
import { AppError, badInput } from '../../errors.ts';
import { translatorFor } from '../../languages/messages.ts';
import { LEVELS } from '../../policy/assurance.ts';
import type { Difference } from '../../policy/difference.ts';
import { type PolicyDocument, type PolicyRule, policyDocument, RISKS } from '../../policy/document.ts';
import { policyVersions } from '../../store/policies.ts';
import { changePolicy, planPolicy, readPolicy } from '../resources/policy.ts';
import { dryRunPolicy } from '../resources/policy-dry-run.ts';
import { explainPolicy, type Question } from '../resources/policy-explain.ts';
import { whyOf } from '../resources/policy-words.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { managesSomething, requireEverything } from './grantable.ts';
import { flag, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'Policy';
const path = '/realms/{realm}/mfa';
const VIEW = ['view-realm', 'manage-realm'] as const;
const VIEW_USERS = ['view-users', 'manage-users'] as const;

const level = z.enum(LEVELS);
const version = z.number().int().min(0);
const change = z.object({ at: z.string(), from: z.unknown().optional(), to: z.unknown().optional(), lowers: z.boolean() });

const etagOf = (of: number): Record<string, string> => ({ ETag: `"${of}"` });

const policy: readonly Operation[] = [
  inRealm({
    id: 'mfa.policy.read',
    method: 'GET',
    path: `${path}/policy`,
    tag,
    summary: 'The policy in force, and its version',
    roles: VIEW,
    status: 200,
    answer: z.object({ version, document: policyDocument }),
    async run({ operator, realm }) {
      const { version, document } = await readPolicy(operator, realm);
      return { body: { version, document }, headers: etagOf(version) };
    },
  }),
  inRealm({
    id: 'mfa.policy.update',
    method: 'PUT',
    path: `${path}/policy`,
    tag,
    summary: 'Replace the policy; the version is the one that the change was made from, in the body or in If-Match',
    roles: ['manage-realm'],
    status: 200,
    body: z.object({ version: version.optional(), document: z.record(z.string(), z.unknown()) }),
    answer: z.object({ version, document: policyDocument, changes: z.array(change) }),
    async run(call, { body }) {
      const { operator, realm } = call;
      const expectedVersion = versionOf(body.version, call.header('if-match'));
      const { before, changes } = await ofDocument(planPolicy(operator, realm, body.document));
      await requireMayLower(call, before.document, changes);
      // What was looked at is what is replaced: between the two nobody else may have changed it.
      const changed = await ofDocument(changePolicy(operator, realm, body.document, { expectedVersion }));
      return { body: { version: changed.version, document: changed.document, changes: changed.changes }, headers: etagOf(changed.version) };
    },
  }),
  inRealm({
    id: 'mfa.policy.history',
    method: 'GET',
    path: `${path}/policy/history`,
    tag,
    summary: 'Every version of the policy, the newest first',
    roles: VIEW,
    status: 200,
    query: { ...cursorPaging, max: z.coerce.number().int().min(1).max(200).default(20) },
    answer: z.object({
      versions: z.array(z.object({ version, actor: z.string(), createdAt: z.iso.datetime(), document: policyDocument })),
      next,
    }),
    async run({ operator, realm }, { query }) {
      const [before] = placeOf(z.tuple([version]), query.after) ?? [];
      const limit = query.max + 1;
      const found = await policyVersions(operator.db.knex, realm.id, before === undefined ? { limit } : { limit, before });
      const page = pageOf(found, query.max, (row) => cursorOf(row.version));
      return {
        body: {
          versions: page.rows.map((row) => ({
            version: row.version,
            actor: row.actor,
            createdAt: new Date(row.createdAt).toISOString(),
            document: row.document,
          })),
          next: page.next,
        },
      };
    },
  }),
];

/** @throws AppError 400 where neither names a version */
function versionOf(inBody: number | undefined, ifMatch: string): number {
  const [, tagged] = /^"(\d{1,9})"$/.exec(ifMatch) ?? [];
  if (ifMatch !== '' && tagged === undefined) throw badInput('If-Match', 'If-Match: must be an ETag as the policy was answered with');
  const named = inBody ?? (tagged === undefined ? undefined : Number(tagged));
  if (named === undefined) throw badInput('version', 'version: is missing. It is the one that the change was made from.');
  if (tagged !== undefined && Number(tagged) !== named) throw badInput('version', 'version: is another one than If-Match says');
  return named;
}

/** A field of the document, where it stands in the body. */
async function ofDocument<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AppError) || error.status !== 400) throw error;
    const field = error.field ? `document.${error.field}` : 'document';
    throw badInput(field, error.field === undefined || error.field === '' ? error.message : error.message.replace(error.field, () => field));
  }
}

/**
 * What protects those who manage the realm is lowered by nobody but whoever manages all of it: else the token of one of
 * them would be enough to make the next sign-in of another easier.
 */
async function requireMayLower(call: RealmCall, before: PolicyDocument, changes: readonly Difference[]): Promise<void> {
  const rules = new Map(before.rules.map((rule) => [rule.id, rule]));
  const protecting = changes.filter(({ at, lowers }) => {
    if (!lowers) return false;
    const [, id = ''] = /^rules\.([^.]+)/.exec(at) ?? [];
    const rule = rules.get(id);
    return at === 'floors.administrator' || (rule !== undefined && isAboutAdministrators(call, rule));
  });
  if (protecting.length === 0) return;
  await requireEverything(
    call,
    `Only whoever manages all of the realm asks less of those who manage it (${protecting.map(({ at }) => at).join(', ')})`,
  );
}

/** A rule that names them: by a role that manages something, or the caller by name. */
const isAboutAdministrators = ({ access: { caller } }: RealmCall, { when }: PolicyRule): boolean =>
  (when.role ?? []).some(managesSomething) || (when.user ?? []).includes(caller.userId);

const asked = {
  user: z.string().min(1).max(255),
  client: z.string().min(1).max(255).optional(),
  enrol: z.string().min(1).max(60).optional(),
};

const explained = z.object({
  user: z.object({ id: z.string(), username: z.string(), administrator: z.boolean() }),
  client: z.string().nullable(),
  version,
  need: z.object({
    level,
    secondFactor: z.boolean(),
    factors: z.array(z.string()).nullable(),
    maxAge: z.number().int().nullable(),
    remember: z.number().int(),
  }),
  rules: z.array(z.object({ id: z.string(), why: z.string() })),
  owned: z.array(z.object({ factor: z.string(), level, disabled: z.boolean() })),
  exception: z.object({ level, until: z.iso.datetime(), reason: z.string() }).nullable(),
  ways: z.array(z.object({ steps: z.array(z.record(z.string(), z.unknown())), outcome: z.record(z.string(), z.unknown()) })),
  complete: z.boolean(),
});

const english = translatorFor('en');

async function answered({ operator, realm }: RealmCall, question: Question): Promise<{ body: z.input<typeof explained> }> {
  const { reasons, exception, ways, ...rest } = await explainPolicy(operator, realm, question);
  const factors = operator.factors.in(realm.settings);
  return {
    body: {
      ...rest,
      ways: ways.map(({ steps, outcome }) => ({ steps: steps.map((step) => ({ ...step })), outcome: { ...outcome } })),
      rules: reasons.map((reason) => ({ id: reason.id, why: whyOf(reason, factors, english) })),
      exception: exception && { ...exception, until: new Date(exception.until).toISOString() },
    },
  };
}

const counts = { newlyAsked: z.number(), noLongerAsked: z.number(), newlyBlocked: z.number(), mustEnrol: z.number(), mayEnrol: z.number() };

const questions: readonly Operation[] = [
  inRealm({
    id: 'mfa.explain.read',
    method: 'GET',
    path: `${path}/explain`,
    tag,
    summary: 'What a user, by name, would be asked in a new browser, and why',
    roles: VIEW_USERS,
    status: 200,
    query: {
      ...asked,
      /** Between spaces, the preferred one first. */
      acr: z.string().max(5_000).optional(),
      essential: flag,
      maxAge: z.coerce.number().int().min(0).optional(),
      login: flag,
      risk: z.string().max(200).optional(),
      trustedAgo: z.coerce.number().int().min(0).optional(),
    },
    answer: explained,
    run: (call, { query: { acr, risk, ...rest } }) => answered(call, { ...rest, acr: wordsOf(acr), risk: wordsOf(risk) }),
  }),
  inRealm({
    id: 'mfa.explain',
    method: 'POST',
    path: `${path}/explain`,
    tag,
    summary: 'The same, and with a draft by that one instead of the policy in force',
    roles: VIEW_USERS,
    status: 200,
    body: z.object({
      ...asked,
      acr: z.array(z.string().min(1).max(255)).max(20).optional(),
      essential: z.boolean().optional(),
      maxAge: z.number().int().min(0).optional(),
      login: z.boolean().optional(),
      risk: z.array(z.enum(RISKS)).max(RISKS.length).optional(),
      trustedAgo: z.number().int().min(0).optional(),
      draft: z.record(z.string(), z.unknown()).optional(),
    }),
    answer: explained,
    run: (call, { body }) => answered(call, body),
  }),
  inRealm({
    id: 'mfa.dry-run',
    method: 'POST',
    path: `${path}/dry-run`,
    tag,
    summary: 'A draft, held against the sign-ins of the last days; users are named for whoever may see them',
    roles: VIEW,
    status: 200,
    body: z.object({
      draft: z.record(z.string(), z.unknown()),
      days: z.number().int().min(1).max(366).optional(),
      examples: z.number().int().min(0).max(50).optional(),
    }),
    answer: z.object({
      ...counts,
      days: z.number(),
      signIns: z.number(),
      passedOver: z.number(),
      askedThen: z.number(),
      askedNow: z.number(),
      rules: z.array(
        z.object({
          ...counts,
          id: z.string(),
          signIns: z.number(),
          examples: z.array(z.object({ id: z.string(), username: z.string().nullable() })),
        }),
      ),
    }),
    run: async ({ operator, realm, access }, { body }) => ({
      body: await dryRunPolicy(operator, realm, access.has(...VIEW_USERS) ? body : { ...body, examples: 0 }),
    }),
  }),
];

const wordsOf = (text = ''): string[] => text.split(/\s+/).filter(Boolean);

export const mfaPolicyOperations: readonly Operation[] = [...policy, ...questions];
