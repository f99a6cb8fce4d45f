/** Files of hardware tokens, as makers write them and as they should not be. */

import test, { type ExecutionContext } from 'ava';
import { ScureBase32Plugin } from 'otplib';
import { readCsv } from '../../../src/factors/hotp/import/csv.ts';
import type { Entry, NewToken, TokenFile } from '../../../src/factors/hotp/import/entry.ts';
import { readPskc } from '../../../src/factors/hotp/import/pskc.ts';
import fc from '../../support/property.ts';

/** The key of RFC 4226 appendix D. */
const KEY = Buffer.from('12345678901234567890');
const BASE32 = new ScureBase32Plugin().encode(KEY, { padding: false });
const HEX = KEY.toString('hex');
const BASE64 = KEY.toString('base64');
const NOW = Date.UTC(2030, 0, 15);

const csv = (text: string, encoding?: 'hex' | 'base32'): TokenFile => readCsv(Buffer.from(text), encoding);
const pskc = (text: string): TokenFile => readPskc(Buffer.from(text), NOW);

function tokensOf({ entries }: TokenFile): NewToken[] {
  return entries.map((entry) => {
    if ('problem' in entry) throw new Error(entry.problem);
    return entry.token;
  });
}
const problemsOf = ({ entries }: TokenFile): string[] => entries.flatMap((entry: Entry) => ('problem' in entry ? [entry.problem] : []));

/** What the file cannot be read for; nothing of the file is quoted. */
function refused(t: ExecutionContext, read: () => TokenFile, says: RegExp): void {
  const error = t.throws(read, { name: 'AppError' });
  t.regex(String(error?.message), says);
  for (const secret of [BASE32, HEX, BASE64, 'SECRET']) t.false(String(error?.stack).includes(secret));
}

test('CSV: the columns in any order, defaults for those that are not there', (t) => {
  const plain: NewToken = {
    serial: 'A-1',
    model: null,
    factor: 'hotp',
    secret: BASE32,
    digits: 6,
    algorithm: 'sha1',
    period: null,
    counter: null,
    username: null,
  };
  t.deepEqual(tokensOf(csv(`serial,secret\nA-1,${HEX}\n`, 'hex')), [plain]);
  t.deepEqual(tokensOf(csv(`secret,serial\n${BASE32.toLowerCase()},A-1`, 'base32')), [plain]);
  t.deepEqual(tokensOf(csv(`\ufeffSerial;Secret;Encoding\r\n"A-1";${HEX.toUpperCase()};hex\r\n\r\n`)), [plain]);
  t.deepEqual(
    tokensOf(
      csv(
        `serial\tsecret\ttype\tdigits\talgorithm\tcounter\tperiod\tmodel\tusername\nA-1\t${HEX}\tHOTP\t8\tHMAC-SHA256\t42\t\tC100\terin\nB\t${HEX}\ttotp\t6\tsha512\t7\t60\t\t\n`,
        'hex',
      ),
    ),
    [
      { ...plain, digits: 8, algorithm: 'sha256', counter: 41, model: 'C100', username: 'erin' },
      { ...plain, serial: 'B', factor: 'totp', algorithm: 'sha512', period: 60 },
    ],
  );
});

test('CSV: a column says how a secret is written, line by line', (t) => {
  const file = csv(`serial,secret,encoding\n1,${HEX},hex\n2,${BASE32},base32\n3,${BASE32},hex\n4,${HEX},base64\n`);
  t.deepEqual(
    file.entries.map((entry) => ('problem' in entry ? `${entry.place}: ${entry.problem}` : entry.token.secret)),
    [
      BASE32,
      BASE32,
      '4: the secret is missing, or not in the encoding that was named',
      '5: the secret is missing, or not in the encoding that was named',
    ],
  );
});

