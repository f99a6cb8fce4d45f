/** When a device last asked after its code (RFC 8628 section 3.5): whoever asks too often is told to slow down, on every node. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('oidc_payloads', (table) => {
    table.bigInteger('polled_at');
  });
}

export const down = forwardOnly;
