/** The OpenAPI 3.1 document of the REST API, made from the schemas that validate. */
import { z } from 'zod';
import type { Operation } from './operation.ts';
import { operations } from './operations.ts';

type Json = Record<string, unknown>;

let made: { origin: string; document: Json } | undefined;

/** Made once: it says the same until the next release. */
export function openApiDocument(origin: string): Json {
  if (made?.origin !== origin) made = { origin, document: documentOf(origin) };
  return made.document;
}

function documentOf(origin: string): Json {
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = `/admin${operation.path.replace('...}', '}')}`;
    const item = paths[path] ?? {};
    item[operation.method.toLowerCase()] = described(operation);
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
      schemas: { Error: ERROR },
    },
  };
}

const ERROR: Json = {
  type: 'object',
  properties: { error: { type: 'string' }, errorMessage: { type: 'string' }, field: { type: 'string' } },
  required: ['error', 'errorMessage'],
};

function described(operation: Operation): Json {
  const { id, tag, summary, roles, body, answer, status, inRealm } = operation;
  const refused = (description: string): Json => ({
    description,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  });
  const codes: Record<string, Json> = {
    [status]: { description: 'Done', ...(answer ? { content: { 'application/json': { schema: schemaOf(answer, 'output') } } } : {}) },
    400: refused('Something about the request is wrong; `field` names it'),
    401: refused('No valid bearer token, or one whose sign-in was not enough for an administrator'),
    403: refused('The token’s user may not do this'),
    404: refused('There is no such thing in this realm'),
    ...(operation.method === 'GET' ? {} : { 409: refused('It contradicts what is stored') }),
  };
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(roles.length > 0 ? { description: `Needs one of the roles ${roles.join(', ')}.`, 'x-roles': [...roles] } : {}),
    'x-in-realm': inRealm,
    parameters: [...pathParameters(operation), ...queryParameters(operation)],
    ...(body
      ? {
          requestBody: {
            required: true,
            content: { [operation.plainText === true ? 'text/plain' : 'application/json']: { schema: schemaOf(body, 'input') } },
          },
        }
      : {}),
    responses: codes,
  };
}

function pathParameters({ path }: Operation): Json[] {
  return [...path.matchAll(/\{([^}.]+)(?:\.{3})?\}/g)].map(([, name = '']) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
}

function queryParameters({ query }: Operation): Json[] {
  return Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: schema instanceof z.ZodType ? schemaOf(schema, 'input') : {},
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline', cycles: 'ref' });
  return rest;
}
