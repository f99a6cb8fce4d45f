/** The OpenAPI document as tests walk through it, and requests made from it. */
import { callAdmin } from './admin.ts';
import type { Cardea } from './cardea.ts';

export interface JsonSchema {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema;
  items?: JsonSchema;
  prefixItems?: JsonSchema[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  $ref?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query';
  required: boolean;
  schema: JsonSchema;
}

export interface Documented {
  id: string;
  method: string;
  /** From `/admin`, such as `/realms/{realm}/users/{id}`. */
  path: string;
  parameters: Parameter[];
  /** Roles, any one of which is enough. */
  roles: string[];
  /** Who is let in where no role is named. */
  access: string | undefined;
  inRealm: boolean;
  body: { type: string; required: boolean; schema: JsonSchema } | undefined;
  statuses: string[];
}

// biome-ignore lint/suspicious/noExplicitAny: a document is looked into as it comes
type Json = any;

export async function openApiOf(server: Cardea): Promise<Json> {
  return (await callAdmin(server, 'GET', '/openapi.json', {})).body;
}

/** Every operation of the document, as the running server gives it. */
export async function documentedOperations(server: Cardea): Promise<Documented[]> {
  const document = await openApiOf(server);
  return Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]): Documented => {
      const [type, content] = Object.entries<Json>(operation.requestBody?.content ?? {})[0] ?? [];
      return {
        id: operation.operationId,
        method: method.toUpperCase(),
        path: path.replace(/^\/admin/, ''),
        parameters: operation.parameters,
        roles: operation['x-roles'] ?? [],
        access: operation['x-access'],
        inRealm: operation['x-in-realm'],
        body: type === undefined ? undefined : { type, required: operation.requestBody.required === true, schema: content.schema },
        statuses: Object.keys(operation.responses),
      };
    }),
  );
}

/** Those that end what others need come last: a realm is changed after what is in it, and deleted after that. */
export function destructiveLast(operations: readonly Documented[]): Documented[] {
  const rank = ({ method, path }: Documented): number => (path !== '/realms/{realm}' ? 0 : method === 'DELETE' ? 2 : 1);
  return [...operations].sort((a, b) => rank(a) - rank(b));
}

/** The path with its places filled. */
export const filled = (path: string, values: Readonly<Record<string, string>>): string =>
  path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? crypto.randomUUID()));

/** One after another, `width` at a time. */
export async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>, width = 8): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** A request as the document describes it; a body is sent as its type. */
export function request(
  server: Cardea,
  { method, body: described }: Pick<Documented, 'method' | 'body'>,
  path: string,
  options: { token?: string | null; body?: unknown; headers?: Record<string, string> },
) {
  const { body, headers = {}, token = null } = options;
  if (body === undefined || described?.type !== 'text/plain') return callAdmin(server, method, path, options);
  return callAdmin(server, method, path, { token, text: String(body), headers: { ...headers, 'content-type': 'text/plain' } });
}
