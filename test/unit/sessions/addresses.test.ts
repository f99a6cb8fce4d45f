import test from 'ava';
import { addressOf, networkOf, plainAddress } from '../../../src/sessions/addresses.ts';

test('one address is an IPv4 address, or the /64 that a line is given', (t) => {
  t.is(addressOf('192.0.2.7'), addressOf('192.0.2.7'));
  t.not(addressOf('192.0.2.7'), addressOf('192.0.2.8'));
  t.is(addressOf('2001:db8:1:2::1'), addressOf('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  t.not(addressOf('2001:db8:1:2::1'), addressOf('2001:db8:1:3::1'));
});

test('an IPv4 address is the same one in the form of IPv6', (t) => {
  t.is(addressOf('::ffff:192.0.2.7'), addressOf('192.0.2.7'));
  t.is(addressOf('::ffff:c000:207'), addressOf('192.0.2.7'));
  t.is(networkOf('::ffff:192.0.2.7'), '192.0.2.0/24');
});

test('a network is a /24 of IPv4 and a /48 of IPv6', (t) => {
  t.is(networkOf('192.0.2.7'), '192.0.2.0/24');
  t.is(networkOf('2001:db8:1:2::1'), '2001:db8:1::/48');
  t.is(networkOf('fe80::1%eth0'), 'fe80::/48');
});

test('what is no address is one by its own name, and not a long one', (t) => {
  for (const odd of ['', 'unknown', '1', '0x7f.1', '999.1.1.1', '192.0.2.7:80']) t.is(addressOf(odd), odd);
  t.is(addressOf('x'.repeat(500)).length, 64);
});

test('an IPv4 address is shown as itself, however it came in; everything else as it is', (t) => {
  t.is(plainAddress('::ffff:192.0.2.7'), '192.0.2.7');
  t.is(plainAddress('::FFFF:192.0.2.7'), '192.0.2.7');
  for (const ip of ['192.0.2.7', '2001:db8::7', '::ffff:0:1', '::1', 'fe80::1%eth0', '', '::ffff:192.0.2.7.evil']) t.is(plainAddress(ip), ip);
});
