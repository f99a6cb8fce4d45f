/**
 * The migrations, in the order in which they run. They are imported, not looked up in a folder: what runs is what was
 * type-checked, wherever the process was started.
 */
import type { Knex } from 'knex';
import * as realms from './0001_realms.ts';
import * as users from './0002_users.ts';
import * as clients from './0003_clients.ts';
import * as sessions from './0004_sessions.ts';
import * as audit from './0005_audit.ts';
import * as factors from './0006_factors.ts';
import * as policy from './0007_policy.ts';
import * as devices from './0008_devices.ts';
import * as auditChain from './0009_audit_chain.ts';
import * as delivery from './0010_delivery.ts';
import * as recovery from './0011_recovery.ts';
import * as hardwareTokens from './0012_hardware_tokens.ts';
import * as factorWebhooks from './0013_factor_webhooks.ts';
import * as defaultGroups from './0014_default_groups.ts';
import * as protocolMappers from './0015_protocol_mappers.ts';
import * as clientAdministration from './0016_client_administration.ts';
import * as components from './0017_components.ts';
import * as webhooks from './0018_webhooks.ts';
import * as gates from './0019_gates.ts';
import * as identityProviders from './0020_identity_providers.ts';
import * as impersonations from './0021_impersonations.ts';
import * as compositesUpwards from './0022_composites_upwards.ts';
import * as refreshChains from './0023_refresh_chains.ts';
import * as logoutNotices from './0024_logout_notices.ts';
import * as devicePolls from './0025_device_polls.ts';
import * as clientLogos from './0026_client_logos.ts';

/** A name is stored with each database that it ran on: never rename one, only add. */
const migrations = new Map<string, Knex.Migration>([
  ['0001_realms', realms],
  ['0002_users', users],
  ['0003_clients', clients],
  ['0004_sessions', sessions],
  ['0005_audit', audit],
  ['0006_factors', factors],
  ['0007_policy', policy],
  ['0008_devices', devices],
  ['0009_audit_chain', auditChain],
  ['0010_delivery', delivery],
  ['0011_recovery', recovery],
  ['0012_hardware_tokens', hardwareTokens],
  ['0013_factor_webhooks', factorWebhooks],
  ['0014_default_groups', defaultGroups],
  ['0015_protocol_mappers', protocolMappers],
  ['0016_client_administration', clientAdministration],
  ['0017_components', components],
  ['0018_webhooks', webhooks],
  ['0019_gates', gates],
  ['0020_identity_providers', identityProviders],
  ['0021_impersonations', impersonations],
  ['0022_composites_upwards', compositesUpwards],
  ['0023_refresh_chains', refreshChains],
  ['0024_logout_notices', logoutNotices],
  ['0025_device_polls', devicePolls],
  ['0026_client_logos', clientLogos],
]);

/** What knex asks for migrations. */
export const sourceOf = (listed: Map<string, Knex.Migration>): Knex.MigrationSource<string> => ({
  getMigrations: async () => [...listed.keys()],
  getMigrationName: (name) => name,
  async getMigration(name) {
    const migration = listed.get(name);
    if (!migration) throw new Error(`There is no migration called ${name}.`);
    return migration;
  },
});

export const migrationSource = sourceOf(migrations);
