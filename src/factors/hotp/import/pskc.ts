/**
 * Tokens from a Portable Symmetric Key Container (PSKC, RFC 6030) whose keys stand in it in plain: profile HOTP (section
 * 5.1) and TOTP. What protects a key beyond that is refused rather than passed over: encryption, a PIN, a policy that is
 * not understood (section 5: its key must not be used then).
 */
import { type Entry, entryOf, keyBytes, MAX_TOKENS, type TokenFile, textOf, wrongFile } from './entry.ts';
import { child, childrenOf, type Element, localName, namespaceOf, readXml } from './xml.ts';

const PSKC = '{urn:ietf:params:xml:ns:keyprov:pskc}';
const ALGORITHMS: ReadonlyMap<string | undefined, 'hotp' | 'totp'> = new Map([
  ['urn:ietf:params:xml:ns:keyprov:pskc:hotp', 'hotp'],
  ['urn:ietf:params:xml:ns:keyprov:pskc:totp', 'totp'],
]);

/**
 * @param now milliseconds since the epoch: a key that has expired, or is not valid yet, is refused
 * @throws AppError `bad_input` (field `file`) when the file as a whole is not one of plain keys
 */
export function readPskc(bytes: Uint8Array, now: number): TokenFile {
  const container = readXml(textOf(bytes));
  if (container.name !== `${PSKC}KeyContainer`) throw wrongFile('The file is not PSKC: RFC 6030 has a KeyContainer as its first element.');
  if (container.attributes.get('Version') !== '1.0') throw wrongFile('The file is not of version 1.0 of PSKC.');
  const packages = childrenOf(container, 'KeyPackage');
  if (child(container, 'EncryptionKey') || packages.some(isEncrypted))
    throw wrongFile('The keys in the file are encrypted. Decrypt it first, or ask whoever made it for one with plain keys.');
  if (packages.length === 0) throw wrongFile('There is no key in the file.');
  if (packages.length > MAX_TOKENS) throw wrongFile(`The file has more than ${MAX_TOKENS} keys. Import it in parts.`);
  return { counts: 'key', entries: packages.map((one, index) => entryOfPackage(index + 1, one, now)) };
}

const isEncrypted = (one: Element): boolean =>
  ['Secret', 'Counter', 'Time'].some((data) => child(one, 'Key', 'Data', data, 'EncryptedValue') !== undefined);

function entryOfPackage(place: number, one: Element, now: number): Entry {
  const key = child(one, 'Key');
  const device = child(one, 'DeviceInfo');
  const serial = child(device, 'SerialNo')?.text || key?.attributes.get('Id');
  const data = child(key, 'Data');
  const value = (name: string): string | undefined => child(data, name, 'PlainValue')?.text;
  const format = child(key, 'AlgorithmParameters', 'ResponseFormat');
  const suite = child(key, 'AlgorithmParameters', 'Suite')?.text;
  const entry = entryOf(place, {
    serial,
    model: [child(device, 'Manufacturer')?.text, child(device, 'Model')?.text].filter(Boolean).join(' '),
    factor: ALGORITHMS.get(key?.attributes.get('Algorithm')) ?? 'of a profile other than HOTP and TOTP',
    key: keyBytes(value('Secret') ?? '', 'base64'),
    digits: format?.attributes.get('Length') ?? 'not said',
    algorithm: suite,
    counter: value('Counter'),
    period: value('TimeInterval'),
  });
  const barred = 'problem' in entry ? undefined : barrier(device, key, format, now);
  return barred === undefined ? entry : { place, serial: entry.serial, problem: barred };
}

/** Why a key that is whole must not be used all the same. */
function barrier(device: Element | undefined, key: Element | undefined, format: Element | undefined, now: number): string | undefined {
  if (format?.attributes.get('Encoding') !== 'DECIMAL') return 'its codes are not decimal digits';
  if (format.attributes.get('CheckDigits') === 'true' || format.attributes.get('CheckDigits') === '1')
    return 'its codes end with a check digit, which is not read';
  const ended = expiry(device, now);
  if (ended !== undefined) return ended;
  const policy = child(key, 'Policy');
  if (policy === undefined) return undefined;
  for (const rule of policy.children) {
    const name = namespaceOf(rule) === PSKC ? localName(rule) : 'of another namespace';
    if (name === 'KeyUsage' || name === 'StartDate' || name === 'ExpiryDate') continue;
    return name === 'PINPolicy' ? 'it needs a PIN with its codes, which is not read' : 'its policy has a rule that is not understood';
  }
  const usages = childrenOf(policy, 'KeyUsage').map(({ text }) => text);
  if (usages.length > 0 && !usages.includes('OTP')) return 'its policy does not allow it to be used for one-time codes';
  return expiry(policy, now);
}

function expiry(element: Element | undefined, now: number): string | undefined {
  const start = child(element, 'StartDate')?.text;
  const end = child(element, 'ExpiryDate')?.text;
  const [from, until] = [start === undefined ? 0 : Date.parse(start), end === undefined ? Number.POSITIVE_INFINITY : Date.parse(end)];
  if (Number.isNaN(from) || Number.isNaN(until)) return 'its dates cannot be read';
  if (now < from) return 'it is not valid yet';
  return now >= until ? 'it has expired' : undefined;
}
