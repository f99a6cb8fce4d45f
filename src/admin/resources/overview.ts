/** All realms at a glance, page by page. */
import { type Level, reaches } from '../../policy/assurance.ts';
import { nameOf, type PolicyDocument, type Shorthand } from '../../policy/document.ts';
import { countClients } from '../../store/clients.ts';
import { policiesInForce } from '../../store/policies.ts';
import { listRealms } from '../../store/realms.ts';
import { countUsers } from '../../store/users.ts';
import type { Operator } from './context.ts';

export interface RealmOverview {
  name: string;
  displayName: string;
  /** `custom` for a policy with rules of its own. */
  mfa: Shorthand | 'custom';
  users: number;
  clients: number;
  /** What administrators have to reach, where that is less than it should be: for test installations. */
  loweredFloor: Level | null;
}

/** The administrators' floor of a policy, if it is below the one that everybody's realm begins with. */
export const loweredFloorOf = ({ floors: { administrator } }: PolicyDocument): Level | null =>
  reaches(administrator, 'aal2') ? null : administrator;

/** Four queries a page, however many realms it shows. */
export async function realmOverview(
  { db }: Pick<Operator, 'db'>,
  page: { after?: string | undefined; limit: number },
): Promise<{ realms: RealmOverview[] /** The `after` of the next page, when there is one. */; next: string | null }> {
  const found = await listRealms(db.knex, { ...(page.after === undefined ? {} : { after: page.after }), limit: page.limit + 1 });
  const rows = found.slice(0, page.limit);
  const ids = rows.map((row) => row.id);
  const [users, clients, policyOf] = await Promise.all([countUsers(db.knex, ids), countClients(db.knex, ids), policiesInForce(db.knex, ids)]);
  return {
    realms: rows.map(({ id, name, displayName }) => ({
      name,
      displayName,
      mfa: nameOf(policyOf(id).document),
      users: users.get(id) ?? 0,
      clients: clients.get(id) ?? 0,
      loweredFloor: loweredFloorOf(policyOf(id).document),
    })),
    next: found.length > rows.length ? (rows.at(-1)?.name ?? null) : null,
  };
}
