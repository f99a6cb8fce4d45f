/**
 * Lines of refresh tokens, one from each sign-in, whose client may present a replaced token again for a while. What is counted
 * is generations: all that were made of tokens of one generation are the next.
 */
import type { Knex } from 'knex';

export interface ChainKey {
  realmId: string;
  id: string;
}

/** Until when, and how often, tokens of the newest generation may be used. */
export interface Grace {
  now: number;
  /** Milliseconds. */
  grace: number;
  most: number;
}

const where = ({ realmId, id }: ChainKey) => ({ realm_id: realmId, id });

/** @param chain.generation the one before that of the first token */
export async function insertChain(knex: Knex, chain: ChainKey & { generation: number; expiresAt: number }): Promise<void> {
  await knex('refresh_chains')
    .insert({ ...where(chain), generation: chain.generation, expires_at: chain.expiresAt })
    .onConflict(['realm_id', 'id'])
    .ignore();
}

/** Uses a token of that generation, in one statement: a newer one than was used so far, or one more of the newest while its time lasts. */
export async function useGeneration(knex: Knex, key: ChainKey, generation: number, { now, grace, most }: Grace): Promise<boolean> {
  const used = await knex('refresh_chains')
    .where(where(key))
    .where((either) => either.where('generation', '<', generation).orWhere((same) => within(same, generation, { now, grace, most })))
    .update({
      generation,
      uses: knex.raw('CASE WHEN generation < ? THEN 1 ELSE uses + 1 END', [generation]),
      used_at: knex.raw('CASE WHEN generation < ? THEN CAST(? AS BIGINT) ELSE used_at END', [generation, now]),
    });
  return used === 1;
}

const within = (query: Knex.QueryBuilder, generation: number, { now, grace, most }: Grace) =>
  query
    .where({ generation })
    .where('used_at', '>', now - grace)
    .where('uses', '<', most);

/** Whether a token of that generation could be used now. */
export async function mayUseGeneration(knex: Knex, key: ChainKey, generation: number, grace: Grace): Promise<boolean> {
  const row = await knex('refresh_chains')
    .where(where(key))
    .where((either) => either.where('generation', '<', generation).orWhere((same) => within(same, generation, grace)))
    .first('id');
  return row !== undefined;
}
