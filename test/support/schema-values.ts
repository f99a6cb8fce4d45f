/**
 * Values made from JSON schemas: one that fits, and arbitraries of those that are wrong in one place. What a schema cannot
 * say, such as that a name is free, the server says.
 */

import type { JsonSchema } from './document.ts';
import fc from './property.ts';

let count = 0;

/** A name that nobody has. */
const unique = (): string => {
  count += 1;
  return `n${count}-${crypto.randomUUID().slice(0, 8)}`;
};

export type Components = Readonly<Record<string, JsonSchema>>;

/** The schema that a reference stands for, and the first of alternatives that is not null. */
export function plainSchema(schema: JsonSchema, components: Components): JsonSchema {
  if (schema.$ref !== undefined) return plainSchema(components[schema.$ref.split('/').at(-1) ?? ''] ?? {}, components);
  const choices = schema.anyOf ?? schema.oneOf;
  const chosen = choices?.find(({ type }) => type !== 'null');
  return chosen ? plainSchema(chosen, components) : schema;
}

const typeOf = ({ type, properties, items }: JsonSchema): string | undefined =>
  (Array.isArray(type) ? type.find((one) => one !== 'null') : type) ?? (properties ? 'object' : items ? 'array' : undefined);

/**
 * A value that fits. Fields that have a schema are all there, but for those that `leave` names.
 * @param name of the field that it is for, which says what a text has to look like
 */
export function fitting(schema: JsonSchema, components: Components, name = '', leave: (field: string) => boolean = () => false, depth = 0): unknown {
  const plain = plainSchema(schema, components);
  if (plain.const !== undefined) return plain.const;
  if (plain.enum) return plain.enum[0];
  switch (typeOf(plain)) {
    case 'object':
      return Object.fromEntries(
        Object.entries(plain.properties ?? {}).flatMap(([key, inner]) => {
          const isNeeded = plain.required?.includes(key) === true;
          const isShaped = Object.keys(plainSchema(inner, components)).length > 0;
          return isNeeded || (isShaped && depth < 3 && !leave(key)) ? [[key, fitting(inner, components, key, leave, depth + 1)]] : [];
        }),
      );
    case 'array':
      return Array.from({ length: plain.minItems ?? 0 }, () => fitting(plain.items ?? {}, components, name, leave, depth + 1));
    case 'string':
      return textFor(plain, name);
    case 'integer':
    case 'number':
      return Math.max(plain.minimum ?? 1, 1);
    case 'boolean':
      return false;
    default:
      return {};
  }
}

const LOOKS: [name: RegExp, text: () => string][] = [
  [/email/i, () => `${unique()}@example.com`],
  [/ur[il]$/i, () => 'https://app.example/callback'],
  [/protocolMapper$/, () => 'oidc-usermodel-attribute-mapper'],
  [/^protocol$/, () => 'openid-connect'],
  [/providerId/, () => 'oidc'],
  [/^value$|password/i, () => 'four words without relation'],
  [/locale/i, () => 'en'],
  [/^events$/, () => '*'],
];

function textFor({ format, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: JsonSchema, name: string): string {
  if (format === 'email') return `${unique()}@example.com`;
  if (format === 'uri' || format === 'url') return 'https://app.example/callback';
  if (format === 'uuid') return crypto.randomUUID();
  if (format === 'date-time') return '2026-11-22T00:00:00.000Z';
  const text = LOOKS.find(([pattern]) => pattern.test(name))?.[1]() ?? unique();
  return text.padEnd(minLength, 'x').slice(0, maxLength);
}

/** A body that is wrong in one place. */
export interface Broken {
  body: unknown;
  /** Where, such as `attributes.x`; empty for the whole. */
  field: string;
  /** How, for whoever reads the failure. */
  how: string;
}

const deep = (levels: number): unknown => {
  let value: unknown = 'x';
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

/** What nobody should send: each with what it is called. */
const NASTY: readonly (readonly [how: string, value: unknown])[] = [
  ['null', null],
  ['a number', 7],
  ['a negative number', -1],
  ['a huge number', 1e308],
  ['more than an integer', 2 ** 63],
  ['a fraction', 0.5],
  ['a boolean', true],
  ['an empty text', ''],
  ['a long text', 'x'.repeat(20_000)],
  ['a NUL', 'a\u0000b'],
  ['control characters', 'a\u001b[31m\r\nb'],
  ['a lone surrogate', 'a\ud800b'],
  ['text that turns around', 'a\u202eb'],
  ['quotes and markup', `'";--<script>\${x}{{x}}%00../..`],
  ['a list', ['x']],
  ['a list of lists', [[[]]]],
  ['a list of null', [null]],
  ['an object', { a: 1 }],
  ['an object with a prototype', JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')],
  ['something deep', deep(500)],
  ['a long list', Array.from({ length: 5000 }, () => 'x')],
];

/** Places of a schema, at most three deep. */
function placesIn(schema: JsonSchema, components: Components, at: readonly string[] = []): string[][] {
  const plain = plainSchema(schema, components);
  const inner = at.length < 3 && typeOf(plain) === 'object' ? Object.entries(plain.properties ?? {}) : [];
  return [[...at], ...inner.flatMap(([key, one]) => placesIn(one, components, [...at, key]))];
}

function placed(body: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  const within: Record<string, unknown> = typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : {};
  within[key] = placed(within[key], rest, value);
  return within;
}

/** Bodies that would fit but for one place. */
export function breaking(schema: JsonSchema, components: Components): fc.Arbitrary<Broken> {
  const places = placesIn(schema, components);
  const value = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...NASTY) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 50 }).map((text) => ['some text', text] as const) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }).map((json) => ['some JSON', json] as const) },
  );
  return fc
    .tuple(fc.constantFrom(...places), value)
    .map(([place, [how, bad]]) => ({ body: placed(fitting(schema, components), place, bad), field: place.join('.'), how }));
}

/** Texts for a place in a path or a query, as they stand in an address. */
export const BAD_TEXTS: readonly (readonly [how: string, encoded: string])[] = [
  ['empty', ''],
  ['a NUL', 'a%00b'],
  ['no UTF-8', '%ff%fe'],
  ['a lone surrogate', '%ED%A0%80'],
  ['an encoding that is none', '%zz'],
  ['a long text', 'x'.repeat(5000)],
  ['a huge number', '99999999999999999999'],
  ['a negative number', '-1'],
  ['no number', 'NaN'],
  ['dots', '..'],
  ['dots, encoded', '%2e%2e%2f'],
  ['quotes', `'%22;--`],
  ['wild cards', '%25_%5c*'],
  ['markup', '%3Cscript%3E'],
  ['a prototype', '__proto__'],
  ['line ends', 'a%0d%0aSet-Cookie:x=y'],
  ['another direction', '%E2%80%AEx'],
  ['beyond the basic plane', '%F0%9F%92%A9'],
];
