/** Scope mappings: which of their users' roles clients without the full scope are told of. */
import type { RealmRow } from '../../store/realms.ts';
import type { ShownRole } from '../../store/role-lists.ts';
import type { Transaction } from '../../store/rows.ts';
import { deleteScopeMapping, insertScopeMapping } from '../../store/scope-mappings.ts';
import { audit, type Operator } from './context.ts';
import { changing, type Parent } from './protocol-mappers.ts';

/** Maps roles to a client or a client scope; those that were mapped before stay as they are. */
export const mapRoles = (operator: Operator, realm: RealmRow, parent: Parent, roles: readonly ShownRole[]): Promise<void> =>
  changing(operator, realm, parent, async (trx) => {
    for (const role of roles)
      if (await insertScopeMapping(trx, realm.id, parent.at, role.id)) await note(operator, realm, parent, role, 'scope-mapping.added', trx);
  });

/** Takes mapped roles away; those that were not are passed over. */
export const unmapRoles = (operator: Operator, realm: RealmRow, parent: Parent, roles: readonly ShownRole[]): Promise<void> =>
  changing(operator, realm, parent, async (trx) => {
    for (const role of roles)
      if (await deleteScopeMapping(trx, realm.id, parent.at, role.id)) await note(operator, realm, parent, role, 'scope-mapping.removed', trx);
  });

const note = (
  operator: Operator,
  realm: RealmRow,
  { named }: Parent,
  { name, client }: ShownRole,
  type: 'scope-mapping.added' | 'scope-mapping.removed',
  trx: Transaction,
): Promise<void> => audit(operator, { realmId: realm.id }, { type, details: { role: name, client, of: named } }, trx);
