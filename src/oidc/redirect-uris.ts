/** The matcher of redirect URIs stands in realms/, because login and admin need it too and neither may import this room. */
export { type MatchOptions, originOf, type RedirectOptions, redirectUriAllowed, validRedirectUri } from '../realms/redirect-uris.ts';
