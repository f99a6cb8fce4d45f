/** Reads a QR code off the SVG that a page shows, as a phone's camera would: drawn, then decoded by another library. */
import jsqr from 'jsqr';
import sharp from 'sharp';

/** A module's side in pixels. */
const SCALE = 4;

// The package is CommonJS and its function is its default; under Node's ESM the types put it one level deeper.
const decode = 'default' in jsqr ? jsqr.default : jsqr;

/** What a QR code in an SVG of `qrcode` says; undefined when it cannot be read. */
export function readQrSvg(svg: string): string | undefined {
  const size = Number(/viewBox="0 0 (\d+) \d+"/.exec(svg)?.[1]);
  const path = /stroke="#000000" d="([^"]+)"/.exec(svg)?.[1];
  if (!Number.isInteger(size) || path === undefined) throw new Error('this is no SVG of qrcode');
  const side = size * SCALE;
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  const paint = (x: number, y: number, width: number, height: number): void => {
    for (let row = Math.round(y * SCALE); row < Math.round((y + height) * SCALE); row += 1) {
      for (let column = Math.round(x * SCALE); column < Math.round((x + width) * SCALE); column += 1)
        pixels.fill(0, (row * side + column) * 4, (row * side + column) * 4 + 3);
    }
  };
  let [x, y] = [0, 0];
  // The path draws rows of modules: absolute moves to the middle of a row, relative moves, horizontal lines.
  for (const [, command, first, second] of path.matchAll(/([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?/g)) {
    const along = Number(first);
    if (command === 'M') [x, y] = [along, Number(second) - 0.5];
    else if (command === 'm') x += along;
    else {
      paint(x, y, along, 1);
      x += along;
    }
  }
  return decode(pixels, side, side)?.data;
}

/** The pixels of a picture, an SVG drawn at 8 pixels a module. */
export async function pixelsOf(picture: Buffer | string): Promise<{ data: Uint8ClampedArray; width: number; height: number }> {
  const size = typeof picture === 'string' ? Number(/viewBox="0 0 (\d+) \d+"/.exec(picture)?.[1]) : 0;
  const image = typeof picture === 'string' ? sharp(Buffer.from(picture), { density: 72 * 8 }).resize(size * 8) : sharp(picture);
  const { data, info } = await image.flatten({ background: '#ffffff' }).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8ClampedArray(data), width: info.width, height: info.height };
}

/** What a QR code in a PNG or an SVG says, with whatever is drawn into it; undefined when it cannot be read. */
export async function readQrPicture(picture: Buffer | string): Promise<string | undefined> {
  const { data, width, height } = await pixelsOf(picture);
  return decode(data, width, height)?.data;
}
