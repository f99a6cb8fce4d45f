/**
 * What may reach the library, by path and method.
 *
 * Only in these spellings: its router folds case and trailing slashes, and its resume goes by a cookie whatever the path
 * says, so that a spelling which we did not recognise as a way back would pass our checks of one. What it does not know it
 * answers with a bare 404, and we with a page.
 */
import { ROUTES } from './names.ts';

const READ = ['GET', 'HEAD'] as const;
/** Pages of other origins may ask, where the client's web origins allow it; OPTIONS is how their browser asks first. */
const SHARED = 'OPTIONS';

const METHODS: Readonly<Record<string, readonly string[]>> = {
  ...({
    [ROUTES.authorization]: [...READ, 'POST'],
    [ROUTES.token]: ['POST', SHARED],
    [ROUTES.userinfo]: [...READ, 'POST', SHARED],
    [ROUTES.jwks]: [...READ, SHARED],
    [ROUTES.end_session]: [...READ, 'POST'],
    [ROUTES.introspection]: ['POST', SHARED],
    [ROUTES.revocation]: ['POST', SHARED],
    [ROUTES.pushed_authorization_request]: ['POST', SHARED],
    [ROUTES.device_authorization]: ['POST', SHARED],
    [ROUTES.code_verification]: [...READ, 'POST'],
    // Of clients with a secret, and no page has one.
    [ROUTES.backchannel_authentication]: ['POST'],
  } satisfies Record<(typeof ROUTES)[keyof typeof ROUTES], readonly string[]>),
  [`${ROUTES.end_session}/confirm`]: ['POST'],
  [`${ROUTES.end_session}/success`]: READ,
  '/.well-known/openid-configuration': [...READ, SHARED],
  '/.well-known/oauth-authorization-server': [...READ, SHARED],
};

const RESUME = new RegExp(`^(?:${ROUTES.authorization}|${ROUTES.code_verification})/([A-Za-z0-9_-]{1,64})$`);

/** The uid of the sign-in that a browser comes back from, if that is what the path is for. */
export const resumedUid = (path: string): string | undefined => (Object.hasOwn(METHODS, path) ? undefined : RESUME.exec(path)?.[1]);

/** Whether a path is one of the pages where devices are approved, the way back from its sign-in included. */
export const isForDevices = (path: string): boolean => path === ROUTES.code_verification || path.startsWith(`${ROUTES.code_verification}/`);

/** The methods that a path takes; undefined when there is no such path. */
export const methodsOf = (path: string): readonly string[] | undefined =>
  Object.hasOwn(METHODS, path) ? METHODS[path] : resumedUid(path) === undefined ? undefined : READ;

/**
 * Requests that a browser may also be made to POST (OpenID Connect Core 1.0 section 3.1.2.1, RP-Initiated Logout 1.0
 * section 2). A POST from another site comes without our cookies, which are SameSite=Lax, and so knows no session; made a
 * GET, it comes with them.
 */
export const isPostedRequest = (method: string, path: string): boolean =>
  method === 'POST' && (path === ROUTES.authorization || path === ROUTES.end_session);

/** Where browsers are sent; the other endpoints are called by programs. */
export const isForBrowsers = (path: string): boolean =>
  path !== ROUTES.device_authorization && (path.startsWith(ROUTES.authorization) || path.startsWith(ROUTES.end_session) || isForDevices(path));
