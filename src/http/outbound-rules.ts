/**
 * Where the server may connect to when somebody else chose the address: public addresses at the usual ports, by https. What
 * else there is (an intranet, a test) the installation names itself (CARDEA_OUTBOUND_ALLOW).
 *
 * A name is judged by every address that it resolves to: one private address among public ones is enough to refuse it.
 */
import ipaddr from 'ipaddr.js';
import type { AllowedTarget } from '../config/outbound.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Of https, http, and the usual alternative of https. Other ports belong to services that do not expect a caller like us. */
const USUAL_PORTS: readonly number[] = [443, 80, 8443];
/** Of submission, with TLS from the first byte or not, of relays, and the usual alternative. */
const MAIL_PORTS: readonly number[] = [587, 465, 25, 2525];

/** IPv6 unicast that is routed on the internet lies here (IANA); everything else is local, mapped, multicast or not assigned. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
/** RFC 6052 section 2.1: the IPv4 address in the last 32 bits is the one that is reached. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** Within 2000::/3, and yet not the host that it seems to be. */
const SPECIAL_IPV6 = [
  // IETF protocol assignments, Teredo among them, which leads to an IPv4 address of its own.
  '2001::/23',
  '2001:db8::/32',
  // 6to4: the same.
  '2002::/16',
  '3fff::/20',
].map((range) => ipaddr.IPv6.parseCIDR(range));
/** Azure's metadata service has an address that looks public. */
const SPECIAL_IPV4 = ipaddr.IPv4.parse('168.63.129.16');

/** What a name of the allow-list may resolve to besides. Link-local, where metadata services are, has to be named as an address. */
const INTRANET: readonly string[] = ['private', 'loopback', 'carrierGradeNat', 'uniqueLocal'];

/** Whether an address is a host of the internet, whatever it is written like. */
export function isPublic(address: string): boolean {
  return isPublicAddress(ipaddr.parse(address));
}

function isPublicAddress(address: Address): boolean {
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast' && !address.match(SPECIAL_IPV4, 32);
  if (address.match(NAT64)) return isPublicAddress(new ipaddr.IPv4(address.toByteArray().slice(12)));
  return address.match(GLOBAL_UNICAST) && address.range() === 'unicast' && !SPECIAL_IPV6.some((range) => address.match(range));
}

/** The host of a URL as it resolves: IPv6 without its brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1');

/** 443 for https, 80 for http, when the URL names none. */
export const portOf = (url: URL): number => (url.port !== '' ? Number(url.port) : url.protocol === 'https:' ? 443 : 80);

/** Whether plain http is allowed there: only where the installation names the host. */
export function allowsHttp(allow: readonly AllowedTarget[], url: URL): boolean {
  return allow.some((target) => namesHost(target, { host: hostOf(url), port: portOf(url), usual: USUAL_PORTS }));
}

/** Whether the server may connect to this address for that URL. */
export const allowsAddress = (allow: readonly AllowedTarget[], url: URL, address: string): boolean =>
  allowed(allow, { host: hostOf(url), port: portOf(url), usual: USUAL_PORTS }, address);

/** Whether the server may connect to this address for that mail server. */
export const allowsMailServer = (allow: readonly AllowedTarget[], server: { host: string; port: number }, address: string): boolean =>
  allowed(allow, { ...server, usual: MAIL_PORTS }, address);

interface Target {
  host: string;
  port: number;
  /** Ports that public hosts are reached at, and that an entry of the allow-list without a port covers. */
  usual: readonly number[];
}

function allowed(allow: readonly AllowedTarget[], to: Target, address: string): boolean {
  const parsed = ipaddr.parse(address);
  if (isPublicAddress(parsed) && to.usual.includes(to.port)) return true;
  return allow.some((target) => {
    if (target.kind === 'range') return coversPort(target, to) && contains(target.target, parsed);
    if (!namesHost(target, to)) return false;
    return isPublicAddress(parsed) || INTRANET.includes(parsed.range()) || target.target === address;
  });
}

const namesHost = (target: AllowedTarget, to: Target): boolean => target.kind === 'host' && target.target === to.host && coversPort(target, to);

const coversPort = ({ port }: AllowedTarget, to: Target): boolean => port === '*' || (port === null ? to.usual.includes(to.port) : port === to.port);

function contains(range: string, address: Address): boolean {
  const [start, bits] = ipaddr.parseCIDR(range);
  return start.kind() === address.kind() && address.match(start, bits);
}
