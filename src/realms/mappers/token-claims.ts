/** What one token says beyond what every token says: the mappers that stand there, each asked in turn. */
import { type ClientRow, LIGHTWEIGHT } from '../../store/clients.ts';
import type { EffectiveRole } from '../../store/effective-roles.ts';
import type { About, Wanted } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';
import { webOriginsOf } from '../web-origins.ts';
import { put, take } from './claim.ts';
import type { Facts, Use } from './mapper.ts';
import { type Mapper, needsOf, standing } from './prepare.ts';
import { NO_ROLES, rolesOf } from './roles.ts';

/** Where what mappers need is read, each at most once however many tokens a request makes. */
export interface Source {
  user: UserRow;
  client: Facts['client'];
  signIn: Facts['signIn'];
  /** The client wants tokens without roles. */
  lightweight: boolean;
  about(wanted: Wanted): Promise<About>;
  /** Of the user, as far as the client may be told. */
  roles(): Promise<readonly EffectiveRole[]>;
}

export const isLightweight = ({ attributes }: ClientRow): boolean => attributes[LIGHTWEIGHT] === 'true';

/** What mappers are told of a client. */
export const ofClient = (row: ClientRow): Pick<Source, 'client' | 'lightweight'> => ({
  client: { clientId: row.clientId, origins: webOriginsOf(row) },
  lightweight: isLightweight(row),
});

export interface Said {
  claims: Record<string, unknown>;
  /** Besides the usual. */
  audience: readonly string[];
}

const NOTHING: About = { attributes: new Map(), inherited: [], groups: [], roles: [] };

/** What has to be known of a user beyond the row for this use of these mappers. */
export function wantedFor(mappers: readonly Mapper[], uses: readonly Use[], lightweight: boolean): Wanted {
  const needs = needsOf(uses.flatMap((use) => standing(mappers, use, lightweight)));
  return { attributes: needs.has('attributes'), groups: needs.has('groups') };
}

/** Whether the user's roles have to be known for this use of these mappers. */
export const wantsRoles = (mappers: readonly Mapper[], uses: readonly Use[], lightweight: boolean): boolean =>
  needsOf(uses.flatMap((use) => standing(mappers, use, lightweight))).has('roles');

export async function claimsOf(mappers: readonly Mapper[], use: Use, source: Source): Promise<Said> {
  const used = inOrder(standing(mappers, use, source.lightweight));
  const { claims, audience } = await said(used, inOrder(mappers), source);
  return { claims: use === 'access' ? { ...claims, ...howSignedIn(source) } : claims, audience };
}

/**
 * Lightweight tokens are for this server's own APIs, which look roles up and ask how the user signed in: they say so
 * whatever mappers there are, or whoever administers scopes could shut all administrators out.
 */
function howSignedIn({ lightweight, signIn }: Source): Record<string, unknown> {
  return lightweight && signIn ? { acr: signIn.acr, amr: signIn.amr, auth_time: signIn.authTime } : {};
}

/**
 * How an answer of introspection differs from what the token says: mappers that stand in one of the two alone.
 * @returns undefined where they say the same, as they do by default
 */
export async function introspected(
  mappers: readonly Mapper[],
  payload: Readonly<Record<string, unknown>>,
  lightweight: boolean,
  find: () => Promise<Source | undefined>,
): Promise<Said | undefined> {
  const inToken = standing(mappers, 'access', lightweight);
  const inAnswer = standing(mappers, 'introspection', lightweight);
  const less = inToken.filter((mapper) => !inAnswer.includes(mapper));
  const more = inAnswer.filter((mapper) => !inToken.includes(mapper));
  const source = less.length + more.length === 0 ? undefined : await find();
  if (!source) return undefined;
  const answer = structuredClone(payload);
  const facts = await factsFor([...less, ...more], inOrder(mappers), source);
  for (const { type, config } of less) for (const { path } of type.claims?.(config, facts) ?? []) take(answer, path);
  for (const { type, config } of inOrder(more)) for (const claim of type.claims?.(config, facts) ?? []) put(answer, claim);
  return { claims: answer, audience: more.flatMap(({ type, config }) => type.audience?.(config, facts) ?? []) };
}

async function said(used: readonly Mapper[], all: readonly Mapper[], source: Source): Promise<Said> {
  const facts = await factsFor(used, all, source);
  const claims: Record<string, unknown> = {};
  const audience: string[] = [];
  for (const { type, config } of used) {
    for (const claim of type.claims?.(config, facts) ?? []) put(claims, claim);
    audience.push(...(type.audience?.(config, facts) ?? []));
  }
  return { claims, audience };
}

/** @param all what changes roles counts wherever roles are named */
async function factsFor(used: readonly Mapper[], all: readonly Mapper[], source: Source): Promise<Facts> {
  const needs = needsOf(used);
  const wanted = { attributes: needs.has('attributes'), groups: needs.has('groups') };
  const [about, held] = await Promise.all([
    wanted.attributes || wanted.groups ? source.about(wanted) : NOTHING,
    needs.has('roles') ? source.roles() : undefined,
  ]);
  let roles = held ? rolesOf(held) : NO_ROLES;
  if (held) for (const { type, config } of all) roles = type.roles?.(config, roles) ?? roles;
  return { subject: { user: source.user, about }, client: source.client, signIn: source.signIn, roles };
}

/** By type first, so that roles are renamed before they are named; then as they came: scopes' before the client's own. */
const inOrder = (mappers: readonly Mapper[]): readonly Mapper[] => mappers.toSorted((one, other) => one.order - other.order);
