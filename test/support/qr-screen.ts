/** Reads a QR code off a page as a phone would: from the pixels on the screen, not from the markup. */
import jsqr from 'jsqr';
import type { Locator } from 'playwright-core';

// The package is CommonJS and its function is its default; under Node's ESM the types put it one level deeper.
const decode = 'default' in jsqr ? jsqr.default : jsqr;

interface Picture {
  width: number;
  height: number;
  /** Red, green, blue, opacity of each pixel. */
  pixels: number[];
}

/** Runs in a page, which alone knows how to read a PNG here. */
const pixelsOf = (png: string): string => `(async () => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,${png}')).blob());
  const { width, height } = bitmap;
  const drawing = new OffscreenCanvas(width, height).getContext('2d');
  drawing.drawImage(bitmap, 0, 0);
  return { width, height, pixels: Array.from(drawing.getImageData(0, 0, width, height).data) };
})()`;

/** What the code shown in that element says; undefined when it cannot be read. */
export async function readQrOnScreen(element: Locator): Promise<string | undefined> {
  const png = (await element.screenshot()).toString('base64');
  // Another page draws the picture: ours allow no image from elsewhere.
  const blank = await element.page().context().newPage();
  try {
    const { width, height, pixels } = await blank.evaluate<Picture>(pixelsOf(png));
    return decode(Uint8ClampedArray.from(pixels), width, height)?.data;
  } finally {
    await blank.close();
  }
}
