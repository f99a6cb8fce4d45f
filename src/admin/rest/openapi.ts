/** The OpenAPI 3.1 document of the REST API, made from the schemas that validate. */
import { z } from 'zod';
import { OPEN_TO, type OpenTo, type Operation, type Success } from './operation.ts';
import { operations } from './operations.ts';

export type Schema = z.core.JSONSchema.JSONSchema;
export type Components = Record<string, Schema>;

interface Content {
  content?: Record<string, { schema: Schema }>;
}

export interface DocumentedOperation {
  operationId: string;
  tags: string[];
  summary: string;
  /** Who may call it, in words. */
  description?: string;
  'x-roles'?: string[];
  'x-access'?: OpenTo;
  'x-in-realm': boolean;
  parameters: { name: string; in: 'path' | 'query'; required: boolean; schema: Schema }[];
  requestBody?: Content & { required: boolean };
  responses: Record<string, Content & { description: string; headers?: Record<string, { description: string; schema: Schema }> }>;
}

/** As much of OpenAPI 3.1 as ours uses. */
export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  security: Record<string, string[]>[];
  tags: { name: string }[];
  paths: Record<string, Record<string, DocumentedOperation>>;
  components: { securitySchemes: Record<string, Record<string, string>>; schemas: Components };
}

type Response = DocumentedOperation['responses'][string];

let made: { origin: string; document: OpenApiDocument } | undefined;

/** Made once: it says the same until the next release. */
export function openApiDocument(origin: string): OpenApiDocument {
  if (made?.origin !== origin) made = { origin, document: documentOf(origin) };
  return made.document;
}

function documentOf(origin: string): OpenApiDocument {
  const paths: OpenApiDocument['paths'] = {};
  const schemas: Components = { Error: ERROR };
  for (const operation of operations) {
    const path = `/admin${operation.path.replace('...}', '}')}`;
    const item = paths[path] ?? {};
    item[operation.method.toLowerCase()] = described(operation, schemas);
    paths[path] = item;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Cardea: administration',
      version: '1',
      description: 'Realms, clients, users, roles, groups and the policy of second factors, with the paths and names of Keycloak.',
    },
    servers: [{ url: origin }],
    security: [{ bearer: [] }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas,
    },
  };
}

const TEXT: Schema = { type: 'string' };
const ERROR: Schema = {
  type: 'object',
  properties: { error: { type: 'string' }, errorMessage: { type: 'string' }, field: { type: 'string' } },
  required: ['error', 'errorMessage'],
};

/** @param schemas what schemas of the operation refer to is put here */
function described(operation: Operation, schemas: Components): DocumentedOperation {
  const { id, tag, summary, body, answer, status, also = [], inRealm } = operation;
  const refused = (description: string): Response => ({
    description,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  });
  const codes: DocumentedOperation['responses'] = {
    ...Object.fromEntries([status, ...also].map((code) => [code, done(code, answer && shared(schemaOf(answer, 'output'), `${id}.answer`, schemas))])),
    400: refused('Something about the request is wrong; `field` names it'),
    401: refused('No valid bearer token, or one whose sign-in was not enough for an administrator'),
    403: refused('The token’s user may not do this'),
    404: refused('There is no such thing in this realm'),
    ...(operation.method === 'GET' ? {} : { 409: refused('It contradicts what is stored') }),
    default: refused('Something else: the body is too large or of another type, there were too many tries, or this is left out on purpose (501)'),
  };
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...admittance(operation),
    'x-in-realm': inRealm,
    parameters: [...pathParameters(operation), ...queryParameters(operation)],
    ...(body
      ? {
          requestBody: {
            required: !body.safeParse(undefined).success,
            content: {
              [mediaOf(operation)]: { schema: shared(schemaOf(body, 'input'), `${id}.body`, schemas) },
            },
          },
        }
      : {}),
    responses: codes,
  };
}

const mediaOf = ({ plainText, form }: Operation): string => (plainText ? 'text/plain' : form ? 'multipart/form-data' : 'application/json');

function done(code: Success, schema: Schema | undefined): Response {
  const body = schema && code !== 204 ? { content: { 'application/json': { schema } } } : {};
  const location = { Location: { description: 'Where it is now', schema: TEXT } };
  return { description: code === 201 ? 'Made' : 'Done', ...(code === 201 ? { headers: location } : {}), ...body };
}

/** Who may call it: for people, and as `x-roles` or `x-access` for programs. */
function admittance({ roles, access }: Operation): Pick<DocumentedOperation, 'description' | 'x-roles' | 'x-access'> {
  if (roles.length > 0) return { description: `Needs one of the roles ${roles.join(', ')}.`, 'x-roles': [...roles] };
  return access === undefined ? {} : { description: `For ${OPEN_TO[access]}.`, 'x-access': access };
}

function pathParameters({ path }: Operation): DocumentedOperation['parameters'] {
  return [...path.matchAll(/\{([^}.]+)(?:\.{3})?\}/g)].map(([, name = '']) => ({ name, in: 'path', required: true, schema: TEXT }));
}

function queryParameters({ query }: Operation): DocumentedOperation['parameters'] {
  return Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: 'query',
    required: schema instanceof z.ZodType && !schema.safeParse(undefined).success,
    schema: schema instanceof z.ZodType ? schemaOf(schema, 'input') : {},
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline', cycles: 'ref' });
  return rest;
}

/**
 * What a schema that contains itself refers to stands among the document's schemas: a reference is read from the root of the
 * document, and not of the schema.
 */
function shared(schema: Schema, name: string, schemas: Components): Schema {
  const text = JSON.stringify(schema);
  if (!text.includes('"$ref":"#')) return schema;
  const { $defs = {}, ...whole }: Schema = JSON.parse(
    text.replaceAll(
      /"\$ref":"#(?:\/\$defs\/([^"]+))?"/g,
      (_, key?: string) => `"$ref":"#/components/schemas/${key === undefined ? name : `${name}.${key}`}"`,
    ),
  );
  for (const [key, inner] of Object.entries($defs)) schemas[`${name}.${key}`] = inner;
  schemas[name] = whole;
  return { $ref: `#/components/schemas/${name}` };
}
