/** Reading JSON: one kind of body, of bounded size, refused where it is something else. */
import type { IncomingMessage } from 'node:http';
import { AppError, badInput } from '../../errors.ts';

/** @throws AppError 415 for another content type, 413 for too much, 400 for what is no JSON */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  const text = await readText(request, maxBytes);
  if (text.trim() === '') return undefined;
  if (!/^application\/(?:[\w.+-]+\+)?json$/i.test(type.trim()))
    throw new AppError({ code: 'unsupported_media_type', status: 415, message: 'The body has to be application/json.' });
  try {
    return JSON.parse(text, withoutPrototypes);
  } catch {
    throw badInput('body', 'The body is not JSON.');
  }
}

/** The same for a text; as JSON it is taken, too. */
export async function readPlainText(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  return type.trim().toLowerCase() === 'text/plain' ? readText(request, maxBytes) : readJson(request, maxBytes);
}

/** The same for a form with files, each a text; as JSON it is taken, too. */
export async function readForm(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const type = request.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\s*;/i.test(type)) return readJson(request, maxBytes);
  const body = await readText(request, maxBytes);
  const form = await new Response(body, { headers: { 'content-type': type } }).formData().catch(() => undefined);
  if (form === undefined) throw badInput('body', 'The body is no form.');
  const fields = await Promise.all(
    [...form].map(async ([name, value]): Promise<[string, string]> => [name, typeof value === 'string' ? value : await value.text()]),
  );
  return Object.fromEntries(fields.filter(([name]) => name !== '__proto__'));
}

/** A key that would reach into every object is nobody's field. */
function withoutPrototypes(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}

async function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    size += bytes.length;
    if (size > maxBytes) {
      request.resume();
      throw new AppError({ code: 'too_large', status: 413, message: `The body may have ${Math.floor(maxBytes / 1024)} KiB at most.` });
    }
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  // PostgreSQL cannot store it, and no name holds it.
  if (text.includes('\\u0000') || text.includes('\0')) throw badInput('body', 'The body holds a null character.');
  return text;
}
