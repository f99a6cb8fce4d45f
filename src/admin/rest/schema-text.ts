/** JSON schemas as people write types: `{ username?: string, attributes?: { [name]: string[] } }`, over as many lines as it takes. */

import type { Components, Schema } from './openapi.ts';

interface Within {
  components: Components;
  /** What a reference led to on the way here. */
  seen: readonly string[];
  indent: string;
}

export const writtenSchema = (schema: Schema, components: Components): string => written(schema, { components, seen: [], indent: '' });

function written(schema: Schema | boolean, within: Within): string {
  if (typeof schema === 'boolean') return schema ? 'anything' : 'nothing';
  if (schema.$ref !== undefined) return referred(schema.$ref, within);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return [...new Set(choices.map((one) => written(one, within)))].join(' | ');
  if (schema.allOf) return schema.allOf.map((one) => written(one, within)).join(' & ');
  const types = schema.type === undefined ? [] : [schema.type].flat();
  return types.length === 0 ? 'anything' : types.map((type) => ofType(type, schema, within)).join(' | ');
}

function ofType(type: string, schema: Schema, within: Within): string {
  if (type === 'object') return writtenObject(schema, within);
  if (type === 'array') {
    if (schema.prefixItems) return `[${schema.prefixItems.map((one) => written(one, within)).join(', ')}]`;
    const item = Array.isArray(schema.items) ? 'anything' : written(schema.items ?? {}, within);
    return `${item.includes(' | ') && !item.startsWith('{') ? `(${item})` : item}[]${bounds('items', undefined, schema.maxItems)}`;
  }
  if (type === 'string') return `${schema.format ?? 'string'}${bounds('characters', schema.minLength, schema.maxLength)}`;
  if (type === 'integer' || type === 'number') return `${type}${bounds('', schema.minimum, schema.maximum)}`;
  return type;
}

function writtenObject({ properties = {}, required = [], additionalProperties }: Schema, within: Within): string {
  const inner = { ...within, indent: `${within.indent}  ` };
  const lines = Object.entries(properties).map(([name, one]) => `${name}${required.includes(name) ? '' : '?'}: ${written(one, inner)}`);
  if (typeof additionalProperties === 'object') lines.push(`[name]: ${written(additionalProperties, inner)}`);
  return lines.length === 0 ? 'object' : `{\n${lines.map((line) => `${inner.indent}${line}\n`).join('')}${within.indent}}`;
}

function referred(reference: string, within: Within): string {
  const name = reference.split('/').at(-1) ?? '';
  const target = within.components[name];
  if (!target || within.seen.includes(name)) return 'the same again';
  return written(target, { ...within, seen: [...within.seen, name] });
}

/** Numbers that only a machine has as its limits say nothing. */
function bounds(what: string, least: number | undefined, most: number | undefined): string {
  const [from, to] = [least, most].map((one) => (one === undefined || Math.abs(one) >= Number.MAX_SAFE_INTEGER ? undefined : one));
  const unit = what === '' ? '' : ` ${what}`;
  if (from !== undefined && to !== undefined) return ` (${from} to ${to}${unit})`;
  if (to !== undefined) return ` (at most ${to}${unit})`;
  return from === undefined ? '' : ` (at least ${from}${unit})`;
}
