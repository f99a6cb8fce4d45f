/** The mappers of a client as its representation holds them: all of them at once. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import {
  deleteProtocolMapper,
  insertProtocolMappers,
  mappersOf,
  type ProtocolMapperRow,
  updateProtocolMapper,
} from '../../store/protocol-mappers.ts';
import { lockRealm, type RealmRow } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import { audit, type Operator, validated } from './context.ts';
import { changing, mapperRows, type NewProtocolMapper, newMappers, parentClient } from './protocol-mappers.ts';

const listed = z.object({ protocolMappers: newMappers });
type Valid = z.output<typeof newMappers>;

/** @throws AppError 400 on the field of the mapper that cannot be, or the name that is there twice */
export function validMappers(mappers: readonly NewProtocolMapper[]): Valid {
  const { protocolMappers } = validated<{ protocolMappers: Valid }>(listed, { protocolMappers: mappers });
  const twice = protocolMappers.find(({ name }, index) => protocolMappers.findIndex((one) => one.name === name) !== index);
  if (twice) throw badInput('protocolMappers', `protocolMappers: "${twice.name}" is there twice`);
  return protocolMappers;
}

/** Gives a new client its mappers, in the transaction that makes it. */
export const insertMappers = (trx: Queries, realm: RealmRow, client: { id: string }, mappers: Valid): Promise<void> =>
  insertProtocolMappers(trx, mapperRows(realm, { client: client.id }, mappers));

/** What is to be done so that a client has these mappers and no others; those of a name that is there stay the ones that they are. */
function differences(realm: RealmRow, client: { id: string }, before: readonly ProtocolMapperRow[], asked: Valid) {
  const rows = mapperRows(realm, { client: client.id }, asked);
  const stored = new Map(before.map((row) => [row.name, row]));
  const added = rows.filter(({ name }) => !stored.has(name));
  const changed = rows.flatMap((row) => {
    const there = stored.get(row.name);
    const same = there && { ...row, id: there.id };
    return same && !isDeepStrictEqual(there, same) ? [same] : [];
  });
  const names = new Set(rows.map(({ name }) => name));
  return { added, changed, removed: before.filter(({ name }) => !names.has(name)) };
}

/** Puts mappers in the place of those that a client has: what is not in the list goes. Nothing is written where nothing differs. */
export async function replaceMappers(operator: Operator, realm: RealmRow, client: { id: string; clientId: string }, asked: Valid): Promise<void> {
  const { db } = operator;
  const parent = parentClient(client);
  const differs = ({ added, changed, removed }: ReturnType<typeof differences>) => added.length + changed.length + removed.length > 0;
  if (!differs(differences(realm, client, await mappersOf(db.knex, realm.id, parent.at), asked))) return;
  await changing(operator, realm, parent, async (trx) => {
    await lockRealm(trx, realm.id);
    const { added, changed, removed } = differences(realm, client, await mappersOf(trx, realm.id, parent.at), asked);
    for (const { id } of removed) await deleteProtocolMapper(trx, realm.id, parent.at, id);
    for (const row of changed) await updateProtocolMapper(trx, row);
    await insertProtocolMappers(trx, added);
    const notes = [
      ...removed.map(({ name }) => ({ name, type: 'protocol-mapper.deleted' as const })),
      ...changed.map(({ name }) => ({ name, type: 'protocol-mapper.updated' as const })),
      ...added.map(({ name }) => ({ name, type: 'protocol-mapper.created' as const })),
    ];
    for (const { name, type } of notes) await audit(operator, { realmId: realm.id }, { type, details: { name, of: parent.named } }, trx);
  });
}
