/** What Keycloak's clients read of the server. */
import { adminOf } from '../support/admin.ts';
import { startCardea } from '../support/cardea.ts';
import { testOnEngines } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';

testOnEngines('whoever manages something reads what the server is and can do', async (t, db) => {
  const server = await startCardea(db);
  const admin = await adminOf(server);
  const info = await keycloakClient(server, admin.master, admin.token).serverInfo.find();
  t.regex(info.systemInfo?.version ?? '', /^26\./);
  t.true((info.memoryInfo?.used ?? 0) > 0);
  t.true(info.passwordPolicies?.some(({ id }) => id === 'length'));
  t.truthy(info.providers?.['password-policy']?.providers.length);
  t.true(info.themes?.login?.some(({ name }) => name === 'keycloak'));
  t.true(info.protocolMapperTypes?.['openid-connect']?.some(({ id }) => id === 'oidc-audience-mapper'));
  t.true(info.enums?.resourceType?.includes('USER'));
  t.true(info.componentTypes?.['org.keycloak.keys.KeyProvider']?.some(({ id }) => id === 'rsa-generated'));

  const realm = await server.realm();
  const { client } = await limitedClient(server, realm, ['view-users']);
  t.truthy((await client.serverInfo.find()).systemInfo);
  const { client: nobody } = await limitedClient(server, realm, []);
  t.is((await refusal(nobody.serverInfo.find())).status, 403);
});
