/**
 * What single values of the environment have to look like, and what is said of one that does not: what is wrong with it,
 * and what a right value looks like. Values that may be secret are never repeated.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseMasterKeys } from '../crypto/keyring.ts';
import { entriesOf } from './outbound.ts';

/** A value as a complaint shows it: quoted, and not all of a long one. */
export const shown = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);

/** A whole number within bounds. */
export const whole = (min: number, max: number, example: number) =>
  z
    .string()
    .refine((text) => /^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max, {
      error: (issue) => `is ${shown(String(issue.input))}, not a whole number from ${min} to ${max}; for example ${example}`,
    })
    .transform(Number);

/** One of some words, in whatever case. */
export const oneOf = <const Values extends readonly string[]>(values: Values, example: Values[number]) =>
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(values, { error: (issue) => `is ${shown(String(issue.input))}, not one of ${values.join(', ')}; for example ${example}` }));

export const onOrOff = oneOf(['on', 'off', 'true', 'false', '1', '0'], 'off').transform((text) => ['on', 'true', '1'].includes(text));

/** What to listen on. */
export const hostName = z.string().refine((text) => isIP(text) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text), {
  error: (issue) =>
    `is ${shown(String(issue.input))}, not an address or name to listen on (without scheme or port); for example 127.0.0.1, or 0.0.0.0 for every interface`,
});

export const EXAMPLE_ORIGIN = 'for example https://id.example.com';
/** Scheme, host and port, as browsers write them. */
export const originOnly = z.string().transform((text, context) => {
  const wrong = (what: string): never => {
    context.issues.push({ code: 'custom', message: `${what}; ${EXAMPLE_ORIGIN}`, input: text });
    return z.NEVER;
  };
  const url = URL.parse(text);
  // What may hold a password is not repeated.
  if (text.includes('@')) return wrong('holds an @, and an origin has neither user name nor password');
  if (url === null || !/^https?:\/\/[^/]/i.test(text)) return wrong(`is ${shown(text)}, not an http or https origin`);
  if (!/^[^:]+:\/\/[^/?#\\]+\/?$/.test(text))
    return wrong(`is ${shown(text)}, which has more than scheme, host and port: no path, query or fragment`);
  return url.origin;
});

/** Entries with commas between them. */
export const listed = z.string().transform(entriesOf);

/** Never repeated: it may hold a password. */
export const databaseUrl = z.string().refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text), {
  error:
    'is not the address of a PostgreSQL database; for example postgresql://user:password@db.example.com:5432/cardea (write @ : / ? # in the password as %40 %3A %2F %3F %23)',
});

/** Says how a key is made. */
export const MAKE_KEY = `node -p "crypto.randomBytes(32).toString('base64url')"`;
/** `id:KEY`, and older ones behind it. */
export const masterKeys = z.string().transform((text, context) => {
  try {
    return parseMasterKeys(text);
  } catch (error) {
    const what = error instanceof Error ? error.message : 'it cannot be read';
    context.issues.push({
      code: 'custom',
      message: `cannot be used: ${what}; a right value is id:KEY[,older…], KEY made by ${MAKE_KEY}`,
      input: undefined,
    });
    return z.NEVER;
  }
});

/** A user name. */
export const name = z.string().refine((text) => text.length <= 255 && /^[^\p{C}]+$/u.test(text), {
  error: 'is longer than 255 characters or holds control characters; for example admin',
});
export const clientId = z.string().refine((text) => text.length <= 255 && /^[\x21-\x7e]+$/.test(text), {
  error: 'may hold up to 255 visible ASCII characters without spaces; for example terraform',
});
/** A password or a secret of at least so many characters. */
export const secretOf = (characters: number, example: string) =>
  z.string().refine((text) => [...text].length >= characters && text.length <= 1024, {
    error: `has fewer than ${characters} characters, or more than 1024; ${example}`,
  });

/** As RFC 6750 section 2.1 has tokens. */
export const metricsToken = z.string().refine((text) => /^[A-Za-z0-9._~+/-]{16,1024}=*$/.test(text), {
  error: `is not a token of at least 16 letters, digits and . _ ~ + / -; make one by ${MAKE_KEY}`,
});
