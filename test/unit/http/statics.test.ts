import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { createStatics } from '../../../src/http/statics.ts';

const css = 'body { color: teal; }\n'.repeat(50);
const svg = '<svg xmlns="http://www.w3.org/2000/svg"/>';

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: Buffer;
}

/** A small folder served on a port of its own. `ask` sends the path as it is: fetch would tidy it up first. */
async function serve(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'cardea-statics-'));
  const folder = join(root, 'public');
  mkdirSync(join(folder, 'img'), { recursive: true });
  writeFileSync(join(root, 'secret.css'), 'secret');
  writeFileSync(join(folder, 'page.css'), css);
  writeFileSync(join(folder, 'img', 'dot.svg'), svg);
  const statics = createStatics(folder);

  const app = new Koa();
  app.use(statics.middleware);
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => {
    server.close();
    rmSync(root, { recursive: true });
  });

  const { port } = server.address() as AddressInfo;
  const ask = (path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }));
      });
      asked.on('error', reject);
      asked.end();
    });
  return { statics, ask, folder };
}

test('a file under the hash of its content may be kept for ever', async (t) => {
  const { statics, ask } = await serve(t);
  t.regex(statics.url('page.css'), /^\/resources\/[0-9a-f]{16}\/page\.css$/);
  const { status, headers, body } = await ask(statics.url('page.css'));
  t.is(status, 200);
  t.is(headers['content-type'], 'text/css; charset=utf-8');
  t.is(headers['cache-control'], 'public, max-age=31536000, immutable');
  t.is(headers['x-content-type-options'], 'nosniff');
  t.is(headers['content-length'], String(css.length));
  t.is(body.toString(), css);
});

test('a file in a folder is found, with its own type', async (t) => {
  const { statics, ask } = await serve(t);
  const { headers, body } = await ask(statics.url('img/dot.svg'));
  t.is(headers['content-type'], 'image/svg+xml');
  t.regex(String(headers['content-security-policy']), /sandbox/);
  t.is(body.toString(), svg);
});

test('under another hash, or none, it is served but asked for again', async (t) => {
  const { ask } = await serve(t);
  for (const path of ['/resources/0123456789abcdef/page.css', '/resources/page.css']) {
    const { status, headers } = await ask(path);
    t.is(status, 200, path);
    t.is(headers['cache-control'], 'no-cache', path);
  }
});

test('a browser that has it is told so', async (t) => {
  const { ask } = await serve(t);
  const etag = String((await ask('/resources/page.css')).headers.etag);
  const { status, body } = await ask('/resources/page.css', { headers: { 'If-None-Match': etag } });
  t.is(status, 304);
  t.is(body.length, 0);
});

test('HEAD says what GET would, without the content', async (t) => {
  const { ask } = await serve(t);
  const { status, headers, body } = await ask('/resources/page.css', { method: 'HEAD' });
  t.is(status, 200);
  t.is(headers['content-length'], String(css.length));
  t.is(body.length, 0);
});

test('who takes brotli gets it, as another representation', async (t) => {
  const { ask } = await serve(t);
  const packed = await ask('/resources/page.css', { headers: { 'Accept-Encoding': 'gzip, br' } });
  t.is(packed.headers['content-encoding'], 'br');
  t.is(packed.headers.vary, 'Accept-Encoding');
  t.is(brotliDecompressSync(packed.body).toString(), css);
  t.not(packed.headers.etag, (await ask('/resources/page.css')).headers.etag);
});

test('no path leads out of the folder, and nothing but reading is answered', async (t) => {
  const { ask } = await serve(t);
  const paths = [
    '/resources/',
    '/resources',
    '/resources/img',
    '/resources/nothing.css',
    '/resources/../secret.css',
    '/resources/..%2fsecret.css',
    '/resources/%2e%2e/secret.css',
    '/resources/0123456789abcdef/../../secret.css',
    '/resources/..\\secret.css',
    '/resources//etc/passwd',
    '/resources/page.css%00.svg',
    '/resources/__proto__',
    '/page.css',
  ];
  for (const path of paths) t.is((await ask(path)).status, 404, path);
  t.is((await ask('/resources/page.css', { method: 'POST' })).status, 404);
});

test('a name that is not there, and a type that is not known, are mistakes found at start', async (t) => {
  const { statics, folder } = await serve(t);
  t.throws(() => statics.url('page.scss'), { message: /no public file named page\.scss/ });
  writeFileSync(join(folder, 'notes.docx'), '');
  t.throws(() => createStatics(folder), { message: /notes\.docx/ });
});

test('the real files are small', async (t) => {
  const statics = createStatics();
  t.notThrows(() => [statics.url('cardea.css'), statics.url('favicon.svg'), statics.url('logo.svg')]);
});
