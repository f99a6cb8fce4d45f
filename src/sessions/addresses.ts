/** Where requests come from, as coarsely as counting and comparing needs it. Pure. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An address as people and logs are told it: an IPv4 address as itself, also from a socket that listens for IPv6 and clothes it so. */
export const plainAddress = (ip: string): string => ip.replace(/^::ffff:(?=\d+(?:\.\d+){3}$)/i, '');

/**
 * What is counted as one address: an IPv4 address, or the 64 bits of an IPv6 one that a single line is given (RFC 6177);
 * with the other 64 its owner has more addresses than anybody could count. An IPv4 address in IPv6's clothes is that
 * IPv4 address. What is no address, such as that of a local socket, is one by its own name.
 */
export const addressOf = (ip: string): string => prefixOf(ip, { ipv4: 32, ipv6: 64 });

/** The network that an address is likely to stay in: a provider's /24 of IPv4, a site's /48 of IPv6. */
export const networkOf = (ip: string): string => prefixOf(ip, { ipv4: 24, ipv6: 48 });

function prefixOf(ip: string, bits: { ipv4: number; ipv6: number }): string {
  if (isIP(ip) === 0) return ip.slice(0, 64);
  // The zone of a link-local address (`fe80::1%eth0`) is a name of this machine's.
  const address = ipaddr.process(ip.replace(/%.*$/, ''));
  const length = bits[address.kind()];
  const family = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
  return `${family.networkAddressFromCIDR(`${address}/${length}`)}/${length}`;
}
