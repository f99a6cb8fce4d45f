/** What a client may be: its fields, its addresses, and those of its attributes that have an effect. */
import { z } from 'zod';
import type { AllowedTarget } from '../../config/outbound.ts';
import { AppError, badInput } from '../../errors.ts';
import { requireFetchable } from '../../http/guarded-client.ts';
import { ALGORITHMS } from '../../realms/algorithms.ts';
import { CIBA_DELIVERY, CIBA_ENABLED, CIBA_SIGNED } from '../../realms/ciba.ts';
import { BOUND, KEY_ALGORITHMS, KEYS } from '../../realms/client-credentials.ts';
import { validRedirectUri } from '../../realms/redirect-uris.ts';
import { LOGO } from '../../store/client-logos.ts';
import { type ClientRow, LIGHTWEIGHT } from '../../store/clients.ts';
import { keptFields } from '../../store/kept-of-client.ts';
import { ENDS_OFFLINE, LOGOUT_URL } from '../../store/logout-notices.ts';
import type { RealmRow } from '../../store/realms.ts';
import { plainText } from './context.ts';

/** RFC 6749 appendix A.1 allows any visible character; a colon would not survive Basic authentication unescaped, but clients escape it. */
export const clientIdInput = z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters without spaces');

/** Those that we make have 43 characters; shorter ones come along with what was set up elsewhere, and guessing is throttled. */
const secretInput = z.string().regex(/^[\x20-\x7e]{8,255}$/, 'must be 8 to 255 characters of visible ASCII (RFC 6749 appendix A.2)');

/** Keycloak's names for our own address; exported realms hold them. */
const OWN_ADDRESS = /^\$\{auth(?:Base|Admin)Url\}/;

/** An http or https address, or a path behind the root URL. */
const address = z
  .string()
  .max(2_000)
  .refine(
    (text) => /^\/(?!\/)[\x21-\x7e]*$/.test(text) || OWN_ADDRESS.test(text) || (/^https?:\/\/[\x21-\x7e]+$/.test(text) && URL.canParse(text)),
    'must be an http or https address',
  );

/** Like `plainText`, of several lines. */
const paragraph = z
  .string()
  .trim()
  .min(1)
  .max(2_000)
  .refine((text) => !/[^\P{Cc}\n\r\t]|[\u202a-\u202e\u2066-\u2069]/u.test(text), 'must not contain control characters');

const addresses = z.array(z.string().max(2_000)).max(500);

/** Null takes one away. */
const attributes = z
  .record(z.string().min(1).max(255), z.string().max(10_000).nullable())
  .refine((all) => Object.keys(all).length <= 300, 'must not have more than 300 entries');

/** Everything of a client that may be said. */
export const clientFields = z
  .object({
    clientId: clientIdInput,
    name: plainText(255).nullable(),
    description: paragraph.nullable(),
    enabled: z.boolean(),
    publicClient: z.boolean(),
    consentRequired: z.boolean(),
    standardFlow: z.boolean(),
    directAccess: z.boolean(),
    serviceAccount: z.boolean(),
    fullScope: z.boolean(),
    rootUrl: address.nullable(),
    baseUrl: address.nullable(),
    redirectUris: addresses,
    /** `+`, or none, stands for the redirect URIs, `-` for nowhere. */
    postLogoutRedirectUris: addresses,
    webOrigins: addresses,
    attributes,
    kept: z.object(keptFields).partial(),
    secret: secretInput,
  })
  .partial();
export type ClientFields = z.input<typeof clientFields>;

/** Where relative addresses stand behind: our own origin, whatever it is. */
const STAND_IN = 'https://cardea.invalid';

/** @throws AppError 400 on the field with an address that nobody may be sent to */
export function checkAddresses(client: Pick<ClientRow, 'redirectUris' | 'postLogoutRedirectUris' | 'webOrigins' | 'rootUrl'>): void {
  const rootUrl = (client.rootUrl ?? STAND_IN).replace(OWN_ADDRESS, STAND_IN);
  const check = (field: string, uris: readonly string[]): void => {
    for (const uri of uris) {
      const problem = validRedirectUri(uri, { rootUrl });
      if (problem !== undefined) throw badInput(field, `${field}: ${uri}: ${problem}`);
    }
  };
  check('redirectUris', client.redirectUris);
  check(
    'postLogoutRedirectUris',
    client.postLogoutRedirectUris.filter((uri) => uri !== '+' && uri !== '-'),
  );
  for (const origin of client.webOrigins)
    if (!isWebOrigin(origin)) throw badInput('webOrigins', `webOrigins: ${origin}: must be an origin such as https://app.example, or + or *`);
}

function isWebOrigin(text: string): boolean {
  if (text === '+' || text === '*') return true;
  return /^https?:\/\/[^/\s]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text.toLowerCase();
}

/** 0 and -1 say nothing of it: it is that of the realm. */
function isSeconds(value: string): boolean {
  return /^(?:0|-1|[1-9]\d{0,8})$/.test(value);
}

function isPage(value: string): boolean {
  return value.length <= 2_000 && ['https:', 'http:'].includes(URL.parse(value)?.protocol ?? '');
}

