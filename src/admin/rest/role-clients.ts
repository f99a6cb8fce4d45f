/** Clients by their row ids, as paths about their roles name them. */
import { notFound } from '../../errors.ts';
import { clientNameById } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Operator } from '../resources/context.ts';

/** The client of that row id, or a 404. */
export async function clientOfRealm({ db }: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<{ id: string; clientId: string }> {
  const clientId = await clientNameById(db.knex, realm.id, id);
  if (clientId === undefined) throw notFound('Could not find client');
  return { id, clientId };
}
