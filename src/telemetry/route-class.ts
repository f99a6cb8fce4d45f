/** What kind of place a path is: few words, whatever realms, sign-ins and files there are. */

const PROTOCOL = '/realms/[^/]+/protocol/openid-connect';

/** The first that fits. */
const CLASSES: readonly [pattern: RegExp, name: string][] = [
  [new RegExp(`^${PROTOCOL}/auth/device$`), 'device'],
  [new RegExp(`^${PROTOCOL}/auth(?:/|$)`), 'authorization'],
  [new RegExp(`^${PROTOCOL}/token/introspect$`), 'introspection'],
  [new RegExp(`^${PROTOCOL}/token$`), 'token'],
  [new RegExp(`^${PROTOCOL}/userinfo$`), 'userinfo'],
  [new RegExp(`^${PROTOCOL}/certs$`), 'keys'],
  [new RegExp(`^${PROTOCOL}/revoke$`), 'revocation'],
  [new RegExp(`^${PROTOCOL}/logout(?:/|$)`), 'logout'],
  [new RegExp(`^${PROTOCOL}/`), 'protocol'],
  [/^(?:\/realms\/[^/]+)?\/\.well-known\//, 'discovery'],
  [/^\/realms\/[^/]+\/login\//, 'sign-in'],
  [/^\/realms\/[^/]+\/device(?:\/|$)/, 'device'],
  [/^\/realms\/[^/]+\/impersonation$/, 'impersonation'],
  [/^\/realms\/[^/]+\/login-actions(?:\/|$)/, 'recovery'],
  [/^\/realms\/[^/]+\/account(?:\/|$)/, 'account'],
  [/^\/realms\/[^/]+\/clients-registrations\//, 'registration'],
  [/^\/realms\/[^/]+\/gate(?:\/|$)/, 'gate'],
  [/^\/realms\/[^/]+\/logos\//, 'files'],
  [/^\/realms\/[^/]+$/, 'realm'],
  [/^\/admin\/(?:realms|serverinfo|openapi\.json)(?:\/|$)/, 'admin-api'],
  [/^\/admin\/[^/]+\/console\/whoami$/, 'admin-api'],
  [/^\/admin(?:\/|$)/, 'admin-console'],
  [/^\/health\//, 'health'],
  [/^\/metrics$/, 'metrics'],
  [/^\/resources\//, 'files'],
];

export const routeClass = (path: string): string => CLASSES.find(([pattern]) => pattern.test(path))?.[1] ?? 'other';
