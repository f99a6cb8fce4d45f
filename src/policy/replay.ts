/**
 * What a sign-in was decided from, kept with its audit row, and what another policy would have made of it. Pure.
 *
 * It is compact, since there is one a sign-in, and names nobody: the user and the application stand in the row's columns.
 * What is read back is validated; a row of a release that wrote it otherwise is passed over.
 */
import { z } from 'zod';
import { type Kind, LEVELS, type Proof } from './assurance.ts';
import { type Decision, decide } from './decide.ts';
import { type PolicyDocument, RISKS } from './document.ts';
import type { Facts, FactsUser, OwnedFactor } from './facts.ts';
import { isFirst, PASSWORD } from './proofs.ts';

const level = z.enum(LEVELS);
const kinds = z.array(z.enum(['knowledge', 'possession', 'inherence']));
const at = z.number();
const factor = z.object({ f: z.string(), l: level, k: kinds, off: z.literal(true).optional() });

export const recordedInputs = z.object({
  v: z.literal(1),
  /** The version of the policy that was in force. */
  policy: z.number().int(),
  /** When the sign-in began, and when it was decided. */
  began: at,
  at,
  proofs: z.array(z.object({ f: z.string(), l: level, k: kinds, at })),
  /** As the sign-in found them. */
  owned: z.array(factor),
  enrollable: z.array(factor),
  /** Of the roles that the policy named then. */
  roles: z.array(z.string()),
  groups: z.array(z.string()),
  administrator: z.literal(true).optional(),
  floor: level.optional(),
  acr: z.array(z.string()),
  essential: z.literal(true).optional(),
  freshSince: at.optional(),
  risk: z.array(z.enum(RISKS)),
  device: at.optional(),
  grace: z.number().optional(),
  exception: z.object({ l: level, until: at }).optional(),
});
export type RecordedInputs = z.infer<typeof recordedInputs>;

/** An application may ask for what it likes; of that, so much is kept. */
const MOST_ACR = 10;
const SHORT_NAME = /^[\x21-\x7e]{1,100}$/;

/**
 * @param facts of the decision that let somebody in
 * @param then the version of the policy, and what the user owned when the sign-in began
 */
export function inputsOf(facts: Facts, then: { version: number; owned: readonly OwnedFactor[] }): RecordedInputs {
  const { requested, user, client, device, exception, grace } = facts;
  return {
    v: 1,
    policy: then.version,
    began: facts.startedAt ?? facts.now,
    at: facts.now,
    proofs: facts.proofs.map((proof) => ({ f: proof.factor, l: proof.level, k: proof.kinds, at: proof.at })),
    owned: then.owned.map(shortened),
    enrollable: facts.enrollable.map(shortened),
    roles: [...(user?.roles ?? [])],
    groups: [...(user?.groups ?? [])],
    ...(user?.administrator ? { administrator: true } : {}),
    ...(client?.floor ? { floor: client.floor } : {}),
    acr: requested.acr.filter((value) => SHORT_NAME.test(value)).slice(0, MOST_ACR),
    ...(requested.essential ? { essential: true } : {}),
    ...(requested.freshSince === undefined ? {} : { freshSince: requested.freshSince }),
    risk: [...facts.risk],
    ...(device === null ? {} : { device: device.trustedAt }),
    ...(grace.used > 0 ? { grace: grace.used } : {}),
    ...(exception === null ? {} : { exception: { l: exception.level, until: exception.until } }),
  };
}

const shortened = ({ factor: f, level: l, kinds: k, disabled }: OwnedFactor) => ({ f, l, k: [...k], ...(disabled ? { off: true as const } : {}) });

/** What somebody was asked beyond the beginning of a sign-in. */
export type Asked = 'nothing' | 'factor' | 'enrol' | 'enrol-or-skip' | 'blocked';

/**
 * What a recorded sign-in asks under a policy: with what the session had brought and what it began with. Its times keep
 * their distances from `now`, so that a deadline of the policy is judged as of that. What the user or the application
 * wanted to set up besides is not the policy's doing, and left out.
 *
 * @param request.user roles and groups are those of then where it has none
 * @returns what would be asked first of all that is not yet shown, and the rules that decided
 */
export function replay(
  policy: PolicyDocument,
  recorded: RecordedInputs,
  request: { clientId: string | null; user: Pick<FactsUser, 'id' | 'username'> & Partial<Pick<FactsUser, 'roles' | 'groups'>>; now: number },
): { asked: Asked; decision: Decision } {
  const facts = factsOf(policy, recorded, request);
  let decision = decide(facts);
  if (decision.ask === 'password') {
    // What it began with would not count, or not any more.
    decision = decide({ ...facts, proofs: [...facts.proofs, passwordAt(facts.now)] });
    if (decision.ask === 'nothing') return { asked: 'factor', decision };
  }
  return { asked: askedBy(decision), decision };
}

function askedBy(decision: Decision): Asked {
  switch (decision.ask) {
    case 'nothing':
      return 'nothing';
    case 'enrol':
      return decision.skip === null ? 'enrol' : 'enrol-or-skip';
    case 'unmet':
      return 'blocked';
    default:
      return 'factor';
  }
}

function factsOf(policy: PolicyDocument, recorded: RecordedInputs, { clientId, user, now }: Parameters<typeof replay>[2]): Facts {
  const later = now - recorded.at;
  const { exception, floor, device, freshSince } = recorded;
  // The session's proofs, and of this sign-in what began it.
  const proofs = recorded.proofs.map(asProof).filter((proof) => proof.at < recorded.began || isFirst(proof));
  return {
    policy,
    now,
    startedAt: recorded.began + later,
    proofs: proofs.map((proof) => ({ ...proof, at: proof.at + later })),
    owned: recorded.owned.map(asOwned),
    enrollable: recorded.enrollable.map(asOwned),
    user: { roles: recorded.roles, groups: recorded.groups, administrator: recorded.administrator === true, ...user },
    client: clientId === null ? null : { clientId, floor: floor ?? null },
    requested: { acr: recorded.acr, essential: recorded.essential === true, ...(freshSince === undefined ? {} : { freshSince: freshSince + later }) },
    risk: recorded.risk,
    device: device === undefined ? null : { trustedAt: device + later },
    grace: { used: recorded.grace ?? 0 },
    skipped: false,
    exception: exception === undefined ? null : { id: '', level: exception.l, until: exception.until + later, reason: '' },
  };
}

const asProof = ({ f, l, k, at: then }: RecordedInputs['proofs'][number]): Proof => ({
  credentialId: f,
  factor: f,
  kinds: k satisfies Kind[],
  level: l,
  amr: [],
  at: then,
});

const asOwned = ({ f, l, k, off }: RecordedInputs['owned'][number]): OwnedFactor => ({
  factor: f,
  level: l,
  kinds: k,
  ...(off ? { disabled: true } : {}),
});

const passwordAt = (now: number): Proof => ({ credentialId: PASSWORD, factor: PASSWORD, kinds: ['knowledge'], level: 'aal1', amr: [], at: now });
