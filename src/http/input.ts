/**
 * Reading forms. One kind of body, of bounded size, in one encoding, every field at most once: what is left is a flat
 * record of strings, which a zod schema then makes into what the route works with.
 */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { AppError, badInput } from '../errors.ts';
import { type MessageKey, say } from '../languages/messages.ts';

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
  throw badInput(field, missing ? say('error.form.missing', { field }) : (issue?.message ?? say('error.form.unreadable')));
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
  if (pairs.length > MAX_FIELDS) throw badInput('form', say('error.form.tooManyFields', { most: MAX_FIELDS }));
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = checkedName(decode(equals === -1 ? pair : pair.slice(0, equals), 'form'));
    const value = decode(equals === -1 ? '' : pair.slice(equals + 1), name);
    if (name in fields) throw badInput(name, say('error.form.twice', { field: name }));
    // No field of ours needs it, and PostgreSQL cannot store it.
    if (value.includes('\0')) throw badInput(name, say('error.form.notText', { field: name }));
    fields[name] = value;
  }
  return fields;
}

function checkedName(name: string): string {
  const [plain = ''] = name.split('[', 1);
  if (!FIELD_NAME.test(plain) || FORBIDDEN_NAMES.has(plain)) throw badInput('form', say('error.form.foreignName'));
  if (plain !== name) throw badInput(plain, say('error.form.list', { field: plain }));
  return name;
}

/** Browsers encode every special character; what does not decode was not made by our form. */
function decode(text: string, field: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badInput(field, say('error.form.encoding'));
  }
}

/**
 * Only what an HTML form sends by default. `text/plain` and multipart are refused because other pages can post them too
 * and nothing of ours does.
 */
function requireForm(request: IncomingMessage): void {
  const unsupported = (key: MessageKey): AppError => new AppError({ code: 'unsupported_media_type', status: 415, message: say(key) });
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
  if (type.trim() !== 'application/x-www-form-urlencoded') throw unsupported('error.form.type');
  for (const parameter of parameters) {
    const charset = /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1];
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw unsupported('error.form.charset');
  }
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupported('error.form.compressed');
}

const tooLarge = (): AppError =>
  new AppError({
    code: 'too_large',
    status: 413,
    message: say('error.form.tooLarge', { most: MAX_BYTES / 1024 }),
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
    throw badInput('form', say('error.form.encoding'));
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
  const onGone = (): void => finish(() => reject(badInput('form', say('error.form.cutOff'))));
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
