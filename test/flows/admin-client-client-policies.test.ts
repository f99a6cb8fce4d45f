/** Client policies, through Keycloak's own client: kept where they do nothing, and refused where they would promise something. */
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);

  engine.test('policies that are switched off and profiles without executors are kept, and shown as they were written', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    t.deepEqual(await client.clientPolicies.listPolicies(), { policies: [] });
    t.deepEqual(await client.clientPolicies.listProfiles({ includeGlobalProfiles: true }), { profiles: [], globalProfiles: [] });
    const policy = { name: 'later', description: 'For banks', profiles: ['bank'], conditions: [{ condition: 'any-client', configuration: {} }] };
    await client.clientPolicies.updatePolicy({ policies: [policy] });
    t.deepEqual(await client.clientPolicies.listPolicies({ includeGlobalPolicies: true }), { policies: [policy], globalPolicies: [] });
    await client.clientPolicies.createProfiles({ profiles: [{ name: 'bank', executors: [] }], globalProfiles: [] });
    t.deepEqual(await client.clientPolicies.listProfiles(), { profiles: [{ name: 'bank', executors: [] }] });
    // What was read is taken as it stands.
    await client.clientPolicies.updatePolicy(await client.clientPolicies.listPolicies());
    await client.clientPolicies.updatePolicy({});
    t.deepEqual(await client.clientPolicies.listPolicies(), { policies: [] });
  });

  engine.test('what asks for something is refused, for nothing would enforce it', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    const off = { name: 'off' };
    const on = await refusal(client.clientPolicies.updatePolicy({ policies: [off, { name: 'on', enabled: true }] }));
    t.like(on, { status: 501, body: { field: 'policies.1.enabled' } });
    const executes = await refusal(
      client.clientPolicies.createProfiles({ profiles: [{ name: 'fapi', executors: [{ executor: 'pkce-enforcer' }] }] }),
    );
    t.like(executes, { status: 501, body: { field: 'profiles.0.executors' } });
    t.deepEqual(await client.clientPolicies.listPolicies(), { policies: [] });
    const viewer = await limitedClient(server, realm, ['view-realm']);
    t.deepEqual(await viewer.client.clientPolicies.listProfiles(), { profiles: [] });
    t.is((await refusal(viewer.client.clientPolicies.updatePolicy({ policies: [off] }))).status, 403);
  });
});
