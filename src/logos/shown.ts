/** Which logo a page shows of an application: one that was fetched, or none. Whoever looks has it looked for again, now and then. */
import { realmPath } from '../realms/issuer.ts';
import { type KnownLogo, knownLogos, LOGO, type LogoClient, orderAgain, orderLogo } from '../store/client-logos.ts';
import type { Queries } from '../store/rows.ts';

/** As a page shows it. */
export interface Logo {
  /** A path of ours. */
  src: string;
  /** In CSS pixels: the page keeps the place free, and does not jump. */
  width: number;
  height: number;
}

/** In CSS pixels. */
const HIGHEST = 48;
const WIDEST = 120;
/** A picture is fetched anew after a day; what could not be fetched is tried again after an hour. Only if somebody looks. */
const FRESH_MS = 24 * 3_600_000;
const RETRY_MS = 3_600_000;

/** The logo of a client, or null. */
export async function logoOf(queries: Queries, realmName: string, client: LogoClient, now: number): Promise<Logo | null> {
  return (await logosOf(queries, realmName, [client], now)).get(client.id) ?? null;
}

/**
 * The logos of clients of one realm that have one, by row id. Those that name none cost nothing.
 * @param now milliseconds since the epoch
 */
export async function logosOf(queries: Queries, realmName: string, clients: readonly LogoClient[], now: number): Promise<Map<string, Logo>> {
  const naming = clients.filter(({ attributes }) => attributes[LOGO] !== undefined);
  const [first] = naming;
  if (!first) return new Map();
  const known = await knownLogos(queries, first.realmId, naming);
  for (const client of naming) await lookAgain(queries, client, known.get(client.id), now);
  const shown = [...known].flatMap(([id, { picture }]): [string, Logo][] => {
    if (!picture) return [];
    const scale = Math.min(1, HIGHEST / picture.height, WIDEST / picture.width);
    const size = (pixels: number): number => Math.max(1, Math.round(pixels * scale));
    return [[id, { src: `${realmPath(realmName)}/logos/${id}/${picture.hash}`, width: size(picture.width), height: size(picture.height) }]];
  });
  return new Map(shown);
}

async function lookAgain(queries: Queries, client: LogoClient, known: KnownLogo | undefined, now: number): Promise<void> {
  if (!known) return orderLogo(queries, client, now);
  if (known.state === 'waiting' || known.finishedAt === null) return;
  const before = now - (known.state === 'delivered' ? FRESH_MS : RETRY_MS);
  if (known.finishedAt <= before) await orderAgain(queries, client, { before, now });
}
