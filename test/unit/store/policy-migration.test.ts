/** Realms that were there before there were policies: each has the one that its setting stood for. */
import * as realms from '../../../migrations/0001_realms.ts';
import * as users from '../../../migrations/0002_users.ts';
import * as clients from '../../../migrations/0003_clients.ts';
import * as sessions from '../../../migrations/0004_sessions.ts';
import * as policy from '../../../migrations/0007_policy.ts';
import { sourceOf } from '../../../migrations/index.ts';
import { nameOf } from '../../../src/policy/document.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { policyInForce } from '../../../src/store/policies.ts';
import { atEnd } from '../../support/cleanup.ts';
import { forEachEngine } from '../../support/databases.ts';

const BEFORE = new Map([
  ['0001_realms', realms],
  ['0002_users', users],
  ['0003_clients', clients],
  ['0004_sessions', sessions],
]);

forEachEngine((engine) => {
  engine.test('the setting of a realm becomes its policy, however many realms there are', async (t) => {
    const settings = await engine.settings({ empty: true });
    const before = await openDatabase(settings, { migrations: sourceOf(BEFORE) });
    await before.migrate();
    const mfa = ['off', 'optional', 'required', undefined] as const;
    const rows = Array.from({ length: 1_203 }, (_, index) => ({
      id: `realm-${String(index).padStart(4, '0')}`,
      name: `realm-${index}`,
      display_name: '',
      settings: JSON.stringify({ mfa: mfa[index % mfa.length] }),
      root_secret: '',
      created_at: index,
      updated_at: 0,
    }));
    await before.knex.batchInsert('realms', rows, 100);
    await before.close();

    const after = await openDatabase(settings, { migrations: sourceOf(new Map([...BEFORE, ['0007_policy', policy]])) });
    atEnd(() => after.close());
    await after.migrate();
    t.is(Number((await after.knex('mfa_policies').count({ count: '*' }).first())?.count), rows.length);
    for (const [index, expected] of (['off', 'optional', 'required', 'optional'] as const).entries()) {
      const found = await policyInForce(after.knex, `realm-${String(index + 1_000).padStart(4, '0')}`);
      t.deepEqual([found.version, nameOf(found.document)], [1, expected]);
    }
    const [row] = await after.knex('mfa_policies').where({ realm_id: 'realm-0007' });
    t.like(row, { actor: 'migration', created_at: 7 });
    t.is(
      JSON.parse((await after.knex('realms').where({ id: 'realm-0002' }).first('settings')).settings).mfa,
      'required',
      'which an older release reads',
    );
  });
});