/** Attributes whose values have an effect, and what they may be. */
const MEANT: Readonly<Record<string, { fits(value: string): boolean; says: string }>> = {
  'pkce.code.challenge.method': { fits: (value) => value === 'S256', says: 'must be S256; "plain" protects nothing (RFC 7636 section 7.2)' },
  'access.token.signed.response.alg': signature(),
  'id.token.signed.response.alg': signature(),
  'user.info.response.signature.alg': signature(),
  'cardea.default.max.age': { fits: (value) => /^(?:0|[1-9]\d{0,8})$/.test(value), says: 'must be a number of seconds' },
  'dpop.bound.access.tokens': oneOf('true', 'false'),
  'require.pushed.authorization.requests': oneOf('true', 'false'),
  'use.refresh.tokens': oneOf('true', 'false'),
  [LIGHTWEIGHT]: oneOf('true', 'false'),
  [BOUND]: oneOf('true', 'false'),
  [KEYS.useUrl]: oneOf('true', 'false'),
  [KEYS.useSet]: oneOf('true', 'false'),
  [LOGO]: { fits: isPage, says: 'must be an http or https address' },
  'access.token.lifespan': { fits: isSeconds, says: 'must be a number of seconds' },
  'client.session.idle.timeout': { fits: isSeconds, says: 'must be a number of seconds' },
  'client.offline.session.idle.timeout': { fits: isSeconds, says: 'must be a number of seconds' },
  'client.session.max.lifespan': { fits: isSeconds, says: 'must be a number of seconds' },
  'client.offline.session.max.lifespan': { fits: isSeconds, says: 'must be a number of seconds' },
  'access.token.header.type.rfc9068': oneOf('true', 'false'),
  'cardea.access.token.format': oneOf('jwt', 'opaque'),
  'cardea.resource': { fits: areResources, says: 'must be absolute addresses without a fragment, with ## between several' },
  'cardea.resources': { fits: areClientIds, says: 'must be client ids, with ## between several' },
  'standard.token.exchange.enabled': oneOf('true', 'false'),
  'standard.token.exchange.enableRefreshRequestedTokenType': oneOf('SAME_SESSION', 'NO'),
  'cardea.refresh.grace': { fits: (value) => /^(?:[1-5]?\d|60)$/.test(value), says: 'must be a number of seconds from 0 to 60' },
  'cardea.token.exchange.impersonation': oneOf('true', 'false'),
  'cardea.token.exchange.delegation': oneOf('true', 'false'),
  'cardea.token.exchange.bound': oneOf('true', 'false'),
  [ENDS_OFFLINE]: oneOf('true', 'false'),
  'backchannel.logout.session.required': oneOf('true', 'false'),
  'oauth2.device.authorization.grant.enabled': oneOf('true', 'false'),
  'oauth2.device.code.lifespan': { fits: isSeconds, says: 'must be a number of seconds' },
  'oauth2.device.polling.interval': { fits: isSeconds, says: 'must be a number of seconds' },
  [CIBA_ENABLED]: oneOf('true', 'false'),
  [CIBA_DELIVERY]: { fits: (value) => value === 'poll', says: 'must be poll: others are not offered' },
  [CIBA_SIGNED]: {
    fits: (value) => KEY_ALGORITHMS.some((algorithm) => algorithm === value),
    says: `must be one of ${KEY_ALGORITHMS.join(', ')} (CIBA Core 1.0 section 7.1.1)`,
  },
};

/** At most so many in one attribute. */
const MOST_LISTED = 50;

function areListed(value: string, fits: (one: string) => boolean): boolean {
  const all = value.split('##');
  return all.length <= MOST_LISTED && all.every(fits);
}

/** RFC 8707 section 2. Those of our own, such as the realm's default, are nobody else's. */
function areResources(value: string): boolean {
  return areListed(value, (one) => /^[\x21-\x22\x24-\x7e]{1,2000}$/.test(one) && URL.canParse(one) && !/^urn:cardea:/i.test(one));
}

function areClientIds(value: string): boolean {
  return areListed(value, (one) => clientIdInput.safeParse(one).success);
}

function oneOf(...values: string[]) {
  return { fits: (value: string) => values.includes(value), says: `must be ${values.join(' or ')}` };
}

function signature() {
  return { fits: (value: string) => ALGORITHMS.some((algorithm) => algorithm === value), says: `must be one of ${ALGORITHMS.join(', ')}` };
}

/** Roles of a client that is called so in master manage a realm: only a realm that is made brings one. */
export function checkName(realm: Pick<RealmRow, 'name'>, clientId: string): void {
  if (realm.name === 'master' && clientId.endsWith('-realm'))
    throw badInput('clientId', 'clientId: names that end in -realm are for the clients that manage realms');
}

/** Attributes with an address that the server itself calls. */
const CALLED: readonly string[] = [LOGOUT_URL];

/**
 * @param allow what the server may call besides public https addresses
 * @throws AppError 400 on an attribute that would have an effect, and cannot have this one
 */
export function checkAttributes(given: Readonly<Record<string, string | null>>, allow: readonly AllowedTarget[] = []): void {
  for (const name of CALLED) checkCalled(name, given[name] ?? '', allow);
  for (const [name, { fits, says }] of Object.entries(MEANT)) {
    const value = given[name];
    if (value !== undefined && value !== null && value !== '' && !fits(value)) throw badInput(`attributes.${name}`, `attributes.${name}: ${says}`);
  }
}

function checkCalled(name: string, address: string, allow: readonly AllowedTarget[]): void {
  if (address === '') return;
  const field = `attributes.${name}`;
  if (address.includes('#')) throw badInput(field, `${field}: must not have a fragment (OpenID Connect Back-Channel Logout 1.0 section 2.2)`);
  try {
    requireFetchable(address, allow);
  } catch (error) {
    if (error instanceof AppError) throw badInput(field, `${field}: ${error.message}`);
    throw error;
  }
}

/** What is there, changed by what is given: an empty value takes an attribute away, and one that is not named stays. */
export function mergedAttributes(
  before: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string | null>> | undefined,
): Record<string, string> {
  const merged = { ...before };
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === null || value === '') delete merged[name];
    else merged[name] = value;
  }
  return merged;
}
