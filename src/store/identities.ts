/** Who somebody is elsewhere: identities at other providers, kept for signing in by them. */
import type { Knex } from 'knex';

export interface LinkedIdentity {
  provider: string;
  subject: string;
  username: string | null;
}

export async function identitiesOf(knex: Knex, realmId: string, userId: string): Promise<LinkedIdentity[]> {
  return knex('federated_identities')
    .where({ realm_id: realmId, user_id: userId })
    .orderBy('provider')
    .limit(1000)
    .select('provider', 'subject', 'username');
}

/** A user has one identity of a provider, and an identity is one user's. */
export async function insertIdentity(trx: Knex, user: { realmId: string; id: string }, identity: LinkedIdentity, now: number): Promise<void> {
  await trx('federated_identities').insert({ realm_id: user.realmId, user_id: user.id, ...identity, created_at: now });
}

/** False when there was none. */
export async function deleteIdentity(trx: Knex, user: { realmId: string; id: string }, provider: string): Promise<boolean> {
  return (await trx('federated_identities').where({ realm_id: user.realmId, user_id: user.id, provider }).delete()) === 1;
}
