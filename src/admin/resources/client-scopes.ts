/** Client scopes: bundles of claims and roles that clients have by default, or may ask for. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import { CLAIM_PROTOCOL } from '../../realms/mappers/defaults.ts';
import {
  assignScope,
  clientScopeById,
  clientScopeByName,
  deleteClientScope,
  touchClient,
  unassignScope,
  updateClientScope,
} from '../../store/client-scopes.ts';
import { type ClientScopeRow, insertClientScopes } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { insertProtocolMappers } from '../../store/protocol-mappers.ts';
import { lockRealm, type RealmRow, touchRealm } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { audit, type Operator, validated } from './context.ts';
import { mapperRows, newMappers } from './protocol-mappers.ts';

type Asking = Pick<Operator, 'db'>;

/** RFC 6749 section 3.3: what a scope's name may be made of. */
const nameInput = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters without spaces, quotation marks and backslashes')
  .refine((name) => name !== 'openid', 'openid is every realm’s already');

const attributesInput = z
  .record(z.string().min(1).max(255), z.string().max(4_000))
  .refine((attributes) => Object.keys(attributes).length <= 100, 'must not be more than 100');

const fields = {
  name: nameInput,
  description: z.string().trim().max(1_000).nullable(),
  protocol: z.enum([CLAIM_PROTOCOL, 'saml']),
  attributes: attributesInput,
};

const newScope = z.object({
  name: fields.name,
  description: fields.description.default(null),
  protocol: fields.protocol.default(CLAIM_PROTOCOL),
  attributes: fields.attributes.default({}),
  mappers: newMappers.default([]),
});
export type NewClientScope = z.input<typeof newScope>;

const changedScope = z.object(fields).partial();

export type Assignment = 'default' | 'optional';

/** The client scope of that id, or a 404. */
export async function requireClientScope({ db }: Asking, realm: RealmRow, id: string): Promise<ClientScopeRow> {
  const scope = await clientScopeById(db.knex, realm.id, id);
  if (!scope) throw notFound('Could not find client scope');
  return scope;
}

/** The client scope of that name, or a 404. */
export async function requireClientScopeNamed({ db }: Asking, realm: RealmRow, name: string): Promise<ClientScopeRow> {
  const scope = await clientScopeByName(db.knex, realm.id, name);
  if (!scope) throw notFound(`There is no client scope "${name}" in realm "${realm.name}".`);
  return scope;
}

/** Makes a client scope with its mappers; clients have to be given it. 409 for a name that is taken. */
export async function createClientScope(operator: Operator, realm: RealmRow, input: NewClientScope): Promise<ClientScopeRow> {
  const { mappers, ...asked } = validated(newScope, input);
  const scope: ClientScopeRow = { ...asked, realmId: realm.id, id: randomUUID(), realmAssignment: 'none', createdAt: operator.now };
  const rows = mapperRows(realm, { scope: scope.id }, mappers);
  await changing(operator, realm, scope.name, async (trx) => {
    await insertClientScopes(trx, [scope]);
    await insertProtocolMappers(trx, rows);
    await audit(operator, { realmId: realm.id }, { type: 'client-scope.created', details: { name: scope.name } }, trx);
  });
  return scope;
}

/** Changes what is named, and leaves the rest. */
export async function changeClientScope(
  operator: Operator,
  realm: RealmRow,
  scope: ClientScopeRow,
  input: z.input<typeof changedScope>,
): Promise<void> {
  const asked = validated(changedScope, input);
  const after: ClientScopeRow = {
    ...scope,
    name: asked.name ?? scope.name,
    description: asked.description === undefined ? scope.description : asked.description,
    protocol: asked.protocol ?? scope.protocol,
    attributes: asked.attributes ?? scope.attributes,
  };
  const changed = (['name', 'description', 'protocol', 'attributes'] as const).filter(
    (field) => JSON.stringify(after[field]) !== JSON.stringify(scope[field]),
  );
  if (changed.length === 0) return;
  await changing(operator, realm, after.name, async (trx) => {
    if (!(await updateClientScope(trx, after))) throw notFound('Could not find client scope');
    await audit(operator, { realmId: realm.id }, { type: 'client-scope.updated', details: { name: scope.name, fields: [...changed] } }, trx);
  });
}

