/** The OpenAPI document as a page for people: what there is to call, by tags, with schemas written out. */
import type Koa from 'koa';
import { securityHeaders } from '../../http/headers.ts';
import { setLanguage } from '../../http/language.ts';
import type { Renderer } from '../../http/render.ts';
import { ENGLISH } from '../../languages/languages.ts';
import { type Components, type DocumentedOperation, type OpenApiDocument, openApiDocument } from './openapi.ts';
import { writtenSchema } from './schema-text.ts';

/** One operation, as the page shows it. */
interface ShownOperation {
  id: string;
  method: string;
  path: string;
  summary: string;
  /** Who may call it, in words. */
  access: string;
  parameters: { name: string; where: string; required: boolean; schema: string }[];
  body: { type: string; required: boolean; schema: string } | null;
  answers: { status: string; description: string; schema: string | null }[];
}

export interface Reference {
  title: string;
  description: string;
  tags: { name: string; anchor: string; operations: ShownOperation[] }[];
}

/** As far as the page reads it. */
type Document = Pick<OpenApiDocument, 'tags' | 'paths'> & { info: { title: string; description: string }; components: { schemas: Components } };

/** The page's model. Refusals are alike everywhere and are told once. */
export function referenceOf(document: Document): Reference {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ tags: operation.tags, shown: shownOperation(document, path, method, operation) })),
  );
  return {
    title: document.info.title,
    description: document.info.description,
    tags: document.tags.map(({ name }) => ({
      name,
      anchor: `tag-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`,
      operations: operations.filter(({ tags }) => tags.includes(name)).map(({ shown }) => shown),
    })),
  };
}

function shownOperation({ components: { schemas } }: Document, path: string, method: string, operation: DocumentedOperation): ShownOperation {
  const { operationId, summary, description = '', parameters, requestBody, responses } = operation;
  const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  return {
    id: operationId,
    method: method.toUpperCase(),
    path,
    summary,
    access: description,
    parameters: parameters.map(({ name, in: where, required, schema }) => ({ name, where, required, schema: writtenSchema(schema, schemas) })),
    body: type === undefined || !body ? null : { type, required: requestBody?.required === true, schema: writtenSchema(body.schema, schemas) },
    answers: Object.entries(responses).flatMap(([status, answer]) => {
      if (!/^2\d\d$/.test(status)) return [];
      const [content] = Object.values(answer.content ?? {});
      return [{ status, description: answer.description, schema: content ? writtenSchema(content.schema, schemas) : null }];
    }),
  };
}

let made: Reference | undefined;

/** Answers `GET /admin/api`, for whoever asks: nothing in it is secret. */
export async function handleReference({ origin, render }: { origin: string; render: Renderer['render'] }, ctx: Koa.Context): Promise<void> {
  made ??= referenceOf(openApiDocument(origin));
  setLanguage(ctx, ENGLISH);
  ctx.set(securityHeaders({ origin }));
  await render(ctx, 'admin/api', { ...made, document: '/admin/openapi.json' });
}
