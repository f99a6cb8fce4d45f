/**
 * Whether a document is OpenAPI 3.1, as far as ours goes: the fields that the specification asks for (sections 4.8.1 to
 * 4.8.24), parameters and paths that fit each other, references that lead somewhere, and schemas of JSON Schema 2020-12.
 */
// biome-ignore lint/suspicious/noExplicitAny: any document is looked at
type Json = any;

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];

/** What is wrong with a document, one sentence each. */
export function documentFaults(document: Json): string[] {
  const operations = Object.entries<Json>(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => ({ path, method, operation })),
  );
  const ids = operations.map(({ operation }) => operation.operationId);
  return [
    ...(/^3\.1\.\d+$/.test(document.openapi) ? [] : ['openapi is no 3.1']),
    ...['title', 'version'].flatMap((name) => (typeof document.info?.[name] === 'string' ? [] : [`info.${name} is missing`])),
    ...ids.flatMap((id, index) => (ids.indexOf(id) === index ? [] : [`operationId ${id} is there twice`])),
    ...operations.flatMap(({ path, method, operation }) =>
      operationFaults(document, path, method, operation).map((fault) => `${method} ${path}: ${fault}`),
    ),
    ...securityFaults(document),
    ...referenceFaults(document, document),
    ...schemasIn(document).flatMap(([at, schema]) => schemaFaults(schema, at)),
  ];
}

function operationFaults(document: Json, path: string, method: string, operation: Json): string[] {
  const tags: string[] = (document.tags ?? []).map(({ name }: Json) => name);
  return [
    ...(path.startsWith('/') ? [] : ['the path begins with no slash']),
    ...(METHODS.includes(method) ? [] : ['there is no such method']),
    ...(operation.tags ?? []).flatMap((tag: string) => (tags.includes(tag) ? [] : [`tag ${tag} is not declared`])),
    ...(typeof operation.summary === 'string' && operation.summary !== '' ? [] : ['there is no summary']),
    ...parameterFaults(path, operation),
    ...bodyFaults(operation),
  ];
}

function securityFaults({ components, security = [] }: Json): string[] {
  const schemes: Json = components?.securitySchemes ?? {};
  return [
    ...Object.entries<Json>(schemes).flatMap(([name, { type }]) =>
      ['http', 'apiKey', 'oauth2', 'openIdConnect', 'mutualTLS'].includes(type) ? [] : [`security scheme ${name} is of no type`],
    ),
    ...security.flatMap((required: Json) => Object.keys(required).flatMap((name) => (schemes[name] ? [] : [`security scheme ${name} is not there`]))),
  ];
}

function parameterFaults(path: string, { parameters = [] }: Json): string[] {
  const places = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
  const names = parameters.map((one: Json) => `${one.in} ${one.name}`);
  return [
    ...places.flatMap((name) => (names.includes(`path ${name}`) ? [] : [`{${name}} is not among the parameters`])),
    ...parameters.flatMap((one: Json) => [
      ...(['path', 'query', 'header', 'cookie'].includes(one.in) ? [] : [`parameter ${one.name} is nowhere`]),
      ...(one.in === 'path' && (one.required !== true || !places.includes(one.name)) ? [`parameter ${one.name} is in no place of the path`] : []),
      ...(one.schema === undefined ? [`parameter ${one.name} has no schema`] : []),
    ]),
    ...(new Set(names).size === names.length ? [] : ['a parameter is there twice']),
  ];
}

function bodyFaults({ requestBody, responses }: Json): string[] {
  const statuses = Object.keys(responses ?? {});
  return [
    ...(requestBody && Object.keys(requestBody.content ?? {}).length === 0 ? ['the body has no content'] : []),
    ...(statuses.some((status) => /^2\d\d$/.test(status)) ? [] : ['nothing says how it succeeds']),
    ...statuses.flatMap((status) => [
      ...(/^([1-5]\d\d|[1-5]XX|default)$/.test(status) ? [] : [`${status} is no status`]),
      ...(typeof responses[status].description === 'string' ? [] : [`${status} has no description`]),
      ...(status === '204' && responses[status].content ? ['204 has content'] : []),
    ]),
  ];
}

function referenceFaults(document: Json, value: Json, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries<Json>(value).flatMap(([key, inner]) => {
    if (key !== '$ref' || typeof inner !== 'string') return referenceFaults(document, inner, `${at}/${key}`);
    const target = inner.startsWith('#/')
      ? inner
          .slice(2)
          .split('/')
          .reduce((within: Json, name) => within?.[name], document)
      : undefined;
    return target === undefined ? [`${at}: ${inner} leads nowhere`] : [];
  });
}

/** Every schema of the document, with where it stands. */
function schemasIn(value: Json, at = ''): [string, Json][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries<Json>(value).flatMap(([key, inner]): [string, Json][] => {
    if (key === 'schema') return [[`${at}/schema`, inner]];
    if (at === '/components' && key === 'schemas') return Object.entries<Json>(inner).map(([name, schema]) => [`${at}/schemas/${name}`, schema]);
    return schemasIn(inner, `${at}/${key}`);
  });
}

function schemaFaults(schema: Json, at: string): string[] {
  if (typeof schema === 'boolean') return [];
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return [`${at} is no schema`];
  const inner: [string, Json][] = [
    ...Object.entries<Json>(schema.properties ?? {}).map(([name, one]): [string, Json] => [`properties/${name}`, one]),
    ...['anyOf', 'oneOf', 'allOf', 'prefixItems'].flatMap((key) =>
      (schema[key] ?? []).map((one: Json, index: number): [string, Json] => [`${key}/${index}`, one]),
    ),
    ...['items', 'additionalProperties', 'propertyNames', 'not'].flatMap((key): [string, Json][] =>
      schema[key] === undefined ? [] : [[key, schema[key]]],
    ),
  ];
  const types: unknown[] = schema.type === undefined ? [] : [schema.type].flat();
  return [
    ...types.flatMap((type) => (TYPES.includes(String(type)) ? [] : [`${at}: type ${type} is none`])),
    ...(schema.required ?? []).flatMap((name: string) =>
      schema.properties?.[name] === undefined ? [`${at}: ${name} is required and not there`] : [],
    ),
    ...(schema.enum !== undefined && (!Array.isArray(schema.enum) || schema.enum.length === 0) ? [`${at}: enum has no values`] : []),
    ...(typeof schema.pattern === 'string' && !isPattern(schema.pattern) ? [`${at}: pattern is none`] : []),
    ...inner.flatMap(([key, one]) => schemaFaults(one, `${at}/${key}`)),
  ];
}

function isPattern(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}
