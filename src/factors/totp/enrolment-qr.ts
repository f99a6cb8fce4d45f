/**
 * What an authenticator app reads when it is enrolled: the otpauth link, and the link as a QR code.
 *
 * The codes are made here, never by a service elsewhere, which would see the secret. Error correction is M (15 %), and H
 * (30 %) where a logo covers the middle.
 */
import { generateURI } from 'otplib';
import { type Box, type Logo, mediaType, placed, QUIET, withPicture } from './logo.ts';

export type { Logo } from './logo.ts';

/** Loaded when the first code is drawn. */
const library = async () => (await import('qrcode')).default;

export interface OtpauthOptions {
  /** Who asks for the codes, such as the realm's display name. */
  issuer: string;
  /** Whose codes they are, such as the user name. */
  account: string;
  /** Base32, as apps expect it. */
  secret: string;
  digits: 6 | 8;
  /** Seconds. */
  period: number;
  algorithm: 'sha1' | 'sha256' | 'sha512';
}

/**
 * The link after the Key URI format (https://github.com/google/google-authenticator/wiki/Key-Uri-Format): the label is
 * `issuer:account`, and the issuer stands again as a parameter. Neither name may hold a colon, because apps split the
 * label at one; a name that does is written with a hyphen in its place.
 */
export function otpauthUri(options: OtpauthOptions): string {
  const { issuer, account, ...parameters } = options;
  return generateURI({ ...parameters, issuer: labelPart(issuer), label: labelPart(account) });
}

/** An SVG for inline use under a strict Content-Security-Policy: no script, no style, nothing fetched. */
export async function qrSvg(uri: string, options: { logo?: Logo } = {}): Promise<string> {
  const drawn = await (await library()).toString(uri, { type: 'svg', margin: QUIET, errorCorrectionLevel: options.logo ? 'H' : 'M' });
  const svg = drawn.trim();
  return options.logo ? withLogo(svg, options.logo) : svg;
}

/** The code in half blocks, for a terminal that shows ANSI colours. */
export async function qrTerminal(uri: string): Promise<string> {
  return (await library()).toString(uri, { type: 'terminal', small: true, errorCorrectionLevel: 'M' });
}

/** Pixels a module. */
const SCALE = 8;

/**
 * A PNG of 8 pixels a module, with the logo drawn into it.
 * @throws AppError `bad_input` (field `logo`) for a logo that is no picture
 */
export async function qrPng(uri: string, options: { logo?: Logo } = {}): Promise<Buffer> {
  const QRCode = await library();
  if (!options.logo) return QRCode.toBuffer(uri, { type: 'png', scale: SCALE, errorCorrectionLevel: 'M' });
  const { size } = QRCode.create(uri, { errorCorrectionLevel: 'H' }).modules;
  const png = await QRCode.toBuffer(uri, { type: 'png', scale: SCALE, margin: QUIET, errorCorrectionLevel: 'H' });
  return withPicture(png, options.logo, { size: size + 2 * QUIET, scale: SCALE });
}

async function withLogo(svg: string, logo: Logo): Promise<string> {
  const size = Number(/viewBox="0 0 (\d+) \d+"/.exec(svg)?.[1]);
  if (!Number.isInteger(size)) throw new Error('qrcode no longer writes the viewBox that the logo is placed by');
  const { picture, white } = await placed(logo, size);
  const box = ({ x, y, width, height }: Box): string => {
    const [left, top, wide, high] = [x, y, width, height].map((length) => length.toFixed(2));
    return `x="${left}" y="${top}" width="${wide}" height="${high}"`;
  };
  const href = `data:${mediaType(logo)};base64,${Buffer.from(logo.bytes).toString('base64')}`;
  const drawn = `<rect ${box(white)} fill="#ffffff"/><image ${box(picture)} preserveAspectRatio="xMidYMid meet" href="${href}"/>`;
  return svg.replace(/<\/svg>$/, `${drawn}</svg>`);
}

function labelPart(name: string): string {
  return name.toWellFormed().replaceAll(':', '-').trim();
}
