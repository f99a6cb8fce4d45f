/**
 * Administrators who act as a user. Such a session has no proofs and names its impersonator; it stands only while that
 * person does, which is looked up whenever the session, or a token of it, is used.
 */
import { MASTER, managementClientFor } from '../realms/management.ts';
import type { Database } from '../store/database.ts';
import { rolesHeldOfClient } from '../store/effective-roles.ts';
import type { RealmRow } from '../store/realms.ts';
import type { Queries } from '../store/rows.ts';
import type { Impersonator, SessionRow } from '../store/sessions.ts';
import { userById } from '../store/users.ts';
import { endSessionsOf } from './sessions.ts';

/** As long as it takes to see what a user sees; the realm's own limit where that is shorter. */
const IMPERSONATION_MS = 60 * 60_000;

/** When one that begins now ends by itself. */
export const impersonationEnds = ({ settings }: Pick<RealmRow, 'settings'>, now: number): number =>
  now + Math.min(IMPERSONATION_MS, settings.ssoSessionMaxLifespan * 1000);

type Of = Pick<RealmRow, 'id' | 'name'>;

/** Whether somebody may act as users of a realm now: there, switched on, not signed out everywhere since, and with the role. */
export async function mayImpersonate(queries: Queries, realm: Of, { id, realmId }: Impersonator, since: number): Promise<boolean> {
  const user = await userById(queries, realmId, id);
  if (!user?.enabled || user.notBefore > since) return false;
  // Who is not of the realm itself is of master: nobody else may begin it.
  const client = managementClientFor(realmId === realm.id ? realm : { id: realmId, name: MASTER }, realm);
  return client !== undefined && (await rolesHeldOfClient(queries, realmId, id, client)).includes('impersonation');
}

/** Whether a session stands as far as its impersonator goes; one whose impersonator may no longer is ended here. */
export async function impersonationStands(
  db: Database,
  realm: Of,
  session: Pick<SessionRow, 'id' | 'createdAt' | 'facts'>,
  now: number,
): Promise<boolean> {
  const { impersonator } = session.facts;
  if (!impersonator || (await mayImpersonate(db.knex, realm, impersonator, session.createdAt))) return true;
  await endSessionsOf(db, realm.id, { id: session.id }, now);
  return false;
}
