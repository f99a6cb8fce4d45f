/** Strangers' pictures become small PNGs of ours, or nothing. */
import test from 'ava';
import sharp from 'sharp';
import { NotAPicture, redrawn } from '../../../src/logos/picture.ts';
import { pictureOf } from '../../support/logos.ts';

const is = { instanceOf: NotAPicture };

for (const format of ['png', 'jpeg', 'webp', 'gif'] as const) {
  test(`a ${format} becomes a PNG of the size that pages show`, async (t) => {
    const { bytes, width, height, hash } = await redrawn(await pictureOf(1000, 400, format));
    const read = await sharp(bytes).metadata();
    t.like(read, { format: 'png', width: 240, height: 96 });
    t.like({ width, height }, { width: 240, height: 96 });
    t.regex(hash, /^[0-9a-f]{64}$/);
    const { data } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    t.true((data[0] ?? 0) > 200 && (data[1] ?? 255) < 50, 'and it is red still');
  });
}

test('a small one is not enlarged, and a line stays a line', async (t) => {
  t.like(await redrawn(await pictureOf(16, 16)), { width: 16, height: 16 });
  t.like(await redrawn(await pictureOf(4000, 2)), { width: 240, height: 1 });
  t.like(await redrawn(await pictureOf(2, 4000)), { width: 1, height: 96 });
});

test('what can be seen through stays so', async (t) => {
  const png = await sharp({ create: { width: 10, height: 10, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } })
    .png()
    .toBuffer();
  const { bytes } = await redrawn(png);
  t.is((await sharp(bytes).ensureAlpha().raw().toBuffer())[3], 0);
});

test('nothing of the file comes along: metadata, comments, what is appended', async (t) => {
  const jpeg = await sharp({ create: { width: 60, height: 20, channels: 3, background: 'red' } })
    .withMetadata({ orientation: 6 })
    .withExif({ IFD0: { Copyright: 'a secret of the camera' } })
    .jpeg()
    .toBuffer();
  t.true(jpeg.includes('a secret of the camera'));
  const { bytes, width, height } = await redrawn(Buffer.concat([jpeg, Buffer.from('<script>alert(1)</script>')]));
  t.like({ width, height }, { width: 20, height: 60 }, 'it is turned as it says');
  const read = await sharp(bytes).metadata();
  t.deepEqual([read.exif, read.icc, read.xmp, read.orientation], [undefined, undefined, undefined, undefined]);
  t.false(bytes.includes('secret'));
  t.false(bytes.includes('script'));
});

test('of one that moves it is the first picture', async (t) => {
  const frames = Buffer.concat([Buffer.alloc(20 * 20 * 3, Buffer.from([255, 0, 0])), Buffer.alloc(20 * 20 * 3, Buffer.from([0, 255, 0]))]);
  const gif = await sharp(frames, { raw: { width: 20, height: 40, channels: 3, pageHeight: 20 } })
    .gif({ loop: 0, delay: [100, 100] })
    .toBuffer();
  t.is((await sharp(gif, { animated: true }).metadata()).pages, 2);
  const { bytes, height } = await redrawn(gif);
  t.is(height, 20);
  const [red = 0, green = 0] = await sharp(bytes).removeAlpha().raw().toBuffer();
  t.true(red > 200 && green < 50);
});

test('a few bytes that unpack to a gigabyte are refused', async (t) => {
  const bomb = await sharp({ create: { width: 16_000, height: 16_000, channels: 3, background: 'red' } })
    .png({ compressionLevel: 9 })
    .toBuffer();
  t.true(bomb.length < 1024 * 1024);
  await t.throwsAsync(redrawn(bomb), is);
});

test('what is no picture is refused by its content: pages, drawings with scripts, other formats, and nothing at all', async (t) => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>alert(1)</script></svg>';
  const tiff = await sharp({ create: { width: 10, height: 10, channels: 3, background: 'red' } })
    .tiff()
    .toBuffer();
  for (const bytes of ['', '\x89PNG', '<!doctype html><title>Logo</title>', svg, `<?xml version="1.0"?>${svg}`, 'GIF89', '%PDF-1.7', tiff])
    await t.throwsAsync(redrawn(Buffer.from(bytes)), { ...is, message: 'It is no PNG, JPEG, WebP or GIF.' });
});

test('what only begins like a picture is refused, whatever comes then', async (t) => {
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>');
  for (const start of ['89504e470d0a1a0a', 'ffd8ff', Buffer.from('GIF89a').toString('hex'), Buffer.from('RIFF\0\0\0\0WEBP').toString('hex')])
    for (const rest of [svg, Buffer.alloc(5_000, 0x41), Buffer.alloc(0)])
      await t.throwsAsync(redrawn(Buffer.concat([Buffer.from(start, 'hex'), rest])), { ...is, message: 'It cannot be read.' });
});

test('a picture that breaks off is refused', async (t) => {
  for (const format of ['png', 'jpeg', 'webp'] as const) {
    const whole = await sharp(await noise())
      .toFormat(format)
      .toBuffer();
    await t.throwsAsync(redrawn(whole.subarray(0, whole.length / 2)), { ...is, message: 'It cannot be read.' }, format);
  }
});

test('the most colourful picture is small when it is drawn', async (t) => {
  t.true((await redrawn(await noise())).bytes.length < 32 * 1024);
});

/** A picture of which nothing can be foretold. */
const noise = () =>
  sharp({ create: { width: 600, height: 240, channels: 3, background: 'red', noise: { type: 'gaussian', mean: 128, sigma: 60 } } })
    .png()
    .toBuffer();
