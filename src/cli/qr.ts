/** The QR code of an enrolment as a command shows it: in the terminal, or as a picture that only its owner may read. */
import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { badInput } from '../errors.ts';
import { qrPng, qrSvg, qrTerminal } from '../factors/totp/enrolment-qr.ts';
import { MAX_LOGO_BYTES } from '../factors/totp/logo.ts';
import { wrongUsage } from './failures.ts';
import { readBounded, reasonOf } from './files.ts';

export interface QrOptions {
  qr?: 'terminal' | 'svg' | 'png';
  out?: string;
  logo?: string;
  json?: boolean;
}

export interface Picture {
  /** What to print. */
  qr?: string;
  /** Where it was written. */
  file?: string;
}

/** Draws the code, into the file that was asked for or to be printed. */
export async function writePicture(otpauth: string, options: QrOptions): Promise<Picture> {
  const form = formOf(options);
  if (form === undefined) return {};
  const logo = options.logo === undefined ? undefined : { bytes: bytesOf(options.logo) };
  if (form === 'terminal') return { qr: await qrTerminal(otpauth) };
  const drawn = form === 'svg' ? await qrSvg(otpauth, { logo }) : await qrPng(otpauth, { logo });
  if (options.out !== undefined) return { file: written(options.out, drawn) };
  return { qr: drawn.toString() };
}

/** An enrolment that was not confirmed leaves no picture of a secret that nobody has. */
export function removePicture({ file }: Picture): void {
  if (file !== undefined) rmSync(file, { force: true });
}

/** Without a word about it: by the file's name, else in the terminal, else not at all. */
function formOf({ qr, out, logo, json }: QrOptions): QrOptions['qr'] {
  const ending = out === undefined ? undefined : /\.(svg|png)$/i.exec(out)?.[1]?.toLowerCase();
  const form = qr ?? (ending === 'svg' || ending === 'png' ? ending : undefined) ?? (logo === undefined && !json ? 'terminal' : undefined);
  if (form === 'png' && out === undefined) throw wrongUsage('--qr png needs --out FILE');
  if (out !== undefined && form !== 'svg' && form !== 'png') throw wrongUsage('--out needs --qr svg or --qr png');
  if (logo !== undefined && form !== 'svg' && form !== 'png') throw wrongUsage('--logo needs --qr svg or --qr png');
  if (form === 'terminal' && json) throw wrongUsage('--qr terminal and --json exclude each other');
  return form;
}

function bytesOf(file: string): Buffer {
  try {
    return readBounded(file, MAX_LOGO_BYTES);
  } catch (cause) {
    throw badInput('logo', `The logo cannot be read: ${reasonOf(cause)}`);
  }
}

/** Never over a file that is there: its mode might let others read the secret. */
function written(name: string, content: string | Buffer): string {
  const file = resolve(name);
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw badInput('out', `The picture cannot be written: ${reasonOf(cause)}`);
  }
  return file;
}
