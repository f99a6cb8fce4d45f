import test from 'ava';
import sharp from 'sharp';
import { otpauthUri, qrPng, qrSvg, qrTerminal } from '../../../src/factors/totp/enrolment-qr.ts';
import { totp } from '../../../src/factors/totp/totp.ts';
import { factorContext, stateOf } from '../../support/factors.ts';
import { pixelsOf, readQrPicture, readQrSvg } from '../../support/qr.ts';

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

/** A picture of that size; dark and colourful, as logos are. */
const pictureOf = (width: number, height: number) => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="#0c5c55"/><circle cx="50%" cy="50%" r="40%" fill="#b98439"/></svg>`;
  return { svg: Buffer.from(svg), png: sharp(Buffer.from(svg)).png().toBuffer(), jpeg: sharp(Buffer.from(svg)).jpeg().toBuffer() };
};

const SHAPES = { square: [200, 200], wide: [400, 100], 'very wide': [800, 100], tall: [100, 400], broad: [300, 200] } as const;
const LONG = otpauthUri({ ...options, issuer: 'A company with a rather long name', account: 'somebody.with.a.long.name@mail.example.com' });

for (const [shape, [width, height]] of Object.entries(SHAPES)) {
  test(`a ${shape} logo: what was drawn is read, as PNG and as SVG, whatever the picture is`, async (t) => {
    const { svg, png, jpeg } = pictureOf(width, height);
    for (const uri of [otpauthUri(options), LONG]) {
      for (const bytes of [svg, await png, await jpeg]) {
        const logo = { bytes };
        t.is(await readQrPicture(await qrPng(uri, { logo })), uri, 'PNG');
        t.is(await readQrPicture(await qrSvg(uri, { logo })), uri, 'SVG');
      }
    }
  });

  test(`a ${shape} logo keeps its ratio, stands in the middle on white, and covers a fifth at most`, async (t) => {
    const { svg, png } = pictureOf(width, height);
    const plain = await qrSvg(LONG, { logo: { bytes: svg } });
    const [white, picture] = [...plain.matchAll(/x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g)].map((match) =>
      match.slice(1).map(Number),
    );
    const size = Number(/viewBox="0 0 (\d+)/.exec(plain)?.[1]);
    const [x = 0, y = 0, wide = 0, high = 0] = picture ?? [];
    const [left = 0, top = 0, whiteWide = 0, whiteHigh = 0] = white ?? [];
    t.true(Math.abs(wide / high / (width / height) - 1) < 0.02, `${wide} : ${high}`);
    t.true(Math.abs(x + wide / 2 - size / 2) < 0.02 && Math.abs(y + high / 2 - size / 2) < 0.02);
    t.true(left <= x - 1 + 0.01 && top <= y - 1 + 0.01 && left + whiteWide >= x + wide + 0.99 && top + whiteHigh >= y + high + 0.99);
    t.true(whiteWide * whiteHigh <= 0.2 * (size - 8) ** 2, `${whiteWide} x ${whiteHigh} of ${size - 8}`);
    t.true(left > 4 + 8 && top > 4 + 8, 'far from the corners');

    // The quiet zone of the PNG is white, and so is the edge of the plate.
    const drawn = await pixelsOf(await qrPng(LONG, { logo: { bytes: await png } }));
    const shade = (column: number, row: number) => drawn.data[(row * drawn.width + column) * 4] ?? 0;
    for (let along = 0; along < drawn.width; along += 1) {
      for (const out of [0, 31, drawn.width - 32, drawn.width - 1]) t.deepEqual([shade(along, out), shade(out, along)], [255, 255]);
    }
    t.is(shade(drawn.width / 2, Math.round(top * 8) + 1), 255);
  });
}

test('a picture cannot run anything, and its text is not part of the page', async (t) => {
  const svg = await qrSvg(LONG, { logo: { bytes: SVG } });
  t.true(svg.includes(`href="data:image/svg+xml;base64,${SVG.toString('base64')}"`));
  t.false(svg.includes('<script'));
  const outside = Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9"><image width="9" height="9" xlink:href="file:///etc/passwd"/></svg>',
  );
  t.is(await readQrPicture(await qrPng(LONG, { logo: { bytes: outside } })), LONG, 'nothing is fetched');
});

test('a logo that is no picture, a large one, or a line, is refused with what to do', async (t) => {
  const uri = otpauthUri(options);
  const huge = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="90000"><rect width="9" height="9"/></svg>');
  const wrong: [Buffer, RegExp][] = [
    [Buffer.from('GIF89a'), /not a PNG, JPEG or SVG picture/],
    [Buffer.alloc(0), /not a PNG, JPEG or SVG picture/],
    [Buffer.concat([PNG, Buffer.alloc(256 * 1024)]), /larger than 256 KiB/],
    [PNG.subarray(0, 20), /not a PNG, JPEG or SVG picture/],
    [Buffer.from([0xff, 0xd8, 0xff, 0xe0]), /not a PNG, JPEG or SVG picture/],
    [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><rect'), /not a PNG, JPEG or SVG picture/],
    [huge, /not a PNG, JPEG or SVG picture/],
    [pictureOf(900, 100).svg, /nearer to a square/],
    [pictureOf(100, 900).svg, /nearer to a square/],
  ];
  for (const [bytes, message] of wrong) {
    for (const draw of [qrSvg, qrPng]) {
      const error = await t.throwsAsync<Error & { field?: string }>(draw(uri, { logo: { bytes } }), { name: 'AppError', message });
      t.is(error?.field, 'logo');
    }
  }
});

test('PNG and terminal', async (t) => {
  const uri = otpauthUri(options);
  t.deepEqual([...(await qrPng(uri)).subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  t.regex(await qrTerminal(uri), /[▀▄█]/);
});
