/** Reads a QR code off the SVG that a page shows, as a phone's camera would: drawn, then decoded by another library. */
import jsqr from 'jsqr';

/** A module's side in pixels. */
const SCALE = 4;

// The package is CommonJS and its function is its default; under Node's ESM the types put it one level deeper.
const decode = 'default' in jsqr ? jsqr.default : jsqr;

/**
 * What a QR code in an SVG of `qrcode` says; undefined when it cannot be read.
 *
 * @param cover the share of the code's width that something in the middle hides
 */
export function readQrSvg(svg: string, cover = 0): string | undefined {
  const size = Number(/viewBox="0 0 (\d+) \d+"/.exec(svg)?.[1]);
  const path = /stroke="#000000" d="([^"]+)"/.exec(svg)?.[1];
  if (!Number.isInteger(size) || path === undefined) throw new Error('this is no SVG of qrcode');
  const side = size * SCALE;
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  const paint = (x: number, y: number, width: number, height: number, shade: number): void => {
    for (let row = Math.round(y * SCALE); row < Math.round((y + height) * SCALE); row += 1) {
      for (let column = Math.round(x * SCALE); column < Math.round((x + width) * SCALE); column += 1)
        pixels.fill(shade, (row * side + column) * 4, (row * side + column) * 4 + 3);
    }
  };
  let [x, y] = [0, 0];
  // The path draws rows of modules: absolute moves to the middle of a row, relative moves, horizontal lines.
  for (const [, command, first, second] of path.matchAll(/([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?/g)) {
    const along = Number(first);
    if (command === 'M') [x, y] = [along, Number(second) - 0.5];
    else if (command === 'm') x += along;
    else {
      paint(x, y, along, 1, 0);
      x += along;
    }
  }
  if (cover > 0) paint((size * (1 - cover)) / 2, (size * (1 - cover)) / 2, size * cover, size * cover, 128);
  return decode(pixels, side, side)?.data;
}
