/**
 * Users by how they are protected: the page of a list, in the order of usernames. Who is in it is asked of every user on
 * the way by their credentials (an index lookup each); what each one has is read for the whole page at once.
 */
import type { Knex } from 'knex';
import { waysTo } from './effective-roles.ts';
import { namedRoles } from './named-roles.ts';

export const COVERAGE_STATES = ['none', 'grace', 'aal2', 'phr'] as const;
export type CoverageState = (typeof COVERAGE_STATES)[number];

/** Which factors are worth what in the realm. */
export interface FactorsByWorth {
  aal2: readonly string[];
  /** Those that resist phishing. */
  phr: readonly string[];
  /** Every one that is a way in beside the password; recovery codes are, a pass in somebody's hand is none. */
  ways: readonly string[];
}

export interface CoverageFilter {
  state?: CoverageState | undefined;
  /** Whoever has exactly one way in beside the password: the next loss locks them out. */
  oneLeft?: boolean | undefined;
  /** A path: its members, and those of all groups below. */
  group?: string | undefined;
  /** A realm role, or `client:role`, however it comes to the user. */
  role?: string | undefined;
}

export interface CoveredUser {
  id: string;
  username: string;
  /** As they are compared: where the next page begins. */
  place: string;
  state: CoverageState;
  /** Ids of the factors that can be used now. */
  factors: string[];
  /** How many sign-ins have put an enrolment off. */
  graceUsed: number;
  oneLeft: boolean;
}

/**
 * One page of the realm's enabled users; service accounts never sign in.
 * @param page.after the `place` of the last user of the page before
 */
export async function coveredUsers(
  knex: Knex,
  realmId: string,
  { worth, filter }: { worth: FactorsByWorth; filter: CoverageFilter },
  page: { after?: string | undefined; first: number; limit: number },
): Promise<CoveredUser[]> {
  const query = knex('users')
    .leftJoin('mfa_grace', (on) => on.on('mfa_grace.realm_id', 'users.realm_id').andOn('mfa_grace.user_id', 'users.id'))
    .where('users.realm_id', realmId)
    .where('users.enabled', true)
    .whereNull('users.service_account_of')
    .orderBy('users.username')
    .limit(page.limit)
    .offset(page.first)
    .select({ id: 'users.id', username: 'users.username_shown', place: 'users.username', used: 'mfa_grace.used' });
  if (page.after !== undefined) query.where('users.username', '>', page.after);
  if (filter.state !== undefined) inState(knex, query, worth, filter.state);
  if (filter.oneLeft !== undefined) query.whereRaw(`? ${filter.oneLeft ? '=' : '<>'} 1`, [waysIn(knex, worth)]);
  if (filter.group !== undefined) query.whereExists(membership(knex).where((either) => inGroup(either, filter.group ?? '')));
  if (filter.role !== undefined) withRole(knex, realmId, query, filter.role);
  const users: { id: string; username: string; place: string; used: number | null }[] = await query;
  const held = await factorsOf(
    knex,
    realmId,
    users.map(({ id }) => id),
  );
  return users.map(({ used, ...user }) => {
    const usable = (held.get(user.id) ?? []).filter(({ factor }) => worth.ways.includes(factor));
    const graceUsed = used ?? 0;
    const factors = [...new Set(usable.map(({ factor }) => factor))].sort();
    return { ...user, state: stateOf(usable, worth, graceUsed), factors, graceUsed, oneLeft: factors.length === 1 };
  });
}

interface Held {
  factor: string;
  level: string | null;
}

const PHISHING_RESISTANT: readonly string[] = ['phr', 'phrh'];

function stateOf(usable: readonly Held[], worth: FactorsByWorth, graceUsed: number): CoverageState {
  if (usable.some(({ factor, level }) => worth.phr.includes(factor) || (worth.aal2.includes(factor) && PHISHING_RESISTANT.includes(level ?? ''))))
    return 'phr';
  if (usable.some(({ factor }) => worth.aal2.includes(factor))) return 'aal2';
  return graceUsed > 0 ? 'grace' : 'none';
}

/** The same as conditions. */
function inState(knex: Knex, query: Knex.QueryBuilder, worth: FactorsByWorth, state: CoverageState): void {
  const has = (): Knex.QueryBuilder => ofUser(knex).where('held.enabled', true);
  const phr = has().where((either) =>
    either
      .whereIn('held.factor', [...worth.phr])
      .orWhere((attested) => attested.whereIn('held.factor', [...worth.aal2]).whereIn('held.level', [...PHISHING_RESISTANT])),
  );
  if (state === 'phr') {
    query.whereExists(phr);
    return;
  }
  const protectedBy = has().whereIn('held.factor', [...worth.aal2, ...worth.phr]);
  if (state === 'aal2') query.whereExists(protectedBy).whereNotExists(phr);
  else query.whereNotExists(protectedBy).whereRaw(`COALESCE(mfa_grace.used, 0) ${state === 'grace' ? '> 0' : '= 0'}`);
}

const ofUser = (knex: Knex): Knex.QueryBuilder =>
  knex({ held: 'credentials' }).whereRaw('held.realm_id = users.realm_id AND held.user_id = users.id').select(knex.raw('1'));

const waysIn = (knex: Knex, worth: FactorsByWorth): Knex.QueryBuilder =>
  ofUser(knex)
    .where('held.enabled', true)
    .whereIn('held.factor', [...worth.ways])
    .clearSelect()
    .countDistinct('held.factor');

const membership = (knex: Knex): Knex.QueryBuilder =>
  knex({ member: 'user_groups' })
    .join({ joined: 'groups' }, (on) => on.on('joined.realm_id', 'member.realm_id').andOn('joined.id', 'member.group_id'))
    .whereRaw('member.realm_id = users.realm_id AND member.user_id = users.id')
    .select(knex.raw('1'));

function inGroup(either: Knex.QueryBuilder, path: string): void {
  void either.where('joined.path', path).orWhereRaw("joined.path LIKE ? ESCAPE '!'", [`${path.replace(/[!%_]/g, '!$&')}/%`]);
}

function withRole(knex: Knex, realmId: string, query: Knex.QueryBuilder, name: string): void {
  const below = knex('group_roles')
    .where('realm_id', realmId)
    .whereIn('role_id', knex('ways').select('holder_id'))
    .select({ id: 'group_id' })
    .union(knex('groups').join('below', 'below.id', 'groups.parent_id').where('groups.realm_id', realmId).select({ id: 'groups.id' }));
  void query
    .withRecursive('ways', waysTo(knex, realmId, 'ways', namedRoles(knex, realmId, [name])))
    .withRecursive('below', below)
    .where((either) =>
      either
        .whereIn('users.id', knex('user_roles').where('realm_id', realmId).whereIn('role_id', knex('ways').select('holder_id')).select('user_id'))
        .orWhereIn('users.id', knex('user_groups').where('realm_id', realmId).whereIn('group_id', knex('below').select('id')).select('user_id')),
    );
}

async function factorsOf(knex: Knex, realmId: string, userIds: readonly string[]): Promise<Map<string, Held[]>> {
  const rows: (Held & { user_id: string })[] = await knex('credentials')
    .where({ realm_id: realmId, enabled: true })
    .whereIn('user_id', [...userIds])
    .select('user_id', 'factor', 'level');
  return Map.groupBy(rows, (row) => row.user_id);
}
