/**
 * A process of its own that draws one picture anew (picture.ts starts it): bytes on the standard input, a small PNG on the
 * standard output, or an end with an error.
 *
 * Decoders of pictures are large programs in C, and the picture is a stranger's. Here one that fails takes nothing along
 * with it: this process has no settings, no keys and no database, and ends after one picture. Only the decoders of the four
 * formats are let run: libvips has dozens, among them those of SVG, PDF and of programs that it would start.
 */
import { buffer } from 'node:stream/consumers';
import sharp from 'sharp';

/** More would take hundreds of megabytes to unpack. */
const MOST_PIXELS = 4096 * 4096;
/** Twice what it takes on a page (shown.ts), for screens that are that fine. */
const WIDEST = 240;
const HIGHEST = 96;
const PATIENCE_SECONDS = 8;

sharp.cache(false);
sharp.concurrency(1);
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer', 'VipsForeignLoadNsgifBuffer'],
});

// The first frame alone, turned as its camera was held; what else the file says of itself is left behind.
const drawn = await sharp(await buffer(process.stdin), { limitInputPixels: MOST_PIXELS, failOn: 'error', pages: 1 })
  .autoOrient()
  .resize({ width: WIDEST, height: HIGHEST, fit: 'inside', withoutEnlargement: true })
  .timeout({ seconds: PATIENCE_SECONDS })
  .png({ palette: true, compressionLevel: 9 })
  .toBuffer();
process.stdout.write(drawn);
