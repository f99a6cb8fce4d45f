/** The clients whose roles let somebody manage a realm, as in Keycloak: one of its own, and one in master for each realm. */
import type { RealmRow } from '../store/realms.ts';

export const MASTER = 'master';
const OWN = 'realm-management';

type Of = Pick<RealmRow, 'id' | 'name'>;

/** The client in master whose roles manage a realm. */
export const managementClientInMaster = (realmName: string): string => `${realmName}-realm`;

/** The client of the realm `home` whose roles manage `realm`; undefined where nobody of that realm manages it. */
export function managementClientFor(home: Of, realm: Of): string | undefined {
  if (home.name === MASTER) return managementClientInMaster(realm.name);
  return home.id === realm.id ? OWN : undefined;
}
