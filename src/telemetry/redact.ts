/**
 * What may stand in a log line. Everything that is logged passes through here, so that a secret cannot get there by
 * somebody logging one object too many: values under telling names are struck out, texts are searched for what looks
 * like a credential, and of objects that are not plain data only the class is named.
 */
import { IncomingMessage } from 'node:http';

const STRUCK = '[redacted]';
/** Deeper or longer than this is no longer read by anybody, and an accident when it happens. */
const MAX_DEPTH = 6;
const MAX_ENTRIES = 100;
const MAX_TEXT = 4_000;

/** Names are compared in lower case without dashes and underscores. */
const SECRET_NAMES = new Set([
  'code',
  'codes',
  'otp',
  'totp',
  'pin',
  'seed',
  'dpop',
  'jwt',
  'jwk',
  'privatejwk',
  'privatekey',
  'masterkey',
  'masterkeys',
  'databaseurl',
  'otpauth',
  'loginuid',
]);
const SECRET_ENDINGS = [
  'password',
  'passwd',
  'secret',
  'token',
  'tokens',
  'idtokenhint',
  'cookie',
  'cookies',
  'authorization',
  'assertion',
  'verifier',
  'sealed',
  'wrapped',
  'credentials',
];

/** Every line has the same few names: what was found of one is kept, of so many. */
const KEPT_NAMES = 1_000;
const known = new Map<string, boolean>();

function isSecretName(name: string): boolean {
  const before = known.get(name);
  if (before !== undefined) return before;
  const plain = name.toLowerCase().replaceAll(/[-_]/g, '');
  const found = SECRET_NAMES.has(plain) || SECRET_ENDINGS.some((ending) => plain.endsWith(ending));
  if (known.size < KEPT_NAMES && name.length <= 100) known.set(name, found);
  return found;
}

/** What credentials look like in a text, such as the message of a library's error that quotes a URL. */
const CREDENTIALS: [RegExp, string][] = [
  // Parameters of a query, a form or an otpauth link.
  [/\b([\w-]*(?:password|secret|token|token_hint|assertion|verifier)|code|otp|totp)=[^&\s"'<>]+/gi, `$1=${STRUCK}`],
  [/\b(Bearer|Basic|DPoP)\s+[\w~+/.=-]{8,}/gi, `$1 ${STRUCK}`],
  [/\beyJ[\w-]{5,}\.[\w-]*\.[\w-]*(?:\.[\w-]*\.[\w-]*)?/g, STRUCK],
  // User name and password of a connection string.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@"'?#]*@/gi, `$1${STRUCK}@`],
];

/** Each of those patterns needs one of these somewhere: a text without them is searched once, and not four times. */
const MAY_HOLD_ONE = /[=@\s]|eyJ/;

/** Strikes out what looks like a credential, and shortens a text that nobody would read. */
export function scrub(text: string): string {
  let clean = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  if (!MAY_HOLD_ONE.test(clean)) return clean;
  for (const [pattern, replacement] of CREDENTIALS) clean = clean.replace(pattern, replacement);
  return clean;
}

/**
 * The path of a URL as it may be logged: without its query, and without what is long and random in it, since the id of
 * an interaction is also the value of its cookie. Whoever sends one may write it in any spelling, and put anything behind
 * it. UUIDs name rows and stay.
 */
export function pathShown(url: string): string {
  const [path = ''] = url.split(/[?#]/, 1);
  return scrub(decoded(path).replaceAll(/[\w-]{20,}/g, (word) => (UUID.test(word) ? word : '…')));
}
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Letters, digits, dashes and underscores as such, however they were written; nothing else, so that a line stays one. */
const decoded = (path: string): string =>
  path.replaceAll(/%([0-9a-f]{2})/gi, (written, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w-]/.test(character) ? character : written;
  });

/** A copy of `value` that may be logged: plain data without secrets, of bounded depth and size. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrub(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return '[function]';
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (value instanceof Error) return errorShown(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof IncomingMessage) return { method: value.method, path: pathShown(value.url ?? '') };
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redact(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return `[${value.constructor?.name ?? 'object'}]`;
  const entries = Object.entries(value).slice(0, MAX_ENTRIES);
  return Object.fromEntries(
    entries.map(([name, item]) => [name, isSecretName(name) && item !== undefined && item !== null ? STRUCK : redact(item, depth + 1)]),
  );
}

/**
 * The parts of an error that explain it. Databases and libraries hang whole queries, rows and requests on theirs, so
 * no other property is taken over.
 */
function errorShown(error: Error, depth: number): Record<string, unknown> {
  const property = (name: string): unknown => (name in error ? Reflect.get(error, name) : undefined);
  const code = property('code');
  const status = property('status');
  return {
    type: error.name,
    code: typeof code === 'string' && /^[A-Za-z0-9_.-]{1,60}$/.test(code) ? code : undefined,
    status: typeof status === 'number' ? status : undefined,
    message: scrub(error.message),
    stack: error.stack === undefined ? undefined : scrub(error.stack),
    cause: error.cause === undefined ? undefined : redact(error.cause, depth + 1),
    errors: error instanceof AggregateError ? redact(error.errors, depth + 1) : undefined,
  };
}
