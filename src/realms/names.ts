/**
 * Realm names. A name stands in every URL of its realm, in cookie paths and on the command line, so it is plain
 * ASCII: two names never differ by case alone (the store sees to that), by width or by letters that only look alike, and
 * none is read as a path, a file or another part of our URLs. Capitals are for realms that come from Keycloak.
 */
import { badInput } from '../errors.ts';

const REALM_NAME_LENGTH = 63;
const SHAPE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/** Parts of our own URLs and of Keycloak's, and what crawlers and browsers ask for. Any of them as a realm would mislead. */
const RESERVED = new Set([
  'account',
  'admin',
  'api',
  'auth',
  'clients-registrations',
  'demo-app',
  'favicon.ico',
  'gate',
  'health',
  'inbox',
  'index.html',
  'js',
  'live',
  'login',
  'logout',
  'metrics',
  'public',
  'ready',
  'realms',
  'resources',
  'robots',
  'robots.txt',
  'security.txt',
  'serverinfo',
  'sitemap.xml',
  'static',
  'well-known',
]);

/** Whether a realm may have this name. Says nothing about whether one has. */
export function validRealmName(name: string): boolean {
  return explain(name) === undefined;
}

/** Throws `badInput('name', …)` that says what to change. */
export function checkRealmName(name: string): void {
  const problem = explain(name);
  if (problem !== undefined) throw badInput('name', problem);
}

function explain(name: string): string | undefined {
  if (name === '') return 'A realm needs a name.';
  if (name.length > REALM_NAME_LENGTH) return `A realm name has at most ${REALM_NAME_LENGTH} characters.`;
  if (!SHAPE.test(name)) {
    return 'A realm name holds letters of ASCII, digits, dots, dashes and underscores, and begins and ends with a letter or digit.';
  }
  if (name.includes('..')) return 'A realm name has no two dots in a row.';
  if (RESERVED.has(name.toLowerCase())) return `"${name}" is a part of our own addresses. Choose another name for the realm.`;
  return undefined;
}
