/** Protocol mappers of clients and client scopes: what tokens say. Types and what their configs hold: realms/mappers. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { NamedParent } from '../../audit/event.ts';
import { badInput, conflict, notFound } from '../../errors.ts';
import { CLAIM_PROTOCOL } from '../../realms/mappers/defaults.ts';
import type { Config } from '../../realms/mappers/mapper.ts';
import { roleNamed } from '../../realms/mappers/roles.ts';
import { configProblem, mapperType } from '../../realms/mappers/types.ts';
import { touchClient } from '../../store/client-scopes.ts';
import { clientByClientId } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import {
  deleteProtocolMapper,
  insertProtocolMappers,
  type MapperParent,
  mapperOf,
  mappersOf,
  type ProtocolMapperRow,
  updateProtocolMapper,
} from '../../store/protocol-mappers.ts';
import { lockRealm, type RealmRow, touchRealm } from '../../store/realms.ts';
import { roleByName } from '../../store/roles.ts';
import type { Transaction } from '../../store/rows.ts';
import { audit, type Operator, plainText, validated } from './context.ts';

/** A client or a client scope with more is a mistake, and each costs time with every token. */
export const MOST_MAPPERS = 200;

const configInput = z
  .record(z.string().min(1).max(255), z.string().max(10_000))
  .refine((config) => Object.keys(config).length <= 50, 'must not be more than 50');

const newMapper = z
  .object({
    name: plainText(255),
    protocol: z.enum([CLAIM_PROTOCOL, 'saml']).default(CLAIM_PROTOCOL),
    /** Its type, such as oidc-full-name-mapper. */
    mapper: z.string().min(1).max(255),
    config: configInput.default({}),
  })
  .superRefine((input, context) => {
    // What says something to applications of another protocol is kept, and says nothing here.
    if (input.protocol !== CLAIM_PROTOCOL) return;
    const type = mapperType(input.mapper);
    if (!type) {
      context.addIssue({ code: 'custom', path: ['protocolMapper'], message: `there is no mapper "${input.mapper}"` });
      return;
    }
    const problem = configProblem(type, input.config);
    // Keycloak's clients make a mapper first and fill it in after; until then it says nothing.
    if (problem && !problem.missing) context.addIssue({ code: 'custom', path: ['config', problem.field], message: problem.message });
  });
export const newMappers = z.array(newMapper).max(MOST_MAPPERS);
export type NewProtocolMapper = z.input<typeof newMapper>;

/** A client or a client scope, as its mappers and mappings are found and named. */
export interface Parent {
  at: MapperParent;
  named: NamedParent;
}

export const parentClient = (client: { id: string; clientId: string }): Parent => ({ at: { client: client.id }, named: { client: client.clientId } });
export const parentScope = (scope: { id: string; name: string }): Parent => ({ at: { scope: scope.id }, named: { scope: scope.name } });

export const mapperRows = (realm: RealmRow, parent: MapperParent, mappers: readonly z.output<typeof newMapper>[]): ProtocolMapperRow[] =>
  mappers.map((mapper) => ({ realmId: realm.id, id: randomUUID(), parent, ...mapper }));

/** The mapper of that id, or a 404. */
export async function requireMapper({ db }: Pick<Operator, 'db'>, realm: RealmRow, parent: Parent, id: string): Promise<ProtocolMapperRow> {
  const mapper = await mapperOf(db.knex, realm.id, parent.at, id);
  if (!mapper) throw notFound('Model not found');
  return mapper;
}

/** The mapper of that name, or a 404. */
export async function requireMapperNamed({ db }: Pick<Operator, 'db'>, realm: RealmRow, parent: Parent, name: string): Promise<ProtocolMapperRow> {
  const mapper = (await mappersOf(db.knex, realm.id, parent.at)).find((one) => one.name === name);
  if (!mapper) throw notFound(`There is no mapper "${name}".`);
  return mapper;
}

/**
 * Adds mappers, all of them or none.
 * @throws AppError 400 on the field that is wrong, 409 for a name that the client or the scope has already
 */
