/** How many users are protected, and how: counted over the whole installation, for the metrics, or in one realm. */
import type { Knex } from 'knex';

export interface Coverage {
  /** Nothing but a password. */
  none: number;
  /** The same, and setting something up was put off. */
  grace: number;
  aal2: number;
  /** Resists phishing. */
  phr: number;
}

/**
 * Counts every enabled user once, by the best factor of theirs. It reads all credentials: not for the way of a request.
 *
 * @param factors the factors that reach aal2, and those that reach more
 * @param realmId of one realm alone
 */
export async function countCoverage(knex: Knex, factors: { aal2: readonly string[]; phr: readonly string[] }, realmId?: string): Promise<Coverage> {
  const phr = factors.phr.length === 0 ? '' : ` OR factor IN (${factors.phr.map(() => '?').join(', ')})`;
  const held = knex('credentials')
    .where({ enabled: true })
    .whereIn('factor', [...factors.aal2, ...factors.phr])
    .groupBy('realm_id', 'user_id')
    .select('realm_id', 'user_id', knex.raw(`max(CASE WHEN level IN ('phr', 'phrh')${phr} THEN 1 ELSE 0 END) AS best`, [...factors.phr]));
  if (realmId !== undefined) void held.where({ realm_id: realmId });
  const rows: { best: number | null; put_off: number; users: number }[] = await knex('users')
    .modify((users) => {
      if (realmId !== undefined) void users.where('users.realm_id', realmId);
    })
    .leftJoin(held.as('held'), (on) => on.on('held.realm_id', 'users.realm_id').andOn('held.user_id', 'users.id'))
    .leftJoin('mfa_grace', (on) => on.on('mfa_grace.realm_id', 'users.realm_id').andOn('mfa_grace.user_id', 'users.id'))
    .where('users.enabled', true)
    .whereNull('users.service_account_of')
    .groupByRaw('1, 2')
    .select(knex.raw('held.best AS best'), knex.raw('CASE WHEN mfa_grace.used > 0 THEN 1 ELSE 0 END AS put_off'), knex.raw('count(*) AS users'));
  const count = (which: (row: { best: number | null; put_off: number }) => boolean): number =>
    rows.filter(which).reduce((sum, row) => sum + Number(row.users), 0);
  return {
    none: count(({ best, put_off }) => best === null && put_off === 0),
    grace: count(({ best, put_off }) => best === null && put_off === 1),
    aal2: count(({ best }) => best === 0),
    phr: count(({ best }) => best === 1),
  };
}
