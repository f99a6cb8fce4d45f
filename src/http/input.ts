/**
 * Reading forms. One kind of body, of bounded size, in one encoding, every field at most once: what is left is a flat
 * record of strings, which a zod schema then makes into what the route works with.
 */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { AppError, badInput } from '../errors.ts';

/** The longest form of ours holds a password, a few names and a state: 16 KiB is several times that. */
const MAX_BYTES = 16 * 1024;
const MAX_FIELDS = 100;
/** How our forms name their fields. Brackets would be an array, and the three names below reach into every object. */
const FIELD_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const FORBIDDEN_NAMES = new Set(['constructor', 'prototype', '__proto__']);

/** A schema for whoever wants all fields as they are. */
export const anyFields = z.record(z.string(), z.string());

/**
 * Reads the body of a form post and checks it.
 * @param ctx Koa's, or anything with the request; the body must not have been read before
 * @param schema takes a record of strings
 * @throws AppError 415 for another content type, 413 for more than 16 KiB, `bad_input` naming the first wrong field
 */
export async function readForm<Schema extends z.ZodType>(ctx: { req: IncomingMessage }, schema: Schema): Promise<z.output<Schema>> {
  const result = schema.safeParse(parseForm(await readFormText(ctx)));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = String(issue?.path[0] ?? 'form');
  const missing = issue?.code === 'invalid_type' && issue.message.endsWith('received undefined');
  throw badInput(field, missing ? `The field "${field}" is missing.` : (issue?.message ?? 'This form cannot be read.'));
}

/**
 * Reads the body of a form post as it is, for whoever passes it on.
 * @throws AppError 415 for another content type, 413 for more than 16 KiB
 */
export async function readFormText(ctx: { req: IncomingMessage }): Promise<string> {
  requireForm(ctx.req);
  return readBody(ctx.req);
}

/** The fields of `application/x-www-form-urlencoded` text (WHATWG URL section 5.1), strictly. */
export function parseForm(text: string): Record<string, string> {
  // Without a prototype: a field named `toString` is a field like any other, and one that is absent is absent.
  const fields: Record<string, string> = Object.create(null);
  const pairs = text.split('&').filter((pair) => pair !== '');
  if (pairs.length > MAX_FIELDS) throw badInput('form', `This form has more than ${MAX_FIELDS} fields.`);
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = checkedName(decode(equals === -1 ? pair : pair.slice(0, equals), 'form'));
    const value = decode(equals === -1 ? '' : pair.slice(equals + 1), name);
    if (name in fields) throw badInput(name, `The field "${name}" was sent more than once.`);
    // No field of ours needs it, and PostgreSQL cannot store it.
    if (value.includes('\0')) throw badInput(name, `The field "${name}" holds a character that is no text.`);
    fields[name] = value;
  }
  return fields;
}

function checkedName(name: string): string {
  const [plain = ''] = name.split('[', 1);
  if (!FIELD_NAME.test(plain) || FORBIDDEN_NAMES.has(plain)) throw badInput('form', 'This form has a field whose name cannot be one of ours.');
  if (plain !== name) throw badInput(plain, `The field "${plain}" was sent as a list. Send one value.`);
  return name;
}

/** Browsers encode every special character; what does not decode was not made by our form. */
function decode(text: string, field: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badInput(field, 'This form is not encoded as UTF-8.');
  }
}

/**
 * Only what an HTML form sends by default. `text/plain` and multipart are refused because other pages can post them too
 * and nothing of ours does.
 */
function requireForm(request: IncomingMessage): void {
  const unsupported = (message: string): AppError => new AppError({ code: 'unsupported_media_type', status: 415, message });
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
  if (type.trim() !== 'application/x-www-form-urlencoded') throw unsupported('Send this form as application/x-www-form-urlencoded.');
  for (const parameter of parameters) {
    const charset = /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1];
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw unsupported('Send this form in UTF-8.');
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupported('Send this form without compression.');
}

const tooLarge = (): AppError =>
  new AppError({
    code: 'too_large',
    status: 413,
    message: `This form is larger than the ${MAX_BYTES / 1024} KiB that are accepted. Shorten what you entered.`,
  });

async function readBody(request: IncomingMessage): Promise<string> {
  if (request.readableEnded || request.destroyed) throw new Error('The body of this request was read before.');
  if (Number(request.headers['content-length'] ?? 0) > MAX_BYTES) {
    request.resume();
    throw tooLarge();
  }
  const bytes = await collect(request);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw badInput('form', 'This form is not encoded as UTF-8.');
  }
}

/** Not `for await`: leaving that loop destroys the request, and with it the connection that the answer needs. */
function collect(request: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    if (length <= MAX_BYTES) {
      chunks.push(chunk);
      return;
    }
    // The rest is let go by unread, so that the answer reaches whoever is still sending.
    finish(() => reject(tooLarge()));
    request.resume();
  };
  const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks)));
  const onGone = (): void => finish(() => reject(badInput('form', 'The connection ended before the whole form had arrived.')));
  const finish = (settle: () => void): void => {
    request.off('data', onData).off('end', onEnd).off('close', onGone);
    settle();
  };
  // An 'error' without a listener would end the process; 'close' follows it.
  request
    .on('error', () => {})
    .on('data', onData)
    .once('end', onEnd)
    .once('close', onGone);
  return promise;
}
