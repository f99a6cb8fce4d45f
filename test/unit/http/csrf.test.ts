import { createServer, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import test from 'ava';
import { sameOrigin } from '../../../src/http/csrf.ts';

const ours = 'https://id.example.com';

test('C03 only a page of ours may post', (t) => {
  const cases: [boolean, IncomingHttpHeaders, string][] = [
    [true, { origin: ours }, 'our origin'],
    [true, { origin: ours, referer: 'https://evil.example/' }, 'the Origin counts before the Referer'],
    [true, { 'sec-fetch-site': 'same-origin' }, 'no Origin, the fetch metadata say so'],
    [true, { referer: `${ours}/realms/demo/login/x?y` }, 'neither, the Referer is ours'],
    [true, { referer: ours }, 'a Referer cut to its origin'],
    [false, {}, 'nothing said'],
    [false, { origin: 'null' }, 'a sandboxed page'],
    [false, { origin: 'null', 'sec-fetch-site': 'same-origin', referer: `${ours}/` }, 'a sandboxed page of ours'],
    [false, { origin: '' }, 'an empty Origin'],
    [false, { origin: '', 'sec-fetch-site': 'same-origin' }, 'an empty Origin is an Origin'],
    [false, { origin: 'https://evil.example' }, 'a foreign Origin'],
    [false, { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin', referer: `${ours}/` }, 'a foreign Origin, whatever else is said'],
    [false, { origin: `${ours}, https://evil.example` }, 'two Origins'],
    [false, { origin: `${ours}, ${ours}` }, 'twice ours'],
    [false, { origin: `${ours}/` }, 'an Origin has no path'],
    [false, { origin: 'http://id.example.com' }, 'another scheme'],
    [false, { origin: `${ours}:8443` }, 'another port'],
    [false, { origin: 'https://ID.example.com' }, 'browsers write it in lower case'],
    [false, { origin: `${ours}.evil.example` }, 'another host that begins so'],
    [false, { 'sec-fetch-site': 'same-site' }, 'a neighbour on the same site'],
    [false, { 'sec-fetch-site': 'cross-site', referer: `${ours}/` }, 'another site'],
    [false, { 'sec-fetch-site': 'none', referer: `${ours}/` }, 'typed in'],
    [false, { 'sec-fetch-site': 'same-origin, cross-site' }, 'said twice'],
    [false, { referer: 'https://evil.example/?https://id.example.com/' }, 'a foreign Referer'],
    [false, { referer: `${ours}.evil.example/` }, 'a foreign Referer that begins so'],
    [false, { referer: 'https://id.example.com@evil.example/' }, 'a foreign Referer with a name in it'],
    [false, { referer: 'nonsense' }, 'no URL'],
    [false, { referer: '' }, 'an empty Referer'],
    [false, { referer: 'about:blank' }, 'an opaque Referer'],
  ];
  for (const [expected, headers, what] of cases) t.is(sameOrigin(headers, ours), expected, what);
});

test('two Origin headers on the wire are refused', async (t) => {
  const answer = Promise.withResolvers<boolean>();
  const server = createServer((request, response) => {
    answer.resolve(sameOrigin(request.headers, ours));
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') return t.fail();
  const socket = connect(address.port, '127.0.0.1');
  socket.end(`POST / HTTP/1.1\r\nHost: x\r\nOrigin: ${ours}\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  t.false(await answer.promise);
});
