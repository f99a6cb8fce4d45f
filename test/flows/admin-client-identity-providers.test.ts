/** Identity providers elsewhere, through Keycloak's own client. */
import { type Admin, adminOf } from '../support/admin.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { listen } from '../support/listen.ts';

const SECRET = 'a secret of the other side';

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; admin: Admin; port: number }> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const { port } = await listen((request, response) => {
        if (request.url !== '/.well-known/openid-configuration') return response.writeHead(404).end();
        const issuer = `http://localhost:${port}`;
        const body = {
          issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          userinfo_endpoint: `${issuer}/userinfo`,
          jwks_uri: `${issuer}/jwks`,
          scopes_supported: ['openid'],
        };
        return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
      const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: `localhost:${port}` });
      return { server, admin: await adminOf(server), port };
    });
    return shared;
  };
  const realmOf = async () => {
    const { server, admin, port } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    return { server, admin, port, realm, client, providers: client.identityProviders };
  };

  engine.test('a provider is described, read, changed in part and deleted; its secret is sealed and never shown', async (t) => {
    const { server, realm, providers } = await realmOf();
    const alias = 'acme';
    const config = { clientId: 'cardea', clientSecret: SECRET, authorizationUrl: 'https://id.acme.example/auth', useJwksUrl: true };
    const made = await providers.create({ alias, providerId: 'oidc', displayName: 'Acme', config });
    t.is(made.id, alias);
    const read = await providers.findOne({ alias });
    t.like(read, { alias, providerId: 'oidc', displayName: 'Acme', enabled: true, linkOnly: false });
    t.deepEqual(read?.config, {
      clientId: 'cardea',
      clientSecret: '**********',
      authorizationUrl: 'https://id.acme.example/auth',
      useJwksUrl: 'true',
    });
    const stored = async () => server.db.knex('identity_providers').where({ realm_id: realm.id, alias }).first();
    const before = await stored();
    t.regex(before.secret, /^v1\|/);
    await providers.update({ alias }, read ?? {});
    t.deepEqual(await stored(), before, 'what was read changes nothing');
    await providers.update({ alias }, { alias, providerId: 'oidc', displayName: 'Acme Inc.', trustEmail: true });
    t.like(await providers.findOne({ alias }), {
      displayName: 'Acme Inc.',
      trustEmail: true,
      config: { clientId: 'cardea', clientSecret: '**********' },
    });
    t.is((await stored()).secret, before.secret);
    await providers.update({ alias }, { config: { clientSecret: 'another one' } });
    t.not((await stored()).secret, before.secret);

    const taken = await refusal(providers.create({ alias, providerId: 'saml' }));
    t.deepEqual([taken.status, taken.body.errorMessage], [409, 'Identity Provider acme already exists']);
    t.is((await refusal(providers.create({ alias: 'x', providerId: 'nothing' }))).body.field, 'providerId');
    t.is((await refusal(providers.create({ alias: 'a b', providerId: 'oidc' }))).body.field, 'alias');
    t.is((await refusal(providers.create({ providerId: 'oidc' }))).body.field, 'alias');
    const script = providers.create({ alias: 'x', providerId: 'oidc', config: { authorizationUrl: 'javascript:alert(1)' } });
    t.is((await refusal(script)).body.field, 'config.authorizationUrl');

    const audit = JSON.stringify(await server.db.knex('audit_events').where({ realm_id: realm.id }).select());
    t.true(audit.includes('identity-provider.updated'));
    for (const text of [audit, server.log.join('\n')]) t.false(text.includes(SECRET));
    await providers.del({ alias });
    t.falsy(await providers.findOne({ alias }));
    t.is((await refusal(providers.del({ alias }))).status, 404);
  });

  engine.test('providers are listed by alias, looked for, and their kinds are known', async (t) => {
    const { providers } = await realmOf();
    for (const alias of ['gamma', 'alpha', 'beta']) await providers.create({ alias, providerId: 'oidc', config: { clientSecret: SECRET } });
    const aliases = async (query: Parameters<typeof providers.find>[0]) => (await providers.find(query)).map(({ alias }) => alias);
    t.deepEqual(await aliases({}), ['alpha', 'beta', 'gamma']);
    t.deepEqual(await aliases({ first: 1, max: 1 }), ['beta']);
    t.deepEqual(await aliases({ search: 'LPH' }), ['alpha']);
    t.false(JSON.stringify(await providers.find()).includes(SECRET));
    t.like(await providers.findFactory({ providerId: 'saml' }), { id: 'saml' });
    t.is((await refusal(providers.findFactory({ providerId: 'nothing' }))).status, 404);
  });

  engine.serial('a list takes as many statements however long it is', async (t) => {
    const { server, providers } = await realmOf();
    await providers.create({ alias: 'alpha', providerId: 'oidc' });
    const one = await statementsOf(server, () => providers.find());
    for (const alias of ['beta', 'gamma']) await providers.create({ alias, providerId: 'oidc' });
    t.is(await statementsOf(server, () => providers.find()), one);
  });

  engine.test('mappers of a provider', async (t) => {
    const { providers } = await realmOf();
    const alias = 'acme';
    await providers.create({ alias, providerId: 'saml' });
    const identityProviderMapper = {
      name: 'First name',
      identityProviderAlias: alias,
      identityProviderMapper: 'saml-user-attribute-idp-mapper',
      config: {},
    };
    const { id } = await providers.createMapper({ alias, identityProviderMapper });
    t.like(await providers.findOneMapper({ alias, id }), { id, name: 'First name', identityProviderAlias: alias, config: {} });
    t.is((await refusal(providers.createMapper({ alias, identityProviderMapper }))).status, 409);
    await providers.updateMapper(
      { alias, id },
      { id, identityProviderMapper: 'saml-user-attribute-idp-mapper', config: { 'user.attribute': 'firstName' } },
    );
    const [mapper] = await providers.findMappers({ alias });
    t.like(mapper, { name: 'First name', config: { 'user.attribute': 'firstName' } });
    t.truthy(Object(await providers.findMapperTypes({ alias }))['saml-user-attribute-idp-mapper']);
    await providers.delMapper({ alias, id });
    t.falsy(await providers.findOneMapper({ alias, id }));
    t.is((await refusal(providers.delMapper({ alias, id }))).status, 404);
    t.is((await refusal(providers.findMappers({ alias: 'nothing' }))).status, 404);
  });

  engine.test('identities of users follow another alias, and go with the provider', async (t) => {
    const { client, providers } = await realmOf();
    await providers.create({ alias: 'acme', providerId: 'oidc' });
    const { id } = await client.users.create({ username: 'erin' });
    await client.users.addToFederatedIdentity({
      id,
      federatedIdentityId: 'acme',
      federatedIdentity: { userId: 'u1', userName: 'erin', identityProvider: 'acme' },
    });
    await providers.update({ alias: 'acme' }, { alias: 'acme-two' });
    t.like((await client.users.listFederatedIdentities({ id }))[0], { identityProvider: 'acme-two', userId: 'u1' });
    await providers.del({ alias: 'acme-two' });
    t.deepEqual(await client.users.listFederatedIdentities({ id }), []);
  });

  engine.test('E09 a configuration is imported from where the installation may go, and from nowhere else', async (t) => {
    const { port, providers } = await realmOf();
    const fromUrl = `http://localhost:${port}/.well-known/openid-configuration`;
    const imported = Object(await providers.importFromUrl({ providerId: 'oidc', fromUrl }));
    t.like(imported, { issuer: `http://localhost:${port}`, authorizationUrl: `http://localhost:${port}/auth`, useJwksUrl: 'true' });
    const none = /there is no metadata/;
    for (const [address, says] of [
      ['https://127.0.0.1/', none],
      ['https://169.254.169.254/latest/meta-data', none],
      [`http://localhost:${port}/elsewhere`, none],
      ['http://intranet.example/', /not an https address/],
      ['file:///etc/passwd', /not an https address/],
    ] as const) {
      const { status, body } = await refusal(providers.importFromUrl({ providerId: 'oidc', fromUrl: address }));
      t.deepEqual([status, body.field], [400, 'fromUrl'], address);
      t.regex(body.errorMessage ?? '', says);
    }
    t.is((await refusal(providers.importFromUrl({ providerId: 'saml', fromUrl }))).status, 501);
  });

  engine.test('whoever may only look changes nothing, and providers are their realm’s', async (t) => {
    const one = await realmOf();
    const other = await realmOf();
    await one.providers.create({ alias: 'acme', providerId: 'oidc' });
    t.falsy(await other.providers.findOne({ alias: 'acme' }));
    t.is((await refusal(other.providers.update({ alias: 'acme' }, { enabled: false }))).status, 404);
    const { client: viewer } = await limitedClient(one.server, one.realm, ['view-identity-providers']);
    t.is((await viewer.identityProviders.find()).length, 1);
    t.is((await refusal(viewer.identityProviders.del({ alias: 'acme' }))).status, 403);
    const { client: users } = await limitedClient(one.server, one.realm, ['manage-users']);
    t.is((await refusal(users.identityProviders.find())).status, 403);
  });
});
