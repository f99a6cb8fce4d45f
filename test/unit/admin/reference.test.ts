/** The page of the REST API: every operation is on it, and schemas read like types. */
import test from 'ava';
import { type Components, openApiDocument, type Schema } from '../../../src/admin/rest/openapi.ts';
import { operations } from '../../../src/admin/rest/operations.ts';
import { referenceOf } from '../../../src/admin/rest/reference.ts';
import { writtenSchema } from '../../../src/admin/rest/schema-text.ts';

test('every operation stands on the page once, under its tag, with who may call it', (t) => {
  const { tags } = referenceOf(openApiDocument('https://id.example.com'));
  const shown = tags.flatMap((tag) => tag.operations);
  t.deepEqual(shown.map(({ id }) => id).sort(), operations.map(({ id }) => id).sort());
  t.is(new Set(tags.map(({ anchor }) => anchor)).size, tags.length);
  for (const { id, access, answers } of shown) {
    t.regex(access, /^(Needs one of the roles|For )/, id);
    t.true(answers.length > 0, id);
  }
});

test('a schema is written as a type', (t) => {
  const components: Components = { Tree: { type: 'object', properties: { below: { type: 'array', items: { $ref: '#/components/schemas/Tree' } } } } };
  const cases: [Schema, string][] = [
    [{ type: 'string' }, 'string'],
    [{ type: 'string', maxLength: 255 }, 'string (at most 255 characters)'],
    [{ type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, 'integer (at least 0)'],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }] }, 'string | null'],
    [{ enum: ['a', 1] }, '"a" | 1'],
    [{}, 'anything'],
    [{ type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'number' }] } }, '(string | number)[]'],
    [{ type: 'object', properties: { a: { type: 'boolean' }, b: {} }, required: ['a'] }, '{\n  a: boolean\n  b?: anything\n}'],
    [{ type: 'object', additionalProperties: { type: 'string' } }, '{\n  [name]: string\n}'],
    [{ $ref: '#/components/schemas/Tree' }, '{\n  below?: the same again[]\n}'],
  ];
  for (const [schema, text] of cases) t.is(writtenSchema(schema, components), text);
});
