/** Realms that were there before their scopes had mappers: each gets those that a new one has. */
import * as realms from '../../../migrations/0001_realms.ts';
import * as users from '../../../migrations/0002_users.ts';
import * as clients from '../../../migrations/0003_clients.ts';
import * as protocolMappers from '../../../migrations/0015_protocol_mappers.ts';
import { sourceOf } from '../../../migrations/index.ts';
import { CLIENT_SCOPES } from '../../../src/admin/resources/realm-defaults.ts';
import { DEFAULT_MAPPERS } from '../../../src/realms/mappers/defaults.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { mappersOfScopes } from '../../../src/store/protocol-mappers.ts';
import { atEnd } from '../../support/cleanup.ts';
import { forEachEngine } from '../../support/databases.ts';

const BEFORE = new Map([
  ['0001_realms', realms],
  ['0002_users', users],
  ['0003_clients', clients],
]);

forEachEngine((engine) => {
  engine.test('the scopes of every realm get the mappers of a new realm, and scopes of somebody’s own get none', async (t) => {
    const settings = await engine.settings({ empty: true });
    const before = await openDatabase(settings, { migrations: sourceOf(BEFORE) });
    await before.migrate();
    const ids = Array.from({ length: 90 }, (_, index) => `realm-${String(index).padStart(3, '0')}`);
    const common = { settings: '{}', root_secret: '', created_at: 0, updated_at: 0 };
    await before.knex.batchInsert(
      'realms',
      ids.map((id) => ({ id, name: id, display_name: '', ...common })),
      50,
    );
    const scopes = [...CLIENT_SCOPES, { name: 'own', protocol: undefined }];
    await before.knex.batchInsert(
      'client_scopes',
      ids.flatMap((realm_id) =>
        scopes.map(({ name, protocol = 'openid-connect' }) => ({ realm_id, id: `${realm_id}-${name}`, name, protocol, created_at: 0 })),
      ),
      50,
    );
    await before.close();

    const after = await openDatabase(settings, { migrations: sourceOf(new Map([...BEFORE, ['0015_protocol_mappers', protocolMappers]])) });
    atEnd(() => after.close());
    await after.migrate();
    for (const id of [ids[0] ?? '', ids.at(-1) ?? '']) {
      const rows = await mappersOfScopes(after.knex, id);
      const found = rows.map(({ parent, name, mapper, protocol, config }) => ({ parent, name, mapper, protocol, config }));
      const expected = Object.entries(DEFAULT_MAPPERS).flatMap(([scope, mappers]) =>
        mappers.map((mapper) => ({ parent: { scope: `${id}-${scope}` }, protocol: 'openid-connect', ...mapper })),
      );
      const order = (one: { parent: object; name: string }): string => `${JSON.stringify(one.parent)} ${one.name}`;
      const sorted = <T extends { parent: object; name: string }>(list: T[]): T[] => list.sort((a, b) => (order(a) < order(b) ? -1 : 1));
      t.deepEqual(sorted(found), sorted(expected));
    }
    const again = { realm_id: ids[0], id: 'again', scope_id: `${ids[0]}-email`, name: 'email', mapper: 'oidc-full-name-mapper' };
    await t.throwsAsync(after.knex('protocol_mappers').insert(again), undefined, 'one of a name');
  });
});
