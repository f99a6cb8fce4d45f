/** The only builder of a realm's URLs: everything that leaves the server starts from the configured origin, never from a Host header. */

/** `ORIGIN/realms/NAME` (OpenID Connect Discovery 1.0 section 3). */
export const issuerOf = (origin: string, realmName: string): string => `${origin}${realmPath(realmName)}`;

/** The path under which everything of a realm lives, cookies included. */
export const realmPath = (realmName: string): string => `/realms/${realmName}`;

/** The hosted sign-in of one interaction; every step lives under it, because the interaction cookie does. */
export const loginPath = (realmName: string, uid: string): string => `${realmPath(realmName)}/login/${uid}`;
