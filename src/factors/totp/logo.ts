/**
 * A picture in the middle of a QR code: how large it may be, and the code with it drawn.
 *
 * What it covers has to be restored from the rest. Error correction H restores 30 % of the codewords; the picture with its
 * white margin covers at most 16 % of the modules, and never reaches the patterns at the corners or the quiet zone.
 * Pictures are read by sharp, which is loaded when there is one: it is large, and hardly ever needed.
 */
import type { Sharp, SharpOptions } from 'sharp';
import { badInput } from '../../errors.ts';

/** An image file to show in the middle of the code: PNG, JPEG or SVG, at most 256 KiB. */
export interface Logo {
  bytes: Uint8Array;
}

/** A place, in modules from the corner of the whole drawing, quiet zone included. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export const MAX_LOGO_BYTES = 256 * 1024;
/** Of the modules, picture and margin together; the limit that was set is 20 %. */
const MOST_COVERED = 0.16;
/** Of the width, and of the height: what is further out belongs to the corners. */
const MOST_ACROSS = 0.6;
/** Modules of white around the picture, so that its edge is not read as modules. */
const MARGIN = 1;
/** A longer picture would be a line. */
const MOST_RATIO = 8;
/** Of the quiet zone on each side, as qrcode draws it (ISO/IEC 18004 asks for four modules). */
export const QUIET = 4;
/** More would take hundreds of megabytes to unpack. */
const MOST_PIXELS = 4096 * 4096;
const PATIENCE_SECONDS = 10;

const NOT_A_PICTURE = 'The logo is not a PNG, JPEG or SVG picture that can be read.';

/** What a picture is, by its first bytes. */
export function mediaType({ bytes }: Logo): 'image/png' | 'image/jpeg' | 'image/svg+xml' {
  if (bytes.length > MAX_LOGO_BYTES) throw badInput('logo', `The logo is larger than ${MAX_LOGO_BYTES / 1024} KiB. Use a smaller picture.`);
  const start = Buffer.from(bytes.subarray(0, 1024));
  if (start.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))) return 'image/png';
  if (start.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'image/jpeg';
  if (/<svg[\s>]/.test(start.toString('utf8'))) return 'image/svg+xml';
  throw badInput('logo', NOT_A_PICTURE);
}

/**
 * Where the picture goes, and the white around it.
 * @param size of the whole drawing, in modules, quiet zone included
 * @throws AppError `bad_input` (field `logo`) for what is no picture, or one that is too long and thin
 */
export async function placed(logo: Logo, size: number): Promise<{ picture: Box; white: Box }> {
  const ratio = await ratioOf(logo);
  const modules = size - 2 * QUIET;
  const across = MOST_ACROSS * modules - 2 * MARGIN;
  // (ratio·h + 2m)(h + 2m) = covered, for the height h.
  const b = 2 * MARGIN * (ratio + 1);
  const c = 4 * MARGIN ** 2 - MOST_COVERED * modules ** 2;
  const height = Math.min((-b + Math.sqrt(b ** 2 - 4 * ratio * c)) / (2 * ratio), across, across / ratio);
  const centred = (width: number, high: number): Box => ({ x: (size - width) / 2, y: (size - high) / 2, width, height: high });
  // Whole modules: one that is half white is read as either.
  const whole = (length: number): number => size - 2 * Math.floor((size - length) / 2);
  const width = height * ratio;
  return { picture: centred(width, height), white: centred(whole(width + 2 * MARGIN), whole(height + 2 * MARGIN)) };
}

/**
 * Draws the picture onto a PNG of the code.
 * @param scale pixels a module
 */
export async function withPicture(png: Buffer, logo: Logo, { size, scale }: { size: number; scale: number }): Promise<Buffer> {
  const { picture, white } = await placed(logo, size);
  const pixels = (box: Box) => ({
    left: Math.round(box.x * scale),
    top: Math.round(box.y * scale),
    width: Math.max(1, Math.round(box.width * scale)),
    height: Math.max(1, Math.round(box.height * scale)),
  });
  const [inner, outer] = [pixels(picture), pixels(white)];
  const sharp = await library();
  const drawn = await read(logo, (image) => image.resize({ width: inner.width, height: inner.height, fit: 'fill' }).png().toBuffer(), inner.width);
  const plate = { create: { width: outer.width, height: outer.height, channels: 3 as const, background: '#ffffff' } };
  return sharp(png)
    .composite([
      { input: plate, left: outer.left, top: outer.top },
      { input: drawn, left: inner.left, top: inner.top },
    ])
    .png()
    .toBuffer();
}

async function ratioOf(logo: Logo): Promise<number> {
  const { width, height } = await read(logo, async (image) => (await image.toBuffer({ resolveWithObject: true })).info);
  const ratio = width / height;
  if (ratio > MOST_RATIO || ratio < 1 / MOST_RATIO)
    throw badInput('logo', `The logo is more than ${MOST_RATIO} times as long as it is wide. Use one that is nearer to a square.`);
  return ratio;
}

/** Whatever is wrong with a picture is one sentence, and not the library's, which may quote the file. */
async function read<T>(logo: Logo, work: (image: Sharp) => Promise<T>, width = 0): Promise<T> {
  const type = mediaType(logo);
  const sharp = await library();
  const options: SharpOptions = { limitInputPixels: MOST_PIXELS, failOn: 'error' };
  try {
    // A drawing is made as large as it is needed, not enlarged afterwards.
    const density = type === 'image/svg+xml' && width > 0 ? { density: densityFor((await sharp(logo.bytes, options).metadata()).width, width) } : {};
    return await work(
      sharp(logo.bytes, { ...options, ...density })
        .rotate()
        .timeout({ seconds: PATIENCE_SECONDS }),
    );
  } catch {
    throw badInput('logo', NOT_A_PICTURE);
  }
}

const densityFor = (drawn: number, wanted: number): number => Math.min(2_400, Math.max(72, Math.ceil((72 * wanted) / Math.max(drawn, 1))));

const library = async () => (await import('sharp')).default;