export async function addMappers(
  operator: Operator,
  realm: RealmRow,
  parent: Parent,
  input: readonly NewProtocolMapper[],
): Promise<ProtocolMapperRow[]> {
  const asked = input.map((one) => validated(newMapper, one));
  const rows = mapperRows(realm, parent.at, asked);
  await changing(operator, realm, parent, async (trx) => {
    await lockRealm(trx, realm.id);
    const there = await mappersOf(trx, realm.id, parent.at);
    if (there.length + rows.length > MOST_MAPPERS) throw badInput('protocolMappers', `There may be ${MOST_MAPPERS} mappers at most.`);
    await insertProtocolMappers(trx, rows);
    for (const { name } of rows) await note(operator, realm, parent, 'protocol-mapper.created', name, trx);
  });
  return rows;
}

/** Changes what is named; a config replaces the one that was there. */
export async function changeMapper(
  operator: Operator,
  realm: RealmRow,
  parent: Parent,
  mapper: ProtocolMapperRow,
  input: Partial<NewProtocolMapper>,
): Promise<void> {
  const { name, protocol, mapper: type, config } = mapper;
  const asked = validated(newMapper, { name, protocol, mapper: type, config, ...input });
  if (JSON.stringify(asked) === JSON.stringify({ name, protocol, mapper: type, config })) return;
  await changing(operator, realm, parent, async (trx) => {
    if (!(await updateProtocolMapper(trx, { ...mapper, ...asked }))) throw notFound('Model not found');
    await note(operator, realm, parent, 'protocol-mapper.updated', mapper.name, trx);
  });
}

export async function removeMapper(operator: Operator, realm: RealmRow, parent: Parent, mapper: ProtocolMapperRow): Promise<void> {
  await changing(operator, realm, parent, async (trx) => {
    if (!(await deleteProtocolMapper(trx, realm.id, parent.at, mapper.id))) throw notFound('Model not found');
    await note(operator, realm, parent, 'protocol-mapper.deleted', mapper.name, trx);
  });
}

/** Fields of configs that name a role which tokens will say that everybody has, or has instead of another. */
const ROLE_FIELDS: Readonly<Record<string, string>> = { 'oidc-hardcoded-role-mapper': 'role', 'oidc-role-name-mapper': 'new.role.name' };

/** The roles of the realm that mappers like these put into tokens whatever a user has. */
export async function rolesSaid(
  { db }: Pick<Operator, 'db'>,
  realm: RealmRow,
  mappers: readonly { mapper?: string | undefined; config?: Config | undefined }[],
): Promise<{ id: string }[]> {
  const found: { id: string }[] = [];
  for (const { mapper = '', config = {} } of mappers) {
    const field = Object.hasOwn(ROLE_FIELDS, mapper) ? ROLE_FIELDS[mapper] : undefined;
    if (field === undefined) continue;
    const { client, name } = renamed(config, field);
    const owner = client === null ? null : (await clientByClientId(db.knex, realm.id, client))?.id;
    const role = owner === undefined ? undefined : await roleByName(db.knex, realm.id, owner, name);
    if (role) found.push(role);
  }
  return found;
}

/** A new name without a client stays with the client of the old one. */
function renamed(config: Config, field: string): { client: string | null; name: string } {
  const said = roleNamed(config[field] ?? '');
  return field === 'role' || said.client !== null ? said : { ...said, client: roleNamed(config.role ?? '').client };
}

const note = (
  operator: Operator,
  realm: RealmRow,
  { named }: Parent,
  type: 'protocol-mapper.created' | 'protocol-mapper.updated' | 'protocol-mapper.deleted',
  name: string,
  trx: Transaction,
): Promise<void> => audit(operator, { realmId: realm.id }, { type, details: { name, of: named } }, trx);

/** A change of what is read with the client, or with the realm whose scope it is. */
export async function changing(operator: Operator, realm: RealmRow, { at }: Parent, work: (trx: Transaction) => Promise<void>): Promise<void> {
  const { db, now } = operator;
  try {
    await db.transaction(async (trx) => {
      await work(trx);
      if ('client' in at) await touchClient(trx, realm.id, at.client, now);
      else await touchRealm(trx, realm.id, now);
      await db.changes.announce('client' in at ? `client:${realm.id}` : `realm:${realm.id}`, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('Protocol mapper exists with same name', 'name');
    throw error;
  }
}
