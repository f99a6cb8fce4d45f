/**
 * Tokens that were made from another one (RFC 8693), wherever they are used afterwards.
 *
 * Such a token has a session and a grant of its own client, and hangs on those of every client that it came through besides:
 * the chain stands in the token, and is looked up whenever the token is. So it ends with any of them, at once. The chain is
 * also what its roles are cut to: no client on the way is a way around what another may be told.
 */
import { z } from 'zod';
import type { RealmSettings } from '../../realms/settings.ts';
import { isAlive } from '../../sessions/lifetimes.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { EffectiveRole } from '../../store/effective-roles.ts';
import { noneRevoked, originsOf, serviceAccountsStand } from '../../store/token-standing.ts';
import { voidBefore } from '../clients/client-session.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { DEFAULT_AUDIENCE, type RealmRoom } from '../room.ts';
import { receiversOf } from '../tokens/resource.ts';
import { rolesWithin } from '../tokens/roles.ts';

/** How often a token may be passed on: each time adds a client to the chain, and all of them are looked up at every use. */
export const MOST_EXCHANGES = 4;

const link = z.object({ azp: z.string(), sid: z.string(), jti: z.string() });

/** Who acts (RFC 8693 section 4.1): the newest outside, whom it acts for inside. Without a `sid` it is a service account. */
export interface Actor {
  sub: string;
  client_id: string;
  sid?: string | undefined;
  act?: Actor | undefined;
}
const actor: z.ZodType<Actor> = z.object({
  sub: z.string(),
  client_id: z.string(),
  sid: z.string().optional(),
  act: z.lazy(() => actor).optional(),
});

const exchange = z.object({
  /** The tokens that it came from, the nearest first: of which client, of which of its sessions, and which token. */
  from: z.array(link).min(1).max(MOST_EXCHANGES),
  act: actor.optional(),
  /** The only ones that it is for, where the request named any. */
  audience: z.array(z.string()).optional(),
});
export type Exchange = z.infer<typeof exchange>;

/** What an access token says of where it came from; null when it came from no other, undefined for what no exchange of ours says. */
export function exchangeOf({ exchanged_from: from, act, aud }: Readonly<Record<string, unknown>>): Exchange | null | undefined {
  if (from === undefined) return null;
  const audience = [aud].flat();
  // Every token is for the usual audience, unless the request named others.
  return exchange.safeParse({ from, act, ...(audience.includes(DEFAULT_AUDIENCE) ? {} : { audience }) }).data;
}

/** What was stored beside a refresh token. */
export const storedExchange = (value: unknown): Exchange | undefined => (value === undefined ? undefined : exchange.parse(value));

/** The claims of an exchanged token. */
export const exchangeClaims = ({ from, act }: Exchange): Record<string, unknown> => ({ exchanged_from: from, ...(act ? { act } : {}) });

/** Who acts, the newest first. */
function actorsOf({ act }: Exchange): Actor[] {
  const actors: Actor[] = [];
  for (let one = act; one; one = one.act) actors.push(one);
  return actors;
}

/**
 * Whether everything still stands that a token came through: each client, its session and grant, each token, and who acts.
 * @param iat of the token, in seconds since the epoch
 */
export async function exchangeStands(room: RealmRoom, clients: Clients, chain: Exchange, iat: number): Promise<boolean> {
  const { db, context, now } = room;
  const { realm } = context;
  const actors = actorsOf(chain);
  for (const name of new Set([...chain.from.map(({ azp }) => azp), ...actors.map(({ client_id }) => client_id)]))
    if (!isGood(await clients.find(name), realm.settings, iat)) return false;
  const sids = new Set([...chain.from.map(({ sid }) => sid), ...actors.flatMap(({ sid }) => sid ?? [])]);
  const origins = await originsOf(db.knex, realm.id, [...sids]);
  const at = now();
  if (origins.length < sids.size || !origins.every((one) => isAlive(one, realm.settings, at) && iat * 1000 >= one.notBefore)) return false;
  const jtis = chain.from.map(({ jti }) => jti);
  if (!(await noneRevoked(db.knex, realm.id, jtis))) return false;
  const services = actors.flatMap(({ sid, sub }) => (sid === undefined ? [sub] : []));
  return services.length === 0 || serviceAccountsStand(db.knex, realm.id, services);
}

/** Whether a client is there, and tokens of that time of it are not void. */
const isGood = (client: OidcClient | undefined, settings: RealmSettings, iat: number): boolean =>
  client !== undefined && iat >= voidBefore(client.row, settings);

/** The roles that every client on the way may be told of, and where the request named an audience, or a resource, those of its clients alone. */
export async function rolesThrough(
  room: RealmRoom,
  clients: Clients,
  { from, audience }: Exchange,
  of: { row: ClientRow; userId: string; scope: string | undefined; roles: readonly EffectiveRole[] },
): Promise<readonly EffectiveRole[]> {
  let { roles } = of;
  if (audience) {
    const named = new Set([...audience, ...(await receiversOf(clients, of.row, audience))]);
    roles = roles.filter(({ client }) => client === null || named.has(client));
  }
  for (const client of await Promise.all([...new Set(from.map(({ azp }) => azp))].map((azp) => clients.find(azp)))) {
    const passing = await passingOf(room, client, of);
    if (passing) roles = roles.filter(({ id }) => passing.has(id));
  }
  return roles;
}

/** Undefined where the client is told of all roles. */
async function passingOf(room: RealmRoom, client: OidcClient | undefined, of: { userId: string; scope: string | undefined }) {
  if (client?.row.fullScope) return undefined;
  return new Set(client ? (await rolesWithin(room, client, of.userId, of.scope)).map(({ id }) => id) : []);
}
