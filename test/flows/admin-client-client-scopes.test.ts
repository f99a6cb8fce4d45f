/** Client scopes through Keycloak's own client: made, changed, deleted, given to clients, and what tokens say by them. */
import { decodeJwt } from 'jose';
import { adminWorld, callAdmin } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

const names = (list: { name?: string }[]) => list.map(({ name }) => name);

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  engine.test('a scope is made, found, changed and deleted', async (t) => {
    const { client } = await realmOf();
    const scope = { name: 'payroll', description: 'Your salary', protocol: 'openid-connect', attributes: { 'include.in.token.scope': 'true' } };
    const { id } = await client.clientScopes.create(scope);
    t.like(await client.clientScopes.findOne({ id }), { id, ...scope });
    t.like(await client.clientScopes.findOneByName({ name: 'payroll' }), { id });
    t.is((await refusal(client.clientScopes.create(scope))).status, 409);
    t.is((await refusal(client.clientScopes.create({ name: 'two words' }))).body.field, 'name');
    t.is((await refusal(client.clientScopes.create({ name: 'openid' }))).status, 400);
    await client.clientScopes.update({ id }, { description: 'What you earn' });
    t.like(await client.clientScopes.findOne({ id }), { ...scope, description: 'What you earn' });
    const before = await client.clientScopes.findOne({ id });
    await client.clientScopes.update({ id }, before ?? {});
    t.deepEqual(await client.clientScopes.findOne({ id }), before, 'what a GET answered changes nothing');
    t.is((await refusal(client.clientScopes.update({ id }, { name: 'email' }))).status, 409);
    await client.clientScopes.delByName({ name: 'payroll' });
    t.falsy(await client.clientScopes.findOne({ id }));
    t.is((await refusal(client.clientScopes.del({ id }))).status, 404);
  });

  engine.test('a new realm has Keycloak’s scopes with their mappers', async (t) => {
    const { client } = await realmOf();
    const scopes = await client.clientScopes.find();
    const mappers = (name: string) => names(scopes.find((scope) => scope.name === name)?.protocolMappers ?? []);
    t.true(['basic', 'acr', 'profile', 'email', 'roles', 'web-origins', 'address', 'phone'].every((name) => names(scopes).includes(name)));
    t.deepEqual(mappers('roles'), ['audience resolve', 'client roles', 'realm roles']);
    t.deepEqual(mappers('email'), ['email', 'email verified']);
    t.deepEqual(mappers('basic'), ['auth_time', 'sub']);
    t.true(mappers('profile').includes('given name'));
    t.deepEqual(names(await client.clientScopes.listDefaultClientScopes()).sort(), ['acr', 'basic', 'email', 'profile', 'roles', 'web-origins']);
    t.true(names(await client.clientScopes.listDefaultOptionalClientScopes()).includes('offline_access'));
  });

  engine.test('what new clients get is said by the realm, and clients that are there keep theirs', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.clientScopes.create({ name: 'badge' });
    const old = await server.client(realm);
    await client.clientScopes.addDefaultClientScope({ id });
    await client.clientScopes.addDefaultClientScope({ id });
    t.true(names(await client.clientScopes.listDefaultClientScopes()).includes('badge'));
    const young = await server.client(realm);
    t.true(names(await client.clients.listDefaultClientScopes({ id: young.row.id })).includes('badge'));
    t.false(names(await client.clients.listDefaultClientScopes({ id: old.row.id })).includes('badge'));
    await client.clientScopes.delDefaultOptionalClientScope({ id });
    t.true(names(await client.clientScopes.listDefaultClientScopes()).includes('badge'), 'it was no optional one');
    await client.clientScopes.delDefaultClientScope({ id });
    await client.clientScopes.addDefaultOptionalClientScope({ id });
    t.true(names(await client.clientScopes.listDefaultOptionalClientScopes()).includes('badge'));
    t.is((await refusal(client.clientScopes.addDefaultClientScope({ id: crypto.randomUUID() }))).status, 404);
  });

  engine.test('a client is given scopes, and its next token says so; a deleted scope is nobody’s', async (t) => {
    const { server, realm, client } = await realmOf();
    const application = await server.client(realm);
    const rp = await relyingParty(server, realm, application);
    const user = await server.user(realm, { attributes: { badge: ['B-17'] } });
    const { id } = application.row;
    const scope = await client.clientScopes.create({ name: 'badge', attributes: { 'include.in.token.scope': 'true' } });
    const config = { 'user.attribute': 'badge', 'claim.name': 'badge', 'access.token.claim': 'true', 'id.token.claim': 'true' };
    await client.clientScopes.addProtocolMapper(
      { id: scope.id },
      { name: 'badge', protocol: 'openid-connect', protocolMapper: 'oidc-usermodel-attribute-mapper', config },
    );
    const claims = async (parameters = {}) => {
      const { tokens } = await signIn(server, rp, user, { parameters });
      return { access: decodeJwt(tokens.access_token), idToken: tokens.claims() };
    };
    t.false('badge' in (await claims()).access, 'it is not the client’s');

    await client.clients.addOptionalClientScope({ id, clientScopeId: scope.id });
    t.deepEqual(names(await client.clients.listOptionalClientScopes({ id })).includes('badge'), true);
    t.false('badge' in (await claims()).access, 'it was not asked for');
    const asked = await claims({ scope: 'openid badge' });
    t.is(asked.access.badge, 'B-17');
    t.is(asked.idToken?.badge, 'B-17');
    t.true(String(asked.access.scope).split(' ').includes('badge'));

    await client.clients.addDefaultClientScope({ id, clientScopeId: scope.id });
    t.false(names(await client.clients.listOptionalClientScopes({ id })).includes('badge'), 'it is had in one way');
    t.is((await claims()).access.badge, 'B-17');
    await client.clients.delOptionalClientScope({ id, clientScopeId: scope.id });
    t.true(names(await client.clients.listDefaultClientScopes({ id })).includes('badge'));

    await client.clientScopes.del({ id: scope.id });
    t.false(names(await client.clients.listDefaultClientScopes({ id })).includes('badge'));
    t.false('badge' in (await claims()).access);
  });

  engine.test('a service account has its default scopes in what its tokens say', async (t) => {
    const { server, realm, client } = await realmOf();
    const robot = await server.client(realm, { serviceAccount: true, redirectUris: [] });
    const scope = await client.clientScopes.create({
      name: 'stock-api',
      attributes: { 'include.in.token.scope': 'true' },
      protocolMappers: [
        {
          ...{ name: 'audience', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper' },
          config: { 'included.custom.audience': 'stock', 'access.token.claim': 'true' },
        },
      ],
    });
    await client.clients.addDefaultClientScope({ id: robot.row.id, clientScopeId: scope.id });
    const { access_token } = await openid.clientCredentialsGrant((await relyingParty(server, realm, robot)).configuration);
    t.deepEqual(decodeJwt(access_token).aud, ['account', 'stock']);
  });

  engine.test('what nothing is known of is kept, and what is wrong is named', async (t) => {
    const { server, realm, admin } = await realmOf();
    const call = (method: string, path: string, body?: unknown) =>
      callAdmin(server, method, `/realms/${realm.name}${path}`, { token: admin.token, body });
    const saml = await call('POST', '/client-scopes', {
      name: 'legacy',
      protocol: 'saml',
      protocolMappers: [{ name: 'role list', protocol: 'saml', protocolMapper: 'saml-role-list-mapper', config: { single: 'false' } }],
    });
    t.is(saml.status, 201);
    const path = new URL(saml.headers.get('location') ?? '').pathname.replace(`/admin/realms/${realm.name}`, '');
    t.is((await call('GET', path)).body.protocolMappers[0].protocolMapper, 'saml-role-list-mapper');
    const application = await server.client(realm);
    const refused = await call('PUT', `/clients/${application.row.id}/default-client-scopes/${path.split('/').at(-1)}`);
    t.is(refused.status, 400, 'it is for applications of another protocol');
    const unknown = { name: 'x', protocolMappers: [{ name: 'y', protocolMapper: 'oidc-nothing-mapper' }] };
    t.is((await call('POST', '/client-scopes', unknown)).status, 400);
    t.is((await call('GET', '/client-scopes')).body.filter((scope: { name: string }) => scope.name === 'x').length, 0, 'all of it or nothing');
    t.is((await call('POST', '/client-scopes', {})).body.field, 'name');
  });

  engine.test('whoever may only view clients changes no scope, and another realm’s scope is not there', async (t) => {
    const { server, admin, realm, client } = await realmOf();
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    const { client: users } = await limitedClient(server, realm, ['manage-users']);
    const [scope] = await viewer.clientScopes.find();
    const id = scope?.id ?? '';
    t.is((await refusal(viewer.clientScopes.update({ id }, { description: 'x' }))).status, 403);
    t.is((await refusal(viewer.clientScopes.del({ id }))).status, 403);
    t.is((await refusal(users.clientScopes.find())).status, 403);
    const other = keycloakClient(server, await server.realm(), admin.token);
    t.falsy(await other.clientScopes.findOne({ id }));
    t.is((await refusal(other.clientScopes.del({ id }))).status, 404);
    const application = await server.client(realm);
    const theirs = await other.clientScopes.create({ name: 'theirs' });
    t.is((await refusal(client.clients.addDefaultClientScope({ id: application.row.id, clientScopeId: theirs.id }))).status, 404);
  });

  engine.serial('a list costs the same, however many scopes there are', async (t) => {
    const { server, client } = await realmOf();
    const few = await statementsOf(server, () => client.clientScopes.find());
    for (let index = 0; index < 8; index += 1) await client.clientScopes.create({ name: `scope-${index}` });
    t.is(await statementsOf(server, () => client.clientScopes.find()), few);
  });
});
