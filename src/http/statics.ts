/**
 * The few files below public/: style sheet, favicon, logo. They are read once at start, so that serving one touches no
 * disk and no path ever reaches the file system.
 *
 * A page asks for `/resources/<hash of the content>/cardea.css`, and that answer may be kept for ever. The same file under
 * any other hash, or none, is served too, but is asked for again each time: while two releases run side by side, a
 * page of one fetches its style from the other.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import type Koa from 'koa';

const PUBLIC_DIR = fileURLToPath(new URL('../../public/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

/** Types that are compressed already. */
const PACKED = new Set(['.png', '.woff2']);

interface StaticFile {
  type: string;
  hash: string;
  plain: Buffer;
  /** Brotli, where it is smaller. */
  packed: Buffer | undefined;
}

export interface Statics {
  /** The path of a file with its content hash. Throws for a file that is not there: a typing mistake in a view. */
  url(name: string): string;
  /** Answers GET and HEAD below /resources/; everything else goes on. */
  middleware: Koa.Middleware;
}

/**
 * Reads a folder and serves it under /resources/.
 * @throws when the folder holds a file of a type that is not listed above.
 */
export function createStatics(folder: string = PUBLIC_DIR): Statics {
  const files = readFolder(folder);

  return {
    url(name) {
      const file = files.get(name);
      if (!file) throw new Error(`there is no public file named ${name}`);
      return `/resources/${file.hash}/${name}`;
    },

    async middleware(ctx, next) {
      const [, hash, name] = /^\/resources\/(?:([0-9a-f]{16})\/)?(.+)$/.exec(ctx.path) ?? [];
      const file = name === undefined ? undefined : files.get(name);
      if (!file || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
      ctx.set({
        'Cache-Control': hash === file.hash ? 'public, max-age=31536000, immutable' : 'no-cache',
        'X-Content-Type-Options': 'nosniff',
        'Cross-Origin-Resource-Policy': 'same-origin',
        // An SVG opened as a page of its own must not be able to do anything.
        'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      });
      send(ctx, file);
    },
  };
}

/** Sends the file, packed for who takes that, or 304 to who has it. */
function send(ctx: Koa.Context, file: StaticFile): void {
  const packed = ctx.acceptsEncodings('br', 'identity') === 'br' ? file.packed : undefined;
  if (file.packed) ctx.vary('Accept-Encoding');
  if (packed) ctx.set('Content-Encoding', 'br');
  ctx.type = file.type;
  ctx.etag = packed ? `${file.hash}-br` : file.hash;
  ctx.status = 200;
  if (ctx.fresh) ctx.status = 304;
  else ctx.body = packed ?? file.plain;
}

function readFolder(folder: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const extension = extname(entry.name);
    const type = TYPES[extension];
    if (type === undefined) throw new Error(`no content type is known for the public file ${entry.name}`);
    const plain = readFileSync(path);
    const packed = PACKED.has(extension) ? undefined : brotliCompressSync(plain);
    files.set(relative(folder, path).split(sep).join('/'), {
      type,
      hash: createHash('sha256').update(plain).digest('hex').slice(0, 16),
      plain,
      packed: packed && packed.length < plain.length ? packed : undefined,
    });
  }
  return files;
}
