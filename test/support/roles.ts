/** Roles by their names, for what is done by their ids. */
import type { Operator } from '../../src/admin/resources/context.ts';
import { addContained, requireRoleByName } from '../../src/admin/resources/role-changes.ts';
import type { RoleName } from '../../src/admin/resources/roles.ts';
import { clientByClientId } from '../../src/store/clients.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { ShownRole } from '../../src/store/role-lists.ts';

/** The role of that name; a 404 when there is none. */
export async function roleNamed(operator: Operator, realm: RealmRow, { name, client }: RoleName): Promise<ShownRole> {
  const owner = client === undefined ? null : ((await clientByClientId(operator.db.knex, realm.id, client))?.id ?? '');
  return requireRoleByName(operator, realm, owner, name);
}

/** Makes a role contain another. */
export async function contain(operator: Operator, realm: RealmRow, composite: RoleName, contained: RoleName): Promise<void> {
  const child = await roleNamed(operator, realm, contained);
  await addContained(operator, realm, await roleNamed(operator, realm, composite), [child]);
}