test('CSV: each line that is wrong says why, and the lines around it are read', (t) => {
  const columns = 'serial,secret,type,digits,algorithm,counter,period,model,username';
  const lines: [string, RegExp][] = [
    [`,${HEX},,,,,,,`, /serial number is missing/],
    [`---,${HEX},,,,,,,`, /serial number is missing/],
    [`${'9'.repeat(65)},${HEX},,,,,,,`, /serial number/],
    [`"a\u202eb",${HEX},,,,,,,`, /serial number/],
    ['1,,,,,,,,', /secret is missing/],
    [`1,${HEX.slice(0, 30)},,,,,,,`, /from 128 to 512 bits/],
    [`1,${HEX}0,,,,,,,`, /secret is missing, or not/],
    [`1,${HEX},ocra,,,,,,`, /neither hotp nor totp/],
    [`1,${HEX},,7,,,,,`, /neither 6 nor 8/],
    [`1,${HEX},,,md5,,,,`, /none of sha1/],
    [`1,${HEX},,,,-1,,,`, /not a whole number/],
    [`1,${HEX},,,,1e3,,,`, /not a whole number/],
    [`1,${HEX},,,,9007199254740993,,,`, /not a whole number/],
    [`1,${HEX},totp,,,,5,,`, /from 15 to 120/],
    [`1,${HEX},,,,,,${'m'.repeat(101)},`, /model/],
    [`1,${HEX}`, /2 fields, and the first line names 9/],
  ];
  const file = csv([columns, ...lines.map(([line]) => line), `last,${HEX},,,,,,,`].join('\n'), 'hex');
  t.is(file.entries.length, lines.length + 1);
  for (const [index, [line, says]] of lines.entries()) {
    const entry = file.entries[index];
    t.is(entry?.place, index + 2);
    t.regex(entry && 'problem' in entry ? entry.problem : 'accepted', says, line);
  }
  t.true('token' in (file.entries.at(-1) ?? {}));
});

test('CSV: what is no file of tokens', (t) => {
  refused(t, () => csv('', 'hex'), /empty/);
  refused(t, () => csv(`A-1,${HEX}\n`, 'hex'), /name the columns.*Column 1/);
  refused(t, () => csv('serial,digits\n', 'hex'), /at least serial and secret/);
  refused(t, () => csv(`serial,secret,serial\n1,${HEX},2`, 'hex'), /twice/);
  refused(t, () => csv(`serial,secret,pin\n1,${HEX},2`, 'hex'), /Column 3 is none of/);
  refused(t, () => csv(`serial,secret\n1,${HEX}\n`), /--encoding hex or --encoding base32/);
  refused(t, () => csv(`serial,secret\n1,"${HEX}\n2,${HEX}\n`, 'hex'), /not CSV/);
  refused(t, () => csv(`serial,secret\n1,${'SECRET'.repeat(2_000)}\n`, 'hex'), /not CSV/);
  refused(t, () => readCsv(Buffer.from([0xff, 0xfe, 0x73]), 'hex'), /UTF-8/);
  refused(t, () => readCsv(Buffer.alloc(33 * 1024 * 1024, 'a'), 'hex'), /larger than 32 MiB/);
  refused(t, () => csv(`serial,secret\n${`1,${HEX}\n`.repeat(100_001)}`, 'hex'), /more than 100000 tokens/);
});

