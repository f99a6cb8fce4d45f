/** Our own consoles: relying parties of a realm like any application, each with a client of its own and a path that is all its. */
import { realmPath } from './issuer.ts';

export type ConsoleName = 'account' | 'admin';

/** Keycloak's names, which its users know from their audit logs. */
export const CONSOLE_CLIENTS: Readonly<Record<ConsoleName, string>> = { account: 'account-console', admin: 'security-admin-console' };

/** What everything of a console lies under: its pages, its callback and its cookies. */
export function consolePath(name: ConsoleName, realmName: string): string {
  return name === 'account' ? `${realmPath(realmName)}/account` : `/admin/${realmName}/console`;
}
