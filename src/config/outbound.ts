/** Where the server may connect to besides public hosts, when somebody else chose the address (http/guarded-client.ts). */
import { isIP } from 'node:net';
import { z } from 'zod';

/** One entry of CARDEA_OUTBOUND_ALLOW. */
export interface AllowedTarget {
  readonly kind: 'host' | 'range';
  /** A name or an address as URL.hostname has it, IPv6 without brackets; or a range in CIDR notation. */
  readonly target: string;
  /** Null stands for the usual ones, `*` for all. */
  readonly port: number | '*' | null;
}

/** The entries of a list with commas. */
export const entriesOf = (list: string): string[] => list.split(',').flatMap((entry) => entry.trim() || []);

const EXAMPLES = 'for example hooks.intranet.example, localhost:9000 or 10.20.0.0/16';

export const allowedTargets = z.string().transform((list, context) =>
  entriesOf(list).map((entry) => {
    const target = allowedTarget(entry);
    if (target !== undefined) return target;
    const shown = JSON.stringify(entry.length > 80 ? `${entry.slice(0, 80)}…` : entry);
    const message = `has ${shown}, which is neither a host nor a range of addresses with an optional port; ${EXAMPLES}`;
    context.issues.push({ code: 'custom', message, input: entry });
    return z.NEVER;
  }),
);

/** `host`, `host:port`, `host:*`, `address/bits`, `[address/bits]:port`; IPv6 in brackets where a port follows. */
function allowedTarget(entry: string): AllowedTarget | undefined {
  const [, bracketed, plain, written] = ENTRY.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
  const target = bracketed ?? plain;
  const port = portOf(written);
  if (!target || port === undefined) return undefined;
  if (target.includes('/')) return isRange(target) ? { kind: 'range', target, port } : undefined;
  const url = /[@?#%\\\s]/.test(target) ? null : URL.parse(`http://${isIP(target) === 6 ? `[${target}]` : target}`);
  return url === null ? undefined : { kind: 'host', target: url.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

const ENTRY = /^(?:\[([^\]]+)\]|([^:]+|[0-9a-f:./]*))(?::(\d{1,5}|\*))?$/i;

function portOf(written: string | undefined): AllowedTarget['port'] | undefined {
  if (written === undefined) return null;
  if (written === '*') return '*';
  return Number(written) >= 1 && Number(written) <= 65_535 ? Number(written) : undefined;
}

function isRange(target: string): boolean {
  const [address = '', bits = '', ...rest] = target.split('/');
  const most = { 4: 32, 6: 128 }[isIP(address)];
  return most !== undefined && rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most;
}