const container = (packages: string, attributes = 'Version="1.0" Id="exampleID1" xmlns="urn:ietf:params:xml:ns:keyprov:pskc"'): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<KeyContainer ${attributes}>${packages}</KeyContainer>`;

/** RFC 6030 figure 3, with its parts to be replaced. */
const packageOf = ({
  device = '<Manufacturer>Manufacturer</Manufacturer><SerialNo>987654321</SerialNo>',
  algorithm = 'urn:ietf:params:xml:ns:keyprov:pskc:hotp',
  parameters = '<ResponseFormat Length="8" Encoding="DECIMAL"/>',
  data = `<Secret><PlainValue>${BASE64}</PlainValue></Secret><Counter><PlainValue>0</PlainValue></Counter>`,
  rest = '',
} = {}): string => `
  <KeyPackage>
    <DeviceInfo>${device}</DeviceInfo>
    <CryptoModuleInfo><Id>CM_ID_001</Id></CryptoModuleInfo>
    <Key Id="12345678" Algorithm="${algorithm}">
      <Issuer>Issuer</Issuer>
      <AlgorithmParameters>${parameters}</AlgorithmParameters>
      <Data>${data}</Data>
      ${rest}
    </Key>
  </KeyPackage>`;

test('PSKC: the example of RFC 6030, counters, and tokens of the time', (t) => {
  const first: NewToken = {
    serial: '987654321',
    model: 'Manufacturer',
    factor: 'hotp',
    secret: BASE32,
    digits: 8,
    algorithm: 'sha1',
    period: null,
    counter: null,
    username: null,
  };
  const secret = `<Secret><PlainValue>\n  ${BASE64}\n</PlainValue></Secret>`;
  t.deepEqual(
    tokensOf(
      pskc(
        container(
          packageOf() +
            packageOf({
              device: '<SerialNo>B&amp;&#67;-2</SerialNo><Model>T&lt;2</Model>',
              parameters: '<Suite>HMAC-SHA256</Suite><ResponseFormat Length="6" Encoding="DECIMAL" CheckDigits="false"/>',
              data: `${secret}<Counter><PlainValue>100</PlainValue></Counter>`,
              rest: '<UserId>CN=erin</UserId><Policy><KeyUsage>OTP</KeyUsage><StartDate>2029-01-01T00:00:00Z</StartDate></Policy>',
            }) +
            packageOf({
              device: '',
              algorithm: 'urn:ietf:params:xml:ns:keyprov:pskc:totp',
              data: `${secret}<TimeInterval><PlainValue>60</PlainValue></TimeInterval>`,
            }),
        ),
      ),
    ),
    [
      first,
      { ...first, serial: 'B&C-2', model: 'T<2', digits: 6, algorithm: 'sha256', counter: 99 },
      { ...first, serial: '12345678', model: null, factor: 'totp', period: 60 },
    ],
  );
});

test('PSKC: namespaces are what they are bound to, whatever the prefix', (t) => {
  const prefixed = container(packageOf(), 'Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc"').replace(/<(\/?)(?=[A-Z])/g, '<$1pskc:');
  t.is(tokensOf(pskc(prefixed))[0]?.serial, '987654321');
  refused(t, () => pskc(container(packageOf(), 'Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc:1.0"')), /not PSKC/);
  refused(t, () => pskc(container(packageOf(), 'Version="1.0"')), /not PSKC/);
  // An extension's element of the same name is another element.
  const foreign = packageOf({ data: `<x:Secret xmlns:x="urn:x"><x:PlainValue>${BASE64}</x:PlainValue></x:Secret>` });
  t.deepEqual(problemsOf(pskc(container(foreign))), ['the secret is missing, or not in the encoding that was named']);
});

test('PSKC: encrypted keys are refused, and it is said why', (t) => {
  const cipher = '<xenc:CipherData><xenc:CipherValue>AAEC</xenc:CipherValue></xenc:CipherData>';
  const encrypted = packageOf({ data: `<Secret><EncryptedValue xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">${cipher}</EncryptedValue></Secret>` });
  refused(t, () => pskc(container(encrypted)), /encrypted/);
  refused(t, () => pskc(container(`<EncryptionKey/>${packageOf()}`)), /encrypted/);
});

