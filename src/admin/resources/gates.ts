/**
 * Gates: hosts that know nothing of OpenID Connect and ask us about every request (src/gate). Each comes with a client of
 * its own, by which policies, sessions and the audit know it.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import { type GateRuleInput, gateRules } from '../../policy/gate-document.ts';
import { FOR_ADMINISTRATION } from '../../store/clients.ts';
import { type GateRow, gateById, gateByOrigin, insertGate, listGates, replaceGate } from '../../store/gates.ts';
import type { RealmRow } from '../../store/realms.ts';
import { removeClient } from './client-changes.ts';
import { clientIdInput } from './client-input.ts';
import { createClient } from './clients.ts';
import { audit, type Operator, plainText, validated } from './context.ts';

/** Ten years, in seconds: longer is no limit but a mistake. */
const MAX_SECONDS = 10 * 365 * 86_400;

const changeable = z
  .object({
    /** The first that fits a path holds; what none names is for whoever is signed in. */
    rules: gateRules,
    /** Roles that the site is told of besides those that the rules name: realm roles, `client:role` for a client's. */
    roles: z.array(z.string().trim().min(1).max(255)).max(100),
    /** Seconds without a request after which the session at this host ends; null for as long as the provider's session. */
    idle: z.number().int().min(60).max(MAX_SECONDS).nullable(),
    /** Seconds after the sign-in when it ends at the latest; null for as long as the provider's session. */
    lifespan: z.number().int().min(60).max(MAX_SECONDS).nullable(),
  })
  .partial();

const newGate = changeable.extend({
  /** Such as `https://wiki.example.com`. */
  origin: z.string().min(1).max(300),
  /** Of its client; `gate-wiki.example.com` without. */
  clientId: clientIdInput.optional(),
  /** What its users read when they sign in. */
  name: plainText(255).optional(),
});

export type NewGate = Omit<z.input<typeof newGate>, 'rules'> & { rules?: GateRuleInput[] | undefined };
export type GateChanges = Omit<z.input<typeof changeable>, 'rules'> & { rules?: GateRuleInput[] | undefined };

/** What a gate's addresses end in, on the host that it protects. */
const CALLBACK = '/.cardea/callback';

/**
 * Makes a gate and its client.
 * @param ourOrigin Cardea's own: a gate there would set its cookies among ours
 * @throws AppError 400 naming the field, 409 for a host or a client_id that is taken
 */
export async function createGate(operator: Operator, realm: RealmRow, ourOrigin: string, input: NewGate): Promise<GateRow> {
  const asked = validated(newGate, input);
  const origin = originOf(asked.origin, ourOrigin);
  if (await gateByOrigin(operator.db.knex, realm.id, origin)) throw taken(origin, realm);
  const clientId = asked.clientId ?? `gate-${new URL(origin).host.replace(/[[\]]/g, '').replaceAll(':', '-')}`;
  const { rules = [], roles = [], idle = null, lifespan = null, name } = asked;
  const { now } = operator;
  const made = { realmId: realm.id, id: randomUUID(), clientId, origin, rules, roles, idle, lifespan, createdAt: now, updatedAt: now };
  const gateOf = (clientRowId: string): GateRow => ({ ...made, clientRowId });
  const { client } = await createClient(operator, realm, { ...ofGate(origin), clientId, name: name ?? new URL(origin).host }, async (trx, { id }) => {
    await insertGate(trx, gateOf(id));
    await audit(operator, { realmId: realm.id, clientId }, { type: 'gate.created', details: { gate: made.id, origin } }, trx);
  });
  return gateOf(client.id);
}

/** Its tokens are for nobody but the gate: they say no roles and let nobody manage anything. */
const ofGate = (origin: string) => ({
  publicClient: true,
  firstParty: true,
  fullScope: false,
  redirectUris: [`${origin}${CALLBACK}`],
  postLogoutRedirectUris: [`${origin}/`],
  baseUrl: `${origin}/`,
  attributes: { [FOR_ADMINISTRATION]: 'false' },
});

/** The gate of that id, or a 404. */
export async function requireGate({ db }: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<GateRow> {
  const gate = await gateById(db.knex, realm.id, id);
  if (!gate) throw notFound('Gate not found');
  return gate;
}

/** The gate of that host, by its origin or its id, or a 404. */
export async function requireGateNamed({ db }: Pick<Operator, 'db'>, realm: RealmRow, name: string): Promise<GateRow> {
  const origin = URL.parse(name)?.origin;
  const gate = origin === undefined ? await gateById(db.knex, realm.id, name) : await gateByOrigin(db.knex, realm.id, origin);
  if (!gate) throw notFound(`There is no gate "${name}" in realm "${realm.name}".`);
  return gate;
}

/** The gates of a realm by origin, page by page. */
export async function* allGates({ db }: Pick<Operator, 'db'>, realm: RealmRow): AsyncGenerator<GateRow> {
  const limit = 100;
  for (let after: string | undefined; ; ) {
    const page = await listGates(db.knex, realm.id, { after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.origin;
  }
}

/**
 * Changes what is given; the rest stays. It holds from the next request on.
 * @throws AppError 400 naming the field, 404, 409 when somebody else was faster
 */
export async function changeGate(operator: Operator, realm: RealmRow, id: string, input: GateChanges): Promise<GateRow> {
  const asked = validated(changeable, input);
  const before = await requireGate(operator, realm, id);
  const { rules = before.rules, roles = before.roles, idle = before.idle, lifespan = before.lifespan } = asked;
  const after: GateRow = { ...before, rules, roles, idle, lifespan, updatedAt: Math.max(operator.now, before.updatedAt + 1) };
  const fields = FIELDS.filter((field) => !isDeepStrictEqual(before[field], after[field]));
  if (fields.length === 0) return before;
  await operator.db.transaction(async (trx) => {
    if (!(await replaceGate(trx, before, after))) throw conflict('Somebody else has changed this gate in this moment. Look at it, and try again.');
    const about = { realmId: realm.id, clientId: before.clientId };
    await audit(operator, about, { type: 'gate.updated', details: { gate: id, origin: before.origin, fields } }, trx);
  });
  return after;
}

const FIELDS = ['rules', 'roles', 'idle', 'lifespan'] as const;

/** Deletes a gate with its client and whoever is signed in there. From then on nobody gets in: the host is asked about in vain. */
export async function removeGate(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  const { origin, clientId, clientRowId } = await requireGate(operator, realm, id);
  await removeClient(operator, realm, clientRowId, (trx) =>
    audit(operator, { realmId: realm.id, clientId }, { type: 'gate.deleted', details: { gate: id, origin } }, trx),
  );
}

function originOf(text: string, ourOrigin: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/` || url.hostname === '' || url.hostname.includes('*'))
    throw badInput('origin', 'origin: must be a scheme and a host, such as https://wiki.example.com');
  if (url.origin === ourOrigin) throw badInput('origin', 'origin: is our own; a gate protects another host');
  return url.origin;
}

const taken = (origin: string, realm: RealmRow) => conflict(`There is a gate for ${origin} in realm "${realm.name}" already.`, 'origin');
