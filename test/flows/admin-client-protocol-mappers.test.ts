/** Protocol mappers through Keycloak's own client, and what real tokens, userinfo and introspection say by them. */
import { decodeJwt } from 'jose';
import { addMember, createGroup } from '../../src/admin/resources/groups.ts';
import { createRole, giveRoles } from '../../src/admin/resources/roles.ts';
import { adminWorld, callAdmin } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

const TOKENS = { 'access.token.claim': 'true', 'id.token.claim': 'true', 'userinfo.token.claim': 'true', 'introspection.token.claim': 'true' };
const mapper = (type: string, name: string, config: Record<string, string>) => ({
  ...{ name, protocol: 'openid-connect', protocolMapper: type },
  config: { ...TOKENS, ...config },
});
const attribute = (from: string, claim: string, more: Record<string, string> = {}) =>
  mapper('oidc-usermodel-attribute-mapper', claim, { 'user.attribute': from, 'claim.name': claim, 'jsonType.label': 'String', ...more });

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const stageOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const application = await server.client(realm, { serviceAccount: true, webOrigins: ['https://app.example'] });
    const { id } = application.row;
    const client = keycloakClient(server, realm, admin.token);
    const rp = await relyingParty(server, realm, application);
    return { server, admin, realm, application, id, client, rp };
  };
  type Stage = Awaited<ReturnType<typeof stageOf>>;

  /** Everything that is said about a user, before and after a refresh. */
  const heard = async ({ server, rp }: Stage, user: { id: string; username: string; password: string }) => {
    const { tokens } = await signIn(server, rp, user);
    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    return {
      access: decodeJwt(tokens.access_token),
      id: decodeJwt(tokens.id_token ?? ''),
      refreshed: decodeJwt(refreshed.access_token),
      refreshedId: decodeJwt(refreshed.id_token ?? ''),
      userinfo: await openid.fetchUserInfo(rp.configuration, refreshed.access_token, user.id),
      introspected: await openid.tokenIntrospection(rp.configuration, refreshed.access_token),
    };
  };
  const scopeNamed = async ({ client }: Stage, name: string) => {
    const scope = await client.clientScopes.findOneByName({ name });
    return { id: scope?.id ?? '', mappers: scope?.protocolMappers ?? [] };
  };

  engine.test('a mapper that is not complete yet is kept, and says nothing until it is', async (t) => {
    const stage = await stageOf();
    const { client, id, server, realm } = stage;
    await client.clients.addProtocolMapper({ id }, { name: 'stock', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper' });
    const renames = { name: 'farmer', protocol: 'openid-connect', protocolMapper: 'oidc-role-name-mapper' };
    await client.clients.addProtocolMapper({ id }, { ...renames, config: { 'new.role.name': 'farmer' } });
    const user = await server.user(realm);
    t.is((await heard(stage, user)).access.aud, 'account');
    const there = await client.clients.findProtocolMapperByName({ id, name: 'stock' });
    const mapperId = there?.id ?? '';
    await client.clients.updateProtocolMapper({ id, mapperId }, { ...there, config: { 'access.token.claim': 'true' } });
    await client.clients.updateProtocolMapper({ id, mapperId }, { ...there, config: { 'included.custom.audience': 'stock' } });
    t.deepEqual((await heard(stage, user)).access.aud, ['account', 'stock']);
    const wrong = client.clients.updateProtocolMapper({ id, mapperId }, { ...there, config: { 'access.token.claim': 'maybe' } });
    t.like(await refusal(wrong), { status: 400, body: { field: 'config.access.token.claim' } });
  });

  engine.test('a mapper is added, found, changed and deleted, at a client and at a client scope', async (t) => {
    const { client, id } = await stageOf();
    const scope = await client.clientScopes.create({ name: 'extra' });
    const badge = attribute('badge', 'badge');
    await client.clients.addProtocolMapper({ id }, badge);
    await client.clientScopes.addProtocolMapper({ id: scope.id }, badge);
    t.is((await refusal(client.clients.addProtocolMapper({ id }, badge))).status, 409);
    const [there] = await client.clients.listProtocolMappers({ id });
    t.like(there, badge);
    const mapperId = there?.id ?? '';
    t.deepEqual(await client.clients.findProtocolMapperById({ id, mapperId }), there);
    t.like(await client.clientScopes.findProtocolMapperByName({ id: scope.id, name: 'badge' }), badge);
    await client.clients.updateProtocolMapper({ id, mapperId }, there ?? {});
    t.deepEqual(await client.clients.findProtocolMapperById({ id, mapperId }), there, 'what a GET answered changes nothing');
    await client.clients.updateProtocolMapper({ id, mapperId }, { ...badge, name: 'pass', config: { ...badge.config, 'claim.name': 'pass' } });
    t.like(await client.clients.findProtocolMapperById({ id, mapperId }), { name: 'pass', config: { ...badge.config, 'claim.name': 'pass' } });
    await client.clients.addMultipleProtocolMappers({ id }, [attribute('a', 'a'), attribute('b', 'b')]);
    t.is((await refusal(client.clients.addMultipleProtocolMappers({ id }, [attribute('c', 'c'), attribute('a', 'a')]))).status, 409);
    t.deepEqual(
      (await client.clients.findProtocolMappersByProtocol({ id, protocol: 'openid-connect' })).map(({ name }) => name),
      ['a', 'b', 'pass'],
      'all of them or none',
    );
    t.deepEqual(await client.clients.findProtocolMappersByProtocol({ id, protocol: 'saml' }), []);
    t.falsy(await client.clientScopes.findProtocolMapper({ id: scope.id, mapperId }), 'it is the client’s');
    await client.clients.delProtocolMapper({ id, mapperId });
    t.is((await refusal(client.clients.delProtocolMapper({ id, mapperId }))).status, 404);
  });

  engine.test('without anything configured tokens say what they always did', async (t) => {
    const stage = await stageOf();
    const user = await stage.server.user(stage.realm, { firstName: 'Erin', lastName: 'Moss' });
    const { access, id, userinfo, introspected } = await heard(stage, user);
    const about = {
      preferred_username: user.username,
      name: 'Erin Moss',
      given_name: 'Erin',
      family_name: 'Moss',
      email: user.email,
      email_verified: false,
    };
    t.like(access, {
      ...about,
      typ: 'Bearer',
      azp: stage.application.clientId,
      acr: 'aal1',
      amr: ['pwd'],
      'allowed-origins': ['https://app.example'],
    });
    t.like(id, { ...about, typ: 'ID', acr: 'aal1', amr: ['pwd'] });
    t.like(userinfo, { ...about, sub: user.id });
    t.like(introspected, { ...about, active: true, acr: 'aal1' });
    t.is(typeof access.updated_at, 'number');
    t.is(access.auth_time, id.auth_time);
    t.deepEqual(
      Object.keys(id).filter((name) => /role|resource|origins/.test(name)),
      [],
    );
    t.deepEqual(
      Object.keys(userinfo).filter((name) => /role|acr|amr|typ/.test(name)),
      [],
    );
  });

  engine.test('attributes, properties, groups, roles and audiences are said everywhere, and after a refresh', async (t) => {
    const stage = await stageOf();
    const { server, realm, client, id, application } = stage;
    const operator = server.operator();
    const user = await server.user(realm, { attributes: { badge: ['17'], 'cost centres': ['a', 'b'], street: ['High Street 1'] } });
    const sales = await client.groups.create({ name: 'sales' });
    await client.groups.update({ id: sales.id }, { name: 'sales', attributes: { floor: ['3'] } });
    await createGroup(operator, realm, { name: 'emea', parent: '/sales' });
    await addMember(operator, realm, '/sales/emea', user);
    await createRole(operator, realm, { name: 'seller' });
    await createRole(operator, realm, { name: 'editor', client: application.clientId });
    await giveRoles(operator, realm, user, [{ name: 'seller' }, { name: 'editor', client: application.clientId }]);
    await client.clients.addMultipleProtocolMappers({ id }, [
      attribute('badge', 'work.badge', { 'jsonType.label': 'int' }),
      attribute('cost centres', 'centres', { multivalued: 'true' }),
      attribute('floor', 'floor'),
      mapper('oidc-usermodel-property-mapper', 'id', { 'user.attribute': 'id', 'claim.name': 'person' }),
      mapper('oidc-hardcoded-claim-mapper', 'tier', { 'claim.name': 'tier', 'claim.value': '{"gold":true}', 'jsonType.label': 'JSON' }),
      mapper('oidc-group-membership-mapper', 'groups', { 'claim.name': 'groups', 'full.path': 'true' }),
      mapper('oidc-usermodel-realm-role-mapper', 'jobs', { 'claim.name': 'jobs', multivalued: 'true' }),
      mapper('oidc-usermodel-client-role-mapper', 'here', {
        ...{ 'claim.name': 'here', multivalued: 'true', 'usermodel.clientRoleMapping.clientId': application.clientId },
      }),
      mapper('oidc-address-mapper', 'address', {}),
    ]);
    const said = {
      ...{ work: { badge: 17 }, centres: ['a', 'b'], floor: '3', person: user.id, tier: { gold: true }, groups: ['/sales/emea'] },
      ...{ jobs: [`default-roles-${realm.name}`, 'offline_access', 'seller', 'uma_authorization'].sort(), here: ['editor'] },
      address: { street_address: 'High Street 1' },
    };
    const { access, id: idToken, refreshed, refreshedId, userinfo, introspected } = await heard(stage, user);
    for (const [where, claims] of Object.entries({ access, idToken, refreshed, refreshedId, userinfo, introspected }))
      t.like(JSON.parse(JSON.stringify(claims)), said, where);
  });

  engine.test('each place has a flag of its own', async (t) => {
    const stage = await stageOf();
    const { client, id, server, realm } = stage;
    const off = { 'access.token.claim': 'false', 'id.token.claim': 'false', 'userinfo.token.claim': 'false', 'introspection.token.claim': 'false' };
    await client.clients.addMultipleProtocolMappers(
      { id },
      Object.keys(off).map((flag) => attribute('badge', flag.split('.')[0] ?? '', { ...off, [flag]: 'true' })),
    );
    const user = await server.user(realm, { attributes: { badge: ['17'] } });
    const { access, id: idToken, userinfo, introspected } = await heard(stage, user);
    const names = (claims: object) => ['access', 'id', 'userinfo', 'introspection'].filter((name) => name in claims);
    t.deepEqual(names(access), ['access']);
    t.deepEqual(names(idToken), ['id']);
    t.deepEqual(names(userinfo), ['userinfo']);
    t.deepEqual(names(introspected), ['introspection']);
  });

  engine.test('audiences are added to access tokens, of service accounts too; roles are renamed and added', async (t) => {
    const stage = await stageOf();
    const { client, id, rp, server, realm } = stage;
    await client.clients.addMultipleProtocolMappers({ id }, [
      mapper('oidc-audience-mapper', 'stock', { 'included.custom.audience': 'stock' }),
      mapper('oidc-hardcoded-role-mapper', 'guest', { role: 'guest' }),
      mapper('oidc-role-name-mapper', 'renamed', { role: 'offline_access', 'new.role.name': 'offline' }),
      mapper('oidc-session-state-mapper', 'session_state', {}),
      mapper('oidc-hardcoded-claim-mapper', 'stage', { 'claim.name': 'stage', 'claim.value': 'test' }),
    ]);
    const { access, id: idToken, introspected } = await heard(stage, await server.user(realm));
    t.deepEqual(access.aud, ['account', 'stock']);
    t.deepEqual(introspected.aud, ['account', 'stock']);
    t.is(idToken.aud, stage.application.clientId, 'an ID token is for its client alone');
    t.deepEqual(access.realm_access, { roles: [`default-roles-${realm.name}`, 'guest', 'offline', 'uma_authorization'].sort() });
    t.is(access.session_state, access.sid);
    const { access_token } = await openid.clientCredentialsGrant(rp.configuration);
    const service = decodeJwt(access_token);
    t.deepEqual(service.aud, ['account', 'stock']);
    t.is(service.stage, 'test');
    t.false('session_state' in service || 'acr' in service || 'amr' in service, 'nobody signed in');
    t.is((await openid.tokenIntrospection(rp.configuration, access_token)).stage, 'test');
  });

  engine.test('without its mapper a claim is gone; how somebody signed in is said where it was asked', async (t) => {
    const stage = await stageOf();
    const { client, server, realm, rp } = stage;
    const remove = async (scope: string, ...names: string[]) => {
      const { id, mappers } = await scopeNamed(stage, scope);
      for (const one of mappers) if (names.includes(one.name ?? '')) await client.clientScopes.delProtocolMapper({ id, mapperId: one.id ?? '' });
    };
    const user = await server.user(realm, { firstName: 'Erin' });
    const before = await heard(stage, user);
    t.true('given_name' in before.id && 'realm_access' in before.access && 'acr' in before.access && 'allowed-origins' in before.access);
    await remove('profile', 'given name');
    await remove('roles', 'realm roles');
    await remove('acr', 'acr loa level', 'amr');
    await remove('basic', 'auth_time', 'sub');
    await remove('web-origins', 'allowed web origins');
    const after = await heard(stage, user);
    for (const claims of [after.access, after.id, after.userinfo, after.refreshed])
      for (const name of ['given_name', 'realm_access', 'acr', 'amr', 'auth_time', 'allowed-origins']) t.false(name in claims, name);
    t.is(after.access.sub, user.id, 'whom it is about is always said');
    t.true('resource_access' in after.access);
    const asked = await signIn(server, rp, user, { parameters: { acr_values: 'aal1', max_age: '600' } });
    t.is(asked.tokens.claims()?.acr, 'aal1');
    t.is(typeof asked.tokens.claims()?.auth_time, 'number');
  });

  engine.test('no mapper forges how somebody signed in, whom a token is about, or roles', async (t) => {
    const stage = await stageOf();
    const { client, id, server, realm } = stage;
    for (const name of ['acr', 'amr', 'sub', 'aud', 'auth_time', 'azp', 'scope', 'exp', 'realm_access.roles', '__proto__.admin', 'constructor.x']) {
      const hardcoded = mapper('oidc-hardcoded-claim-mapper', name, { 'claim.name': name, 'claim.value': 'phrh' });
      t.like(await refusal(client.clients.addProtocolMapper({ id }, hardcoded)), { status: 400, body: { field: 'config.claim.name' } }, name);
      t.is((await refusal(client.clients.addProtocolMapper({ id }, attribute('badge', name)))).status, 400, name);
      t.is((await refusal(client.clientScopes.create({ name: 'forged', protocolMappers: [hardcoded] }))).status, 400, name);
    }
    await client.clients.addProtocolMapper({ id }, attribute('badge', 'badge'));
    const [there] = await client.clients.listProtocolMappers({ id });
    const forged = { ...there, config: { ...there?.config, 'claim.name': 'acr' } };
    t.is((await refusal(client.clients.updateProtocolMapper({ id, mapperId: there?.id ?? '' }, forged))).status, 400);

    // Straight into the table: it is passed over.
    await server.db.knex('protocol_mappers').insert({
      ...{ realm_id: realm.id, id: crypto.randomUUID(), client_id: id, name: 'forged', mapper: 'oidc-hardcoded-claim-mapper' },
      config: JSON.stringify({ ...TOKENS, 'claim.name': 'acr', 'claim.value': 'phrh' }),
    });
    await client.clients.update({ id }, { description: 'changed' });
    const user = await server.user(realm, { attributes: { badge: ['x'.repeat(9_000)] } });
    const { access, id: idToken } = await heard(stage, user);
    t.is(access.acr, 'aal1');
    t.is(idToken.acr, 'aal1');
    t.is(String(access.badge).length, 9_000);
  });

  engine.test('what is giant or unknown is refused by name', async (t) => {
    const { server, admin, realm, id } = await stageOf();
    const post = (body: unknown) =>
      callAdmin(server, 'POST', `/realms/${realm.name}/clients/${id}/protocol-mappers/models`, { token: admin.token, body });
    const json = mapper('oidc-hardcoded-claim-mapper', 'x', { 'claim.name': 'x', 'claim.value': `${'['.repeat(4_000)}`, 'jsonType.label': 'JSON' });
    t.like(await post(json), { status: 400, body: { field: 'config.claim.value' } });
    t.is((await post(mapper('oidc-hardcoded-claim-mapper', 'x', { 'claim.name': 'x', 'claim.value': 'y'.repeat(20_000) }))).status, 400);
    t.like(await post(mapper('oidc-nothing-mapper', 'x', {})), { status: 400, body: { field: 'protocolMapper' } });
    t.like(await post({ protocolMapper: 'oidc-full-name-mapper' }), { status: 400, body: { field: 'name' } });
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`field-${index}`, 'x']));
    t.is((await post(mapper('oidc-full-name-mapper', 'x', many))).status, 400);
    const typed = { name: 'typed', protocolMapper: 'oidc-full-name-mapper', config: { 'id.token.claim': true, 'access.token.claim': false } };
    t.is((await post(typed)).status, 201, 'values of other types are taken as texts');
  });

  engine.test('a limited administrator puts no role into tokens that they could not give', async (t) => {
    const { server, realm, id, client } = await stageOf();
    const { client: limited } = await limitedClient(server, realm, ['manage-clients']);
    const forged = mapper('oidc-hardcoded-role-mapper', 'all', { role: 'realm-management.realm-admin' });
    const renamed = mapper('oidc-role-name-mapper', 'all', { role: 'offline_access', 'new.role.name': 'realm-management.realm-admin' });
    for (const one of [forged, renamed]) {
      t.is((await refusal(limited.clients.addProtocolMapper({ id }, one))).status, 403);
      t.is((await refusal(limited.clientScopes.create({ name: 'mighty', protocolMappers: [one] }))).status, 403);
    }
    await limited.clients.addProtocolMapper({ id }, mapper('oidc-hardcoded-role-mapper', 'all', { role: 'guest' }));
    const [there] = await client.clients.listProtocolMappers({ id });
    const at = { id, mapperId: there?.id ?? '' };
    t.is((await refusal(limited.clients.updateProtocolMapper(at, { ...there, config: forged.config }))).status, 403);
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.is((await refusal(viewer.clients.delProtocolMapper(at))).status, 403);
    t.is((await viewer.clients.listProtocolMappers({ id })).length, 1);
  });

  engine.test('what tokens would say is what they say', async (t) => {
    const stage = await stageOf();
    const { client, id, server, realm, application } = stage;
    await client.clients.addProtocolMapper({ id }, attribute('badge', 'badge'));
    const user = await server.user(realm, { attributes: { badge: ['17'] } });
    const query = { id, userId: user.id, scope: 'openid' };
    const { access, id: idToken, userinfo } = await heard(stage, user);
    const lasting = (claims: object) =>
      Object.fromEntries(
        Object.entries(JSON.parse(JSON.stringify(claims)))
          .filter(([name]) => !['iat', 'exp', 'jti', 'sid', 'auth_time', 'nonce', 'scope'].includes(name))
          .sort(([one], [other]) => (one < other ? -1 : 1)),
      );
    const example: object = Object(await client.clients.evaluateGenerateAccessToken({ ...query, audience: '' }));
    t.deepEqual(lasting(example), lasting(access));
    t.deepEqual(lasting(Object(await client.clients.evaluateGenerateIdToken(query))), lasting(idToken));
    t.deepEqual(lasting(Object(await client.clients.evaluateGenerateUserInfo(query))), lasting(userinfo));
    const counted: { mapperName?: string; containerName?: string; containerType?: string }[] = Object(
      await client.clients.evaluateListProtocolMapper({ id, scope: 'openid phone' }),
    );
    t.like(
      counted.find(({ mapperName }) => mapperName === 'badge'),
      { containerName: application.clientId, containerType: 'client' },
    );
    t.like(
      counted.find(({ mapperName }) => mapperName === 'phone number'),
      { containerName: 'phone', containerType: 'client-scope' },
    );
    t.is((await refusal(client.clients.evaluateGenerateIdToken({ id, scope: '', userId: crypto.randomUUID() }))).status, 404);
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.is((await refusal(viewer.clients.evaluateGenerateIdToken(query))).status, 403, 'whoever asks about a user may view users');
  });

  engine.serial('attributes, groups and roles cost no statement more where a user’s row is read', async (t) => {
    const stage = await stageOf();
    const { client, id, rp, server, realm } = stage;
    const user = await server.user(realm, { attributes: { badge: ['17'] } });
    const { tokens } = await signIn(server, rp, user);
    const costs = async () => {
      const refresh = () => openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
      const { access_token } = await refresh();
      return {
        refresh: await statementsOf(server, refresh),
        userinfo: await statementsOf(server, () => openid.fetchUserInfo(rp.configuration, access_token, user.id)),
        introspection: await statementsOf(server, () => openid.tokenIntrospection(rp.configuration, access_token)),
        service: await statementsOf(server, () => openid.clientCredentialsGrant(rp.configuration)),
      };
    };
    const plain = await costs();
    t.is(plain.userinfo, 1);
    t.is(plain.introspection, 1);
    await client.clients.addMultipleProtocolMappers({ id }, [
      ...['a', 'b', 'c'].map((name) => attribute('badge', name)),
      mapper('oidc-group-membership-mapper', 'groups', { 'claim.name': 'groups' }),
    ]);
    t.deepEqual(await costs(), plain);
    await client.clients.addProtocolMapper({ id }, mapper('oidc-usermodel-realm-role-mapper', 'jobs', { 'claim.name': 'jobs' }));
    t.deepEqual(await costs(), plain, 'of the roles that userinfo names now');
  });
});
