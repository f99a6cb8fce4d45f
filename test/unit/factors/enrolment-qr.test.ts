import test from 'ava';
import { otpauthUri, qrPng, qrSvg, qrTerminal } from '../../../src/factors/totp/enrolment-qr.ts';
import { totp } from '../../../src/factors/totp/totp.ts';
import { factorContext, stateOf } from '../../support/factors.ts';
import { readQrSvg } from '../../support/qr.ts';

const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const options = { issuer: 'Demo', account: 'alice', secret: SECRET, digits: 6, period: 30, algorithm: 'sha1' } as const;
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAD0lEQVR4nGP4z8Dwn4EBAAj/Af9g5wQAAAAAAElFTkSuQmCC', 'base64');
const SVG = Buffer.from('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><script>alert(1)</script></svg>');

/** The link as an app reads it. */
const read = (uri: string) => {
  const url = new URL(uri);
  const [issuer, account, ...more] = decodeURIComponent(url.pathname.replace(/^\/+(totp\/)?/, '')).split(':');
  return { protocol: url.protocol, issuer, account, more, params: Object.fromEntries(url.searchParams) };
};

test('the link names issuer, account and secret', (t) => {
  t.is(otpauthUri(options), `otpauth://totp/Demo:alice?secret=${SECRET}&issuer=Demo`);
});

test('what apps assume is left out, and everything else is said', (t) => {
  t.deepEqual(read(otpauthUri({ ...options, digits: 8, period: 60, algorithm: 'sha256' })).params, {
    secret: SECRET,
    issuer: 'Demo',
    algorithm: 'SHA256',
    digits: '8',
    period: '60',
  });
});

test('names of any letters come through, and a colon never splits the label in the wrong place', (t) => {
  const names = [
    ['Ä & Söhne / 50%', 'ünïcode+tag@example.com'],
    ['a?secret=x&issuer=y#z', 'b?secret=AAAA'],
    ['日本', 'имя'],
    ['"><script>', "' onload="],
  ] as const;
  for (const [issuer, account] of names) {
    const link = read(otpauthUri({ ...options, issuer, account }));
    t.deepEqual([link.issuer, link.account, link.more, link.params.issuer, link.params.secret], [issuer, account, [], issuer, SECRET]);
  }
  const colons = read(otpauthUri({ ...options, issuer: 'urn:acme', account: 'urn:user:1' }));
  t.deepEqual([colons.issuer, colons.account, colons.more, colons.params.issuer], ['urn-acme', 'urn-user-1', [], 'urn-acme']);
  t.notThrows(() => otpauthUri({ ...options, account: '\ud800' }));
});

test('the page shows a code that a phone reads as the link', async (t) => {
  const cx = factorContext();
  const state = stateOf(await totp.enrol?.begin(cx));
  if (state === null) return t.fail('it was begun');
  const page = await totp.enrol?.show(cx, state);
  t.is(readQrSvg(String(page?.model.qr)), String(page?.model.otpauth));
});

test('the SVG stands under a strict Content-Security-Policy, and quotes no name', async (t) => {
  const svg = await qrSvg(otpauthUri({ ...options, issuer: '"><script>alert(1)</script>', account: 'javascript:x' }));
  t.regex(svg, /^<svg [^>]*>.*<\/svg>$/s);
  t.notRegex(svg, /style|script|\son\w+=|href|url\(|<!|<\?/i);
});

test('a logo stands in the middle, keeps its ratio, and the code is still read around it', async (t) => {
  const uri = otpauthUri({ ...options, issuer: 'A company with a rather long name', account: 'somebody.with.a.long.name@mail.example.com' });
  for (const [bytes, type] of [
    [PNG, 'image/png'],
    [SVG, 'image/svg+xml'],
    [Buffer.from([0xff, 0xd8, 0xff, 0xe0]), 'image/jpeg'],
  ] as const) {
    const svg = await qrSvg(uri, { logo: { bytes } });
    t.true(svg.includes(`href="data:${type};base64,${bytes.toString('base64')}"`));
    t.true(svg.includes('preserveAspectRatio="xMidYMid meet"'));
    t.false(svg.includes('<script'), 'a picture cannot run anything, and its text is not part of the page');
    t.is(readQrSvg(svg, 0.24), uri);
  }
});

test('a logo that is no picture, or a large one, is refused with what to do', async (t) => {
  const uri = otpauthUri(options);
  await t.throwsAsync(qrSvg(uri, { logo: { bytes: Buffer.from('GIF89a') } }), { name: 'AppError', message: /neither a PNG, a JPEG nor an SVG/ });
  await t.throwsAsync(qrSvg(uri, { logo: { bytes: Buffer.concat([PNG, Buffer.alloc(256 * 1024)]) } }), { message: /larger than 256 KiB/ });
  await t.throwsAsync(qrPng(uri, { logo: { bytes: PNG } }), { name: 'AppError', message: /--qr svg/ });
});

test('PNG and terminal', async (t) => {
  const uri = otpauthUri(options);
  t.deepEqual([...(await qrPng(uri)).subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  t.regex(await qrTerminal(uri), /[▀▄█]/);
});
