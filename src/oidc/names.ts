/** Where the library is reached, and what its cookies are called. */

/** Keycloak's paths below a realm. */
const CONNECT = '/protocol/openid-connect';
export const ROUTES = {
  authorization: `${CONNECT}/auth`,
  token: `${CONNECT}/token`,
  userinfo: `${CONNECT}/userinfo`,
  jwks: `${CONNECT}/certs`,
  end_session: `${CONNECT}/logout`,
  introspection: `${CONNECT}/token/introspect`,
  revocation: `${CONNECT}/revoke`,
  pushed_authorization_request: `${CONNECT}/ext/par/request`,
  device_authorization: `${CONNECT}/auth/device`,
  code_verification: '/device',
  backchannel_authentication: `${CONNECT}/ext/ciba/auth`,
} as const;

/** Where Keycloak has people register themselves. */
export const REGISTRATIONS = `${CONNECT}/registrations`;

/** The frames by which keycloak-js asks whether a session is still the same, and whether it could know at all. */
export const LOGIN_STATUS = `${CONNECT}/login-status-iframe.html`;
export const THIRD_PARTY_COOKIES = `${CONNECT}/3p-cookies`;

/** RFC 8628 section 3.4. */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** OpenID Connect Client-Initiated Backchannel Authentication Core 1.0 (CIBA) section 10.1. */
export const CIBA_GRANT = 'urn:openid:params:grant-type:ciba';

/** In the address of the page where a request of CIBA is answered: which one. */
export const ASKED_ELSEWHERE = 'request';

/** Names of the library's cookies. */
export const COOKIES = { session: 'cardea_session', interaction: 'cardea_interaction', resume: 'cardea_resume' } as const;

/** In the address of the last page of a sign-out: somebody chose to stay. The library says so only where there is an application. */
export const STAYED = 'stayed';

/** In the address of the page where a device's code is entered: the code, which the library must not act on. */
export const PREFILLED = 'prefilled';
