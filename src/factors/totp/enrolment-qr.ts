/**
 * What an authenticator app reads when it is enrolled: the otpauth link, and the link as a QR code.
 *
 * The codes are made here, never by a service elsewhere, which would see the secret. Error correction is M (15 %), and H
 * (30 %) where a logo covers the middle.
 */
import { generateURI } from 'otplib';
import QRCode from 'qrcode';
import { badInput } from '../../errors.ts';

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

/** An image file to show in the middle of the code: PNG, JPEG or SVG, at most 256 KiB. */
export interface Logo {
  bytes: Uint8Array;
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
  const svg = (await QRCode.toString(uri, { type: 'svg', errorCorrectionLevel: options.logo ? 'H' : 'M' })).trim();
  return options.logo ? withLogo(svg, options.logo) : svg;
}

/** The code in half blocks, for a terminal that shows ANSI colours. */
export async function qrTerminal(uri: string): Promise<string> {
  return QRCode.toString(uri, { type: 'terminal', small: true, errorCorrectionLevel: 'M' });
}

/**
 * A PNG of 8 pixels a module.
 * @throws AppError `bad_input` (field `logo`) when a logo is asked for: an SVG can carry one
 */
export async function qrPng(uri: string, options: { logo?: Logo } = {}): Promise<Buffer> {
  if (options.logo) throw badInput('logo', 'A logo can be put into an SVG only. Use --qr svg, or leave --logo out.');
  return QRCode.toBuffer(uri, { type: 'png', scale: 8, errorCorrectionLevel: 'M' });
}

const MAX_LOGO_BYTES = 256 * 1024;
/** Of the code's width. 0.22² is under 5 % of the modules, far from the 30 % that level H restores, and from the corners. */
const LOGO_SHARE = 0.22;

function withLogo(svg: string, logo: Logo): string {
  const size = Number(/viewBox="0 0 (\d+) \d+"/.exec(svg)?.[1]);
  if (!Number.isInteger(size)) throw new Error('qrcode no longer writes the viewBox that the logo is placed by');
  const href = `data:${mediaType(logo.bytes)};base64,${Buffer.from(logo.bytes).toString('base64')}`;
  const side = size * LOGO_SHARE;
  const box = (length: number): string => {
    const start = ((size - length) / 2).toFixed(2);
    return `x="${start}" y="${start}" width="${length.toFixed(2)}" height="${length.toFixed(2)}"`;
  };
  // `meet` keeps the picture's ratio; the white square around it keeps its edge from reading as modules.
  const picture = `<rect ${box(side + 1)} fill="#ffffff"/><image ${box(side)} preserveAspectRatio="xMidYMid meet" href="${href}"/>`;
  return svg.replace(/<\/svg>$/, `${picture}</svg>`);
}

function mediaType(bytes: Uint8Array): string {
  if (bytes.length > MAX_LOGO_BYTES) throw badInput('logo', `The logo is larger than ${MAX_LOGO_BYTES / 1024} KiB. Use a smaller picture.`);
  const start = Buffer.from(bytes.subarray(0, 1024));
  if (start.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))) return 'image/png';
  if (start.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'image/jpeg';
  if (/<svg[\s>]/.test(start.toString('utf8'))) return 'image/svg+xml';
  throw badInput('logo', 'The logo is neither a PNG, a JPEG nor an SVG file.');
}

function labelPart(name: string): string {
  return name.toWellFormed().replaceAll(':', '-').trim();
}
