/** "What will Alice be asked at this application, and why?": a user, an application and a request, held against the policy or a draft of one. */
import { z } from 'zod';
import { badInput, notFound } from '../../errors.ts';
import type { LEVELS } from '../../policy/assurance.ts';
import { RISKS } from '../../policy/document.ts';
import { type Explanation, explain } from '../../policy/explain.ts';
import { actionToEnrol, requestFacts } from '../../policy/request.ts';
import { clientFacts, factsOf, knownUser } from '../../sessions/facts.ts';
import { clientByClientId } from '../../store/clients.ts';
import { policyInForce } from '../../store/policies.ts';
import type { RealmRow } from '../../store/realms.ts';
import { validated } from './context.ts';
import { checkedPolicy, type PolicyOperator } from './policy.ts';
import { requireUser } from './users.ts';

const question = z.strictObject({
  user: z.string().min(1),
  /** client_id; without one no application asks. */
  client: z.string().min(1).optional(),
  /** What its request says. */
  acr: z.array(z.string().min(1).max(255)).max(20).default([]),
  essential: z.boolean().default(false),
  maxAge: z.number().int().min(0).optional(),
  /** `prompt=login`. */
  login: z.boolean().default(false),
  /** The factor that it asks to set up. */
  enrol: z.string().min(1).max(60).optional(),
  /** How the sign-in is unusual. */
  risk: z
    .array(z.string().pipe(z.enum(RISKS)))
    .max(RISKS.length)
    .default([]),
  /** Seconds ago that the browser was trusted; without it, it is not. */
  trustedAgo: z.number().int().min(0).optional(),
  /** A policy that is not stored, in the place of the one in force. */
  draft: z.unknown().optional(),
});
export type Question = z.input<typeof question>;

export interface Explained extends Explanation {
  user: { id: string; username: string; administrator: boolean };
  client: string | null;
  /** 0 for a draft. */
  version: number;
  /** Second factors that the user has. */
  owned: { factor: string; level: (typeof LEVELS)[number]; disabled: boolean }[];
  exception: { level: (typeof LEVELS)[number]; until: number; reason: string } | null;
}

/**
 * What somebody would be asked in a new browser, as of now.
 * @throws AppError 400 naming the field that is wrong, 404 for a user or a client that is not there
 */
export async function explainPolicy(operator: PolicyOperator, realm: RealmRow, input: Question): Promise<Explained> {
  const asked = validated(question, input);
  const { db, factors, now } = operator;
  const user = await requireUser(operator, realm, asked.user);
  if (user.serviceAccountOf !== null) throw badInput('user', `"${user.username}" is a service account, which never signs in.`);
  const row = asked.client === undefined ? undefined : await clientByClientId(db.knex, realm.id, asked.client);
  if (asked.client !== undefined && !row) throw notFound(`There is no client "${asked.client}" in realm "${realm.name}".`);

  const policy =
    asked.draft === undefined ? await policyInForce(db.knex, realm.id) : { version: 0, document: checkedPolicy(operator, realm, asked.draft) };
  const on = { realm, policy };
  const known = await knownUser(db.knex, on, { userId: user.id }, now);
  const { client, wishes } = row ? clientFacts(policy, row.clientId, row.attributes) : { client: null, wishes: [] };
  const request = requestFacts(
    {
      acr_values: asked.acr.join(' '),
      ...(asked.essential ? { claims: JSON.stringify({ id_token: { acr: { essential: true, values: asked.acr } } }) } : {}),
      ...(asked.maxAge === undefined ? {} : { max_age: asked.maxAge }),
      ...(asked.login ? { prompt: 'login' } : {}),
      ...(asked.enrol === undefined ? {} : { kc_action: actionToEnrol(asked.enrol) }),
    },
    now,
    wishes,
  );
  const device = asked.trustedAgo === undefined ? null : { trustedAt: now - asked.trustedAgo * 1000 };
  const facts = { ...factsOf(factors, on, known, { client, ...request }, { risk: asked.risk, device }), now, proofs: [] };
  const own = factors.in(realm.settings);
  return {
    ...explain(facts, (id) => own.get(id)?.amrIn(realm.settings) ?? []),
    user: { id: user.id, username: user.username, administrator: known.user?.administrator ?? false },
    client: client?.clientId ?? null,
    version: policy.version,
    owned: facts.owned.map(({ factor, level, disabled }) => ({ factor, level, disabled: disabled === true })),
    exception: known.exception && { level: known.exception.level, until: known.exception.until, reason: known.exception.reason },
  };
}
