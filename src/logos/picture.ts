/**
 * Makes a small PNG of a picture that somebody else has chosen: what is shown is drawn by us, and nothing of the file that
 * was fetched ever reaches a browser.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Turns } from '../crypto/turns.ts';
import type { Picture } from '../store/client-logos.ts';

/** What was fetched is not one of the pictures that are shown, or cannot be read. */
export class NotAPicture extends Error {}

const DECODER = fileURLToPath(new URL('decoder.ts', import.meta.url));
/** Until the process is ended, however busy it is; milliseconds. */
const PATIENCE_MS = 15_000;
/** A drawing of our size takes a fifth of it. */
const MOST_BYTES = 128 * 1024;
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Each takes memory and a processor: sign-ins go on beside them. */
const turns = new Turns({ concurrency: 2, limit: 100 });

/** Whether the bytes begin like a PNG, a JPEG, a WebP or a GIF. What a server says that they are is not looked at. */
function looksLikePicture(bytes: Buffer): boolean {
  const start = bytes.toString('latin1', 0, 12);
  return bytes.subarray(0, PNG.length).equals(PNG) || start.startsWith('\xff\xd8\xff') || /^GIF8[79]a/.test(start) || /^RIFF.{4}WEBP$/s.test(start);
}

/**
 * Draws it anew.
 * @throws NotAPicture for what is none of the four formats, is broken, or is too large to unpack; anything else is a fault of ours
 */
export async function redrawn(bytes: Buffer): Promise<Picture> {
  if (!looksLikePicture(bytes)) throw new NotAPicture('It is no PNG, JPEG, WebP or GIF.');
  const png = await turns.take('', () => decode(bytes));
  if (png.length < 24 || !png.subarray(0, PNG.length).equals(PNG)) throw new NotAPicture('Nothing could be drawn of it.');
  // The first chunk of a PNG says how large it is (ISO/IEC 15948 section 11.2.2).
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  return { bytes: png, hash: createHash('sha256').update(png).digest('hex'), width, height };
}

function decode(bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { encoding: 'buffer', env: {}, maxBuffer: MOST_BYTES, timeout: PATIENCE_MS, killSignal: 'SIGKILL' } as const;
    const child = execFile(process.execPath, ['--max-old-space-size=64', DECODER], options, (error, drawn) => {
      if (error) reject('syscall' in error ? error : new NotAPicture('It cannot be read.', { cause: error }));
      else resolve(drawn);
    });
    // One that has ended already reads nothing more; its end says so.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(bytes);
  });
}
