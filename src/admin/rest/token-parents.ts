/** What mappers and scope mappings belong to, as paths name it: a client or a client scope. */
import { requireClientById } from '../resources/client-changes.ts';
import { requireClientScope } from '../resources/client-scopes.ts';
import { type Parent, parentClient, parentScope } from '../resources/protocol-mappers.ts';
import { requireYours } from './client-rights.ts';
import type { RealmCall } from './operation.ts';

export type ParentKind = 'clients' | 'client-scopes';

export const VIEW = ['view-clients', 'manage-clients'] as const;
export const MANAGE = ['manage-clients'] as const;

/** @param purpose a client that is to be changed has to be the caller's to change */
export async function parentOf(call: RealmCall, kind: ParentKind, id: string, purpose: 'view' | 'manage'): Promise<Parent> {
  const { operator, realm } = call;
  if (kind === 'client-scopes') return parentScope(await requireClientScope(operator, realm, id));
  const client = await requireClientById(operator, realm, id);
  if (purpose === 'manage') await requireYours(call, client);
  return parentClient(client);
}
