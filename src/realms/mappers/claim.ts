/** Claims: where they stand, what they are in JSON, and which of them no administrator makes up. */
import type { Claim, Config, Problem } from './mapper.ts';

/** Segments of a claim's name; characters of one. */
const MOST_SEGMENTS = 10;
const LONGEST_SEGMENT = 255;
/** A value larger than this is left out: tokens travel in headers, which servers bound at 8 to 64 KiB. */
const LARGEST_VALUE = 16_384;
const DEEPEST_VALUE = 20;

/**
 * What a token says about itself, about whom and for whom it is, how that user signed in, and what proves it: said by us,
 * truthfully, or not at all (RFC 7519 section 4.1, OpenID Connect Core 1.0 sections 2 and 3.1.3.6, RFC 9068, RFC 7662,
 * RFC 7800, RFC 8693, RFC 9396, RFC 8485). Roles are said by mappers of roles alone.
 */
const RESERVED: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'azp', 'client_id', 'typ', 'scope', 'nonce', 'cnf', 'sub_jwk', 'sub_id'],
  ...['acr', 'amr', 'auth_time', 'sid', 'session_state', 'vot', 'vtm', 'at_hash', 'c_hash', 's_hash', 'active', 'token_type'],
  ...['act', 'may_act', 'exchanged_from', 'impersonator', 'events', 'authorization_details', '_claim_names', '_claim_sources'],
  ...['allowed-origins', 'realm_access', 'resource_access', 'not-before-policy', 'userinfo_claims'],
]);
const PROTOTYPES: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor']);

/** The segments of a claim's name: dots part them, but for `\.`, which is a dot (Keycloak's notation). */
export const claimPath = (name: string): string[] => name.split(/(?<!\\)\./).map((segment) => segment.replaceAll('\\.', '.'));

/**
 * What is wrong with the claim that a config names.
 * @param allowed reserved claims that this type may say
 */
export function claimProblem(config: Config, allowed: readonly string[] = []): Problem | undefined {
  const field = 'claim.name';
  const name = config[field] ?? '';
  const path = claimPath(name);
  const [first = ''] = path;
  if (path.length > MOST_SEGMENTS || path.some((segment) => segment.trim() === '' || segment.length > LONGEST_SEGMENT))
    return { field, message: `must be 1 to ${MOST_SEGMENTS} names of up to ${LONGEST_SEGMENT} characters with dots between them` };
  if (path.some((segment) => PROTOTYPES.has(segment))) return { field, message: `"${name}" is no name of a claim` };
  if (RESERVED.has(first) && !allowed.includes(first))
    return { field, message: `"${first}" says what only this server knows, and is set by no such mapper` };
  return undefined;
}

/** The one claim of a config, if there is a value for it. */
export const claimOf = (config: Config, value: unknown): readonly Claim[] =>
  value === undefined || config['claim.name'] === undefined ? [] : [{ path: claimPath(config['claim.name']), value }];

/** Stored values as a config wants them: all of them as a list, or the first; undefined when there is none. */
export function valueFor(config: Config, values: readonly string[]): unknown {
  const all = values.map((value) => inJson(value, config['jsonType.label'])).filter((value) => value !== undefined);
  return config.multivalued === 'true' && all.length > 0 ? all : all[0];
}

/** A text as the JSON of that type; undefined for what is none. */
export function inJson(value: string, type: string | undefined): unknown {
  switch (type) {
    case 'long':
    case 'int':
      return integer(value, type);
    case 'boolean':
      return value === 'true' ? true : value === 'false' ? false : undefined;
    case 'JSON':
      return parsed(value);
    default:
      return value.length > LARGEST_VALUE ? undefined : value;
  }
}

function integer(value: string, type: 'long' | 'int'): number | undefined {
  if (!/^-?\d{1,16}$/.test(value)) return undefined;
  const number = Number(value);
  const fits = type === 'int' ? number >= -(2 ** 31) && number < 2 ** 31 : Number.isSafeInteger(number);
  return fits ? number : undefined;
}

function parsed(text: string): unknown {
  if (text.length > LARGEST_VALUE) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isPlain(value, DEEPEST_VALUE) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Not deeper than it may be, and with no key that reaches into every object. */
function isPlain(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (levels === 0) return false;
  return Object.entries(value).every(([key, inner]) => !PROTOTYPES.has(key) && isPlain(inner, levels - 1));
}

/**
 * Puts a claim into a payload. Objects on the way are made; what is there and is no object stays, and so do lists, which grow.
 */
export function put(payload: Record<string, unknown>, { path, value }: Claim): void {
  const last = path.at(-1);
  if (last === undefined || path.some((segment) => segment === '__proto__')) return;
  let place = payload;
  for (const segment of path.slice(0, -1)) {
    const next = Object.hasOwn(place, segment) ? place[segment] : undefined;
    if (isRecord(next)) {
      place = next;
      continue;
    }
    if (next !== undefined) return;
    const made: Record<string, unknown> = {};
    place[segment] = made;
    place = made;
  }
  const there = Object.hasOwn(place, last) ? place[last] : undefined;
  place[last] = Array.isArray(there) && Array.isArray(value) ? [...new Set([...there, ...value])] : value;
}

/** Takes a claim out of a payload. */
export function take(payload: Record<string, unknown>, path: readonly string[]): void {
  const last = path.at(-1);
  let place: unknown = payload;
  for (const segment of path.slice(0, -1)) place = isRecord(place) && Object.hasOwn(place, segment) ? place[segment] : undefined;
  if (last !== undefined && isRecord(place)) delete place[last];
}

export const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