/** Deletes a client scope; clients that had it have it no more. */
export async function removeClientScope(operator: Operator, realm: RealmRow, scope: ClientScopeRow): Promise<void> {
  await changing(operator, realm, scope.name, async (trx) => {
    if (!(await deleteClientScope(trx, realm.id, scope.id))) throw notFound('Could not find client scope');
    await audit(operator, { realmId: realm.id }, { type: 'client-scope.deleted', details: { name: scope.name } }, trx);
  });
}

/** Says how new clients of the realm have the scope: by default, if they ask for it, or not. Those that are there keep theirs. */
export async function assignToNewClients(operator: Operator, realm: RealmRow, id: string, to: Assignment): Promise<void> {
  await reassign(operator, realm, id, (before) => (before === to ? undefined : to));
}

/** Takes that back, where it is so. */
export async function withholdFromNewClients(operator: Operator, realm: RealmRow, id: string, from: Assignment): Promise<void> {
  await reassign(operator, realm, id, (before) => (before === from ? 'none' : undefined));
}

async function reassign(
  operator: Operator,
  realm: RealmRow,
  id: string,
  next: (before: ClientScopeRow['realmAssignment']) => ClientScopeRow['realmAssignment'] | undefined,
): Promise<void> {
  await changing(operator, realm, '', async (trx) => {
    // What others have changed meanwhile stays.
    await lockRealm(trx, realm.id);
    const scope = await clientScopeById(trx, realm.id, id);
    if (!scope) throw notFound('Client scope not found');
    const before = scope.realmAssignment;
    const after = next(before);
    if (after === undefined) return;
    await updateClientScope(trx, { ...scope, realmAssignment: after });
    const type = after === 'none' ? 'client-scope.unassigned' : 'client-scope.assigned';
    const as = after !== 'none' ? after : before === 'optional' ? 'optional' : 'default';
    await audit(operator, { realmId: realm.id }, { type, details: { name: scope.name, client: null, as } }, trx);
  });
}

type Client = { id: string; clientId: string };

/** Gives a client a scope, by default or to ask for; one that it has in the other way changes. */
export async function giveScope(operator: Operator, realm: RealmRow, client: Client, scope: ClientScopeRow, as: Assignment): Promise<void> {
  if (scope.protocol !== CLAIM_PROTOCOL) throw badInput('clientScopeId', `Client scope "${scope.name}" is for applications of ${scope.protocol}.`);
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    await assignScope(trx, realm.id, client.id, scope.id, as === 'default');
    await noteAssignment(operator, realm, client, { scope, as, type: 'client-scope.assigned' }, trx);
    await touchClient(trx, realm.id, client.id, now);
    await db.changes.announce(`client:${realm.id}`, trx);
  });
}

/** Takes a scope from a client; one that it has not, or not in that way, is passed over. */
export async function takeScope(operator: Operator, realm: RealmRow, client: Client, scope: ClientScopeRow, as: Assignment): Promise<void> {
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    if (!(await unassignScope(trx, realm.id, client.id, scope.id, as === 'default'))) return;
    await noteAssignment(operator, realm, client, { scope, as, type: 'client-scope.unassigned' }, trx);
    await touchClient(trx, realm.id, client.id, now);
    await db.changes.announce(`client:${realm.id}`, trx);
  });
}

const noteAssignment = (
  operator: Operator,
  realm: RealmRow,
  { clientId }: Client,
  { scope, as, type }: { scope: ClientScopeRow; as: Assignment; type: 'client-scope.assigned' | 'client-scope.unassigned' },
  trx: Transaction,
): Promise<void> => audit(operator, { realmId: realm.id, clientId }, { type, details: { name: scope.name, client: clientId, as } }, trx);

/** A change of what the realm's context is built from. */
async function changing(operator: Operator, realm: RealmRow, name: string, work: (trx: Transaction) => Promise<void>): Promise<void> {
  const { db, now } = operator;
  try {
    await db.transaction(async (trx) => {
      await work(trx);
      await touchRealm(trx, realm.id, now);
      await db.changes.announce(`realm:${realm.id}`, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`Client Scope ${name} already exists`, 'name');
    throw error;
  }
}
