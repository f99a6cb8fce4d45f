import { once } from 'node:events';
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { z } from 'zod';
import { AppError } from '../../../src/errors.ts';
import { anyFields, parseForm, readForm } from '../../../src/http/input.ts';
import fc from '../../support/property.ts';

const FORM = 'application/x-www-form-urlencoded';
const schema = z.object({
  username: z.string().min(1, { error: 'Enter your user name.' }),
  code: z
    .string()
    .regex(/^\d{6}$/, { error: 'The code has six digits.' })
    .optional(),
});

/** A server that answers what it read, or the error that it threw. */
async function serve(t: ExecutionContext, shape: z.ZodType = schema) {
  const app = new Koa();
  const thrown: unknown[] = [];
  app.use(async (ctx) => {
    try {
      ctx.body = await readForm(ctx, shape);
    } catch (error) {
      thrown.push(error);
      if (!(error instanceof AppError)) throw error;
      ctx.status = error.status;
      ctx.body = { code: error.code, field: error.field, message: error.message };
    }
  });
  app.silent = true;
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const post = async (body: string | Buffer | URLSearchParams, type: string | null = FORM, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      body,
      headers: { ...(type === null ? {} : { 'content-type': type }), ...headers },
    });
    const json: Record<string, unknown> = JSON.parse(await answer.text());
    return { status: answer.status, ...json };
  };
  return { post, port, thrown };
}

test('a form becomes what the schema makes of it', async (t) => {
  const { post } = await serve(t);
  t.deepEqual(await post('username=Zo%C3%AB+M&code=000000&other=x'), { status: 200, username: 'Zoë M', code: '000000' });
  t.deepEqual(await post('username=a%3Db%26c&&', `${FORM}; charset=UTF-8`), { status: 200, username: 'a=b&c' });
  t.deepEqual(await post('username=zoë', `${FORM};charset="utf-8"`), { status: 200, username: 'zoë' });
  t.deepEqual(await post(new URLSearchParams({ username: 'a%+ &=é😀\r\n' })), { status: 200, username: 'a%+ &=é😀\r\n' });
});

test('the first wrong field is named, in words for whoever typed it', async (t) => {
  const { post } = await serve(t);
  t.like(await post('username=&code=1'), { status: 400, code: 'bad_input', field: 'username', message: 'Enter your user name.' });
  t.like(await post('username=a&code=1e5'), { status: 400, field: 'code', message: 'The code has six digits.' });
  t.like(await post('code=000000'), { status: 400, field: 'username', message: 'The field "username" is missing.' });
  t.like(await post(''), { status: 400, field: 'username' });
  t.like(await post('username'), { status: 400, field: 'username', message: 'Enter your user name.' });
});

test('A13 a field sent twice or as a list is refused by name', async (t) => {
  const { post } = await serve(t);
  for (const body of [
    'code=1&code=2',
    'code=1&code=1',
    'code[]=1',
    'code[0]=1',
    'code[a]=1',
    'code%5B%5D=1',
    'code%5b0%5d=1',
    '%63ode=1&code=1',
    'code&code',
    'code[=1',
    'code[__proto__]=1',
  ]) {
    t.like(await post(`username=a&${body}`), { status: 400, code: 'bad_input', field: 'code' }, body);
  }
});

test('no field reaches into the prototype of anything', async (t) => {
  const { post } = await serve(t, anyFields);
  for (const body of [
    '__proto__=x',
    '__proto__[polluted]=x',
    'constructor=x',
    'constructor[prototype][polluted]=x',
    'prototype=x',
    '%5F_proto__=x',
  ]) {
    t.like(await post(body), { status: 400, field: 'form' }, body);
  }
  t.false('polluted' in {});
  t.deepEqual(await post('toString=x&hasOwnProperty=y'), { status: 200, toString: 'x', hasOwnProperty: 'y' });
  t.false('toString' in parseForm('a=1'));
});

test('names that no form of ours has are refused, and not repeated', async (t) => {
  const { post } = await serve(t, anyFields);
  for (const name of ['', '<script>', 'a b', 'a%00', '1a', 'x'.repeat(65), '%E2%80%AEa', 'é'])
    t.like(await post(`${name}=1`), { status: 400, field: 'form' }, name);
});