test('PSKC: keys that may not be used as they are', (t) => {
  const wrong: [Parameters<typeof packageOf>[0], RegExp][] = [
    [{ algorithm: 'urn:ietf:params:xml:ns:keyprov:pskc:pin' }, /neither hotp nor totp/],
    [{ algorithm: 'constructor' }, /neither hotp nor totp/],
    [{ parameters: '<ResponseFormat Length="6" Encoding="ALPHANUMERIC"/>' }, /decimal/],
    [{ parameters: '<ResponseFormat Length="6" Encoding="DECIMAL" CheckDigits="true"/>' }, /check digit/],
    [{ parameters: '<ResponseFormat Length="7" Encoding="DECIMAL"/>' }, /neither 6 nor 8/],
    [{ parameters: '' }, /neither 6 nor 8/],
    [{ data: '' }, /secret is missing/],
    [{ data: '<Secret><PlainValue>%%%</PlainValue></Secret>' }, /secret is missing/],
    [{ rest: '<Policy><PINPolicy/></Policy>' }, /PIN/],
    [{ rest: '<Policy><NumberOfTransactions>5</NumberOfTransactions></Policy>' }, /not understood/],
    [{ rest: '<Policy><x:Anything xmlns:x="urn:x"/></Policy>' }, /not understood/],
    [{ rest: '<Policy><KeyUsage>CR</KeyUsage></Policy>' }, /one-time codes/],
    [{ rest: '<Policy><ExpiryDate>2029-12-31T00:00:00Z</ExpiryDate></Policy>' }, /expired/],
    [{ rest: '<Policy><StartDate>2031-01-01T00:00:00Z</StartDate></Policy>' }, /not valid yet/],
    [{ device: '<SerialNo>1</SerialNo><ExpiryDate>someday</ExpiryDate>' }, /dates/],
  ];
  const file = pskc(container(wrong.map(([parts]) => packageOf(parts)).join('')));
  for (const [index, [parts, says]] of wrong.entries()) {
    const entry = file.entries[index];
    t.is(entry?.place, index + 1);
    t.regex(entry && 'problem' in entry ? entry.problem : 'accepted', says, JSON.stringify(parts));
  }
});

test('PSKC: what is no file of keys', (t) => {
  const entities = `<!DOCTYPE k [<!ENTITY e SYSTEM "file:///etc/passwd">]>${container(packageOf({ device: '<SerialNo>&e;</SerialNo>' })).slice(38)}`;
  refused(t, () => pskc(entities), /document type/);
  refused(t, () => pskc(container('')), /no key/);
  refused(t, () => pskc(`serial,secret\n1,${HEX}\n`), /not XML/);
  refused(t, () => pskc(container(packageOf()).slice(0, -3)), /not XML/);
  refused(t, () => pskc(container(packageOf()).replace('1.0" Id', '2.0" Id')), /version 1.0/);
  refused(t, () => pskc(`${container(packageOf())}${container(packageOf()).slice(38)}`), /not XML|one element/);
  refused(t, () => pskc('<a>'.repeat(50_000) + '</a>'.repeat(50_000)), /not XML|nested/);
  refused(t, () => readPskc(Buffer.alloc(33 * 1024 * 1024, 'a'), NOW), /larger than/);
});

test('whatever is read, it is tokens, problems, or one sentence', (t) => {
  const lines = fc.array(fc.array(fc.oneof(fc.string(), fc.constantFrom('1', HEX, 'hotp', '6', '"', "'")), { maxLength: 9 }), { maxLength: 5 });
  const files = fc.oneof(
    fc.string({ maxLength: 400 }),
    lines.map((rows) => ['serial,secret,counter', ...rows.map((row) => row.join(','))].join('\n')),
    fc.string({ maxLength: 200 }).map((inside) => container(packageOf({ data: inside }))),
  );
  t.notThrows(() =>
    fc.assert(
      fc.property(files, (text) => {
        for (const read of [() => csv(text, 'hex'), () => pskc(text)]) {
          try {
            read();
          } catch (error) {
            if (!(error instanceof Error) || error.name !== 'AppError') throw error;
          }
        }
      }),
      { numRuns: 500 },
    ),
  );
});
