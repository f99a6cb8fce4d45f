/**
 * Names of certificates, compared: a text of RFC 4514, such as `CN=robot,OU=Fleet,O=Example,C=SE`, against what a
 * certificate has. Part for part, in order, with nothing folded: what differs in a space or in the case of a letter is
 * another name. A part that holds several values at once (`CN=a+OU=b`) is nobody's.
 */
import type { X509Certificate } from 'node:crypto';

export interface NamePart {
  /** The short name in upper case, or the digits of the object identifier. */
  type: string;
  value: string;
}

/** Other names of the types that certificates of applications have (RFC 4514 section 3, and what Java and OpenSSL write). */
const TYPES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  SURNAME: 'SN',
  '2.5.4.5': 'SERIALNUMBER',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  S: 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'TITLE',
  T: 'TITLE',
  '2.5.4.42': 'GN',
  GIVENNAME: 'GN',
  '0.9.2342.19200300.100.1.1': 'UID',
  USERID: 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'EMAILADDRESS',
  E: 'EMAILADDRESS',
  EMAIL: 'EMAILADDRESS',
};

/** One part: a type, and a value in which what has a meaning is written behind a backslash. */
const PART = /^\s*([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)\s*=\s*((?:[^\\,+";<>\0]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*)$/;

/** The parts of a name as RFC 4514 writes it, the most particular first; undefined for what is no such name. */
export function parseName(text: string): NamePart[] | undefined {
  const written = text.match(/(?:[^\\,]|\\[\s\S])+/g) ?? [];
  // A comma without a part on either side of it.
  if (written.join(',') !== text) return undefined;
  const parts = written.map(partOf);
  return parts.length > 0 && parts.every((part) => part !== undefined) ? parts : undefined;
}

function partOf(written: string): NamePart | undefined {
  const [, type = '', value = ''] = PART.exec(written) ?? [];
  const plain = unescaped(value);
  return type === '' || plain === undefined || plain === '' || value.startsWith('#') ? undefined : { type: typeOf(type), value: plain };
}

function typeOf(written: string): string {
  const upper = written.toUpperCase().replace(/^OID\./, '');
  return TYPES[upper] ?? upper;
}

/** Counted from the end: a pattern would look through a long run of spaces from each of them. */
function withoutEndSpaces(value: string): string {
  let end = value.length;
  while (value[end - 1] === ' ') end -= 1;
  return value.slice(0, value[end - 1] === '\\' ? end + 1 : end);
}

function unescaped(value: string): string | undefined {
  // Spaces at the ends that were not written behind a backslash are not part of it.
  const trimmed = withoutEndSpaces(value.replace(/^ +/, ''));
  const bytes: Buffer[] = [];
  for (const [one, hex, character] of trimmed.matchAll(/\\([0-9A-Fa-f]{2})|\\([\s\S])|[^\\]/gu))
    bytes.push(hex === undefined ? Buffer.from(character ?? one) : Buffer.from(hex, 'hex'));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a certificate's subject is that name. */
export function isSubject({ subject }: Pick<X509Certificate, 'subject'>, name: string): boolean {
  const wanted = parseName(name);
  // Node writes a part a line, in the order of the certificate, which RFC 4514 turns round.
  const has = (subject ?? '').split('\n').reverse().map(partOf);
  return (
    wanted !== undefined &&
    wanted.length === has.length &&
    wanted.every(({ type, value }, index) => has[index]?.type === type && has[index]?.value === value)
  );
}