test('C03 only an ordinary form is read: not text, multipart or JSON', async (t) => {
  const { post } = await serve(t);
  for (const type of [
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/json',
    'application/x-www-form-urlencoded+x',
    `text/plain; ${FORM}`,
    '',
    'text/html',
    `${FORM}, text/plain`,
  ]) {
    t.like(await post('username=a', type), { status: 415, code: 'unsupported_media_type' }, type);
  }
  t.like(await post(Buffer.from('username=a'), null), { status: 415 });
});

test('UTF-8 is the only encoding', async (t) => {
  const { post } = await serve(t);
  for (const charset of ['iso-8859-1', 'utf-16', 'utf-7', '"latin1"', 'UTF-8-x'])
    t.like(await post('username=a', `${FORM}; charset=${charset}`), { status: 415 }, charset);
  for (const body of ['username=%', 'username=%zz', 'username=%E9', 'username=%C0%AF', 'username=%ED%A0%80', '%FF=1'])
    t.like(await post(body), { status: 400 }, body);
  t.like(await post(Buffer.from([...Buffer.from('username='), 0xff, 0xfe])), { status: 400, field: 'form' });
  t.like(await post('username=%00'), { status: 400, field: 'username' });
  t.like(await post('username=a', FORM, { 'content-encoding': 'gzip' }), { status: 415 });
});

test('16 KiB are read and a byte more is not, whether its length is announced or not', async (t) => {
  const { post } = await serve(t);
  const fits = `username=${'x'.repeat(16 * 1024 - 9)}`;
  t.like(await post(fits), { status: 200 });
  t.like(await post(`${fits}x`), { status: 413, code: 'too_large' });
  t.like(await post(`${fits}${'x'.repeat(5_000_000)}`), { status: 413 });
  t.regex(String(((await post(`${fits}x`)) as { message?: unknown }).message), /larger than the 16 KiB/);
});

/** Sends bytes as they are; resolves with what came back when the server, or we, end the connection. */
function raw(port: number, parts: string[], pause = 20): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      if (answer.includes('}')) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
    const send = async (): Promise<void> => {
      for (const part of parts) {
        socket.write(part);
        await new Promise((done) => setTimeout(done, pause));
      }
    };
    void send();
  });
}

test('a body without a length is cut off at the limit', async (t) => {
  const { port } = await serve(t);
  const chunk = `1000\r\n${'x'.repeat(0x1000)}\r\n`;
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  t.regex(await raw(port, [head, chunk, chunk, chunk, chunk, chunk]), /^HTTP\/1\.1 413/);
});

test('a body that arrives in pieces is put together, also inside a character', async (t) => {
  const { port } = await serve(t);
  const whole = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 15\r\n\r\n`;
  t.regex(await raw(port, [whole, 'userna', 'me=%', 'C3', '%A9']), /"username":"é"/);
});

/** Waits for what another end of a connection will bring about. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a visitor who leaves in the middle of a form ends the reading', async (t) => {
  const { port, thrown } = await serve(t);
  const socket = connect(port, '127.0.0.1');
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n`);
  // The server says so when it has the request, and begins to read.
  await once(socket, 'data');
  socket.write('username=', () => socket.destroy());
  await until(() => thrown.length > 0);
  t.like(thrown[0], { code: 'bad_input', field: 'form' });
});

test('too many fields are refused', (t) => {
  const fields = (count: number): string => Array.from({ length: count }, (_, index) => `f${index}=1`).join('&');
  t.is(Object.keys(parseForm(fields(100))).length, 100);
  t.throws(() => parseForm(fields(101)), { code: 'bad_input' });
});

test('what a browser encodes comes out as it went in', (t) => {
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,20}$/).filter((text) => text !== 'constructor' && text !== 'prototype');
  const value = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.dictionary(name, value, { noNullPrototype: true }), (fields) => {
      t.deepEqual({ ...parseForm(new URLSearchParams(fields).toString()) }, fields);
    }),
  );
});

test('whatever is sent becomes a flat record of strings or a clear refusal', (t) => {
  const piece = fc.constantFrom('a', 'code', '=', '&', '[', ']', '%', '%00', '%5B', '+', '__proto__', 'é', '.', '1', ';', '\ud800');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      ),
      (text) => {
        try {
          return Object.entries(parseForm(text)).every(([name, value]) => /^[A-Za-z]/.test(name) && typeof value === 'string');
        } catch (error) {
          return error instanceof AppError && error.status === 400;
        }
      },
    ),
    { numRuns: 5000 },
  );
  t.pass();
});
