/** Clients, through Keycloak's own client, and what they may then do in the protocol. */
import { createClient } from '../../src/admin/resources/clients.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { clientByClientId } from '../../src/store/clients.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { sweepExpired } from '../../src/store/sweep.ts';
import { serviceAccountUser } from '../../src/store/users.ts';
import { adminWorld, callAdmin } from '../support/admin.ts';
import { at } from '../support/attack.ts';
import { type Cardea, REDIRECT_URI } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { lasts } from '../support/lasting.ts';
import { Browser, openid, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  /** What the token endpoint answers to client credentials. */
  const credentials = async (server: Cardea, realm: { name: string }, clientId: string, secret: string, how: 'basic' | 'post' = 'basic') => {
    const answer = await fetch(`${server.origin}/realms/${realm.name}/protocol/openid-connect/token`, {
      method: 'POST',
      headers: how === 'basic' ? { authorization: `Basic ${Buffer.from(`${clientId}:${encodeURIComponent(secret)}`).toString('base64')}` } : {},
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(how === 'post' ? { client_id: clientId, client_secret: secret } : {}) }),
    });
    const body = Object(await answer.json());
    return { status: answer.status, access_token: String(body.access_token), error: body.error };
  };

  const appOf = async (server: Cardea, realm: RealmRow, clientId: string, secret: string) => {
    const row = await clientByClientId(server.db.knex, realm.id, clientId);
    if (!row) throw new Error(`There is no client ${clientId}.`);
    return relyingParty(server, realm, { row, clientId, secret, redirectUri: REDIRECT_URI });
  };

  engine.test('a client is made with the defaults of Keycloak, read, changed in part and deleted', async (t) => {
    const { client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'wiki' });
    const made = await client.clients.findOne({ id });
    t.like(made, {
      id,
      clientId: 'wiki',
      enabled: true,
      publicClient: false,
      bearerOnly: false,
      standardFlowEnabled: true,
      implicitFlowEnabled: false,
      directAccessGrantsEnabled: false,
      serviceAccountsEnabled: false,
      consentRequired: false,
      fullScopeAllowed: true,
      protocol: 'openid-connect',
      clientAuthenticatorType: 'client-secret',
      surrogateAuthRequired: false,
      frontchannelLogout: false,
      notBefore: 0,
      nodeReRegistrationTimeout: -1,
      redirectUris: [],
      webOrigins: [],
      access: { view: true, configure: true, manage: true },
    });
    t.regex(made?.secret ?? '', /^[\w-]{43}$/);
    t.deepEqual(made?.defaultClientScopes, ['acr', 'basic', 'email', 'profile', 'roles', 'web-origins']);
    t.deepEqual(made?.optionalClientScopes, ['address', 'microprofile-jwt', 'offline_access', 'organization', 'phone']);
    await client.clients.update({ id }, { description: 'The wiki', redirectUris: [REDIRECT_URI], webOrigins: ['+'] });
    const changed = await client.clients.findOne({ id });
    t.like(changed, { clientId: 'wiki', description: 'The wiki', redirectUris: [REDIRECT_URI], webOrigins: ['+'], secret: made?.secret });
    t.is((await refusal(client.clients.create({ clientId: 'wiki' }))).body.errorMessage, 'Client wiki already exists');
    t.is((await refusal(client.clients.create({ clientId: 'wiki' }))).status, 409);
    await client.clients.del({ id });
    t.falsy(await client.clients.findOne({ id }));
    t.is((await refusal(client.clients.del({ id }))).status, 404);
    t.is((await refusal(client.clients.update({ id }, {}))).status, 404);
    t.deepEqual(await client.clients.find({ clientId: 'wiki' }), []);
  });

  engine.test('a PUT of what GET answered changes nothing, whatever a client has', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.clients.create({
      clientId: 'everything',
      name: 'Everything',
      description: 'All of it',
      rootUrl: 'https://app.example',
      baseUrl: '/home',
      adminUrl: 'https://app.example/admin',
      redirectUris: ['/callback', 'https://app.example/*'],
      webOrigins: ['https://app.example'],
      bearerOnly: false,
      surrogateAuthRequired: true,
      alwaysDisplayInConsole: true,
      frontchannelLogout: true,
      notBefore: 1,
      implicitFlowEnabled: true,
      serviceAccountsEnabled: true,
      nodeReRegistrationTimeout: 60,
      authenticationFlowBindingOverrides: { browser: 'some-flow' },
      clientAuthenticatorType: 'client-secret',
      defaultClientScopes: ['profile', 'no-such-scope'],
      optionalClientScopes: ['email'],
      attributes: {
        'post.logout.redirect.uris': 'https://app.example/bye##https://app.example/away',
        'backchannel.logout.url': 'https://app.example/out',
        'pkce.code.challenge.method': 'S256',
        'access.token.lifespan': '60',
        'some.thing': 'kept "as it is" 100%',
      },
    });
    const stored = () => server.db.knex('clients').where({ realm_id: realm.id, id }).first();
    const before = await stored();
    const shown = await client.clients.findOne({ id });
    t.like(shown, { surrogateAuthRequired: true, notBefore: 1, defaultClientScopes: ['profile'], optionalClientScopes: ['email'] });
    t.like(shown?.attributes, {
      'post.logout.redirect.uris': 'https://app.example/bye##https://app.example/away',
      'some.thing': 'kept "as it is" 100%',
    });
    await client.clients.update({ id }, shown ?? {});
    t.deepEqual(await stored(), before);
    t.deepEqual(await client.clients.findOne({ id }), shown);
    for (const builtIn of await client.clients.find({ clientId: 'account-console' })) {
      const whole = await client.clients.findOne({ id: builtIn.id ?? '' });
      await client.clients.update({ id: builtIn.id ?? '' }, whole ?? {});
      t.deepEqual(await client.clients.findOne({ id: builtIn.id ?? '' }), whole);
    }
    // Attributes that are not named stay, and an empty one goes.
    await client.clients.update({ id }, { attributes: { 'backchannel.logout.url': '', 'access.token.lifespan': null } });
    const after = await client.clients.findOne({ id });
    t.is(after?.attributes?.['backchannel.logout.url'], undefined);
    t.is(after?.attributes?.['access.token.lifespan'], undefined);
    t.is(after?.attributes?.['some.thing'], 'kept "as it is" 100%');
  });

  engine.serial(
    'clients are found by client_id, by a part of it and by attributes, in pages, with as many queries for many as for one',
    async (t) => {
      const { server, client } = await realmOf();
      for (const clientId of ['app-one', 'app-two', 'other'])
        await client.clients.create({ clientId, attributes: { team: clientId, percent: '100%' } });
      const names = (found: { clientId?: string }[]) => found.map(({ clientId }) => clientId);
      t.true(names(await client.clients.find()).includes('realm-management'));
      t.deepEqual(names(await client.clients.find({ clientId: 'app-one' })), ['app-one']);
      t.deepEqual(names(await client.clients.find({ clientId: 'app' })), []);
      t.deepEqual(names(await client.clients.find({ clientId: 'APP-', search: true })), ['app-one', 'app-two']);
      t.deepEqual(names(await client.clients.find({ clientId: 'app-', search: true, first: 1, max: 1 })), ['app-two']);
      t.deepEqual(names(await client.clients.find({ clientId: '%', search: true })), []);
      t.deepEqual(names(await client.clients.find({ q: 'team:app-two' })), ['app-two']);
      t.deepEqual(names(await client.clients.find({ q: 'team:app-two percent:100%' })), ['app-two']);
      t.is((await client.clients.find({ clientId: 'app-one', search: true }))[0]?.secret, '**********');
      const [named] = await client.clients.find({ clientId: 'app-one' });
      t.deepEqual(named, await client.clients.findOne({ id: named?.id ?? '' }));
      t.regex(named?.secret ?? '', /^[\w-]{43}$/);
      const one = await statementsOf(server, () => client.clients.find({ max: 1 }));
      t.is(await statementsOf(server, () => client.clients.find()), one);
    },
  );

  engine.test('what cannot be is refused, and the field is named', async (t) => {
    const { client } = await realmOf();
    const refused: [object, number, RegExp][] = [
      [{ clientId: 'with space' }, 400, /^clientId/],
      [{ clientId: '' }, 400, /^clientId/],
      [{ clientId: 'x', redirectUris: ['javascript:alert(1)'] }, 400, /^redirectUris/],
      [{ clientId: 'x', redirectUris: ['*'] }, 400, /^redirectUris/],
      [{ clientId: 'x', redirectUris: ['https://app.example/#x'] }, 400, /^redirectUris/],
      [{ clientId: 'x', webOrigins: ['https://app.example/path'] }, 400, /^webOrigins/],
      [{ clientId: 'x', rootUrl: 'javascript:alert(1)' }, 400, /^rootUrl/],
      [{ clientId: 'x', baseUrl: 'ftp://app.example' }, 400, /^baseUrl/],
      [{ clientId: 'x', secret: 'short' }, 400, /^secret/],
      [{ clientId: 'x', attributes: { 'pkce.code.challenge.method': 'plain' } }, 400, /^attributes\.pkce/],
      [{ clientId: 'x', attributes: { 'access.token.lifespan': 'soon' } }, 400, /^attributes\.access/],
      ...[
        'require.pushed.authorization.requests',
        'use.refresh.tokens',
        'tls.client.certificate.bound.access.tokens',
        'client.use.lightweight.access.token.enabled',
        'use.jwks.url',
        'use.jwks.string',
      ].map((name): [object, number, RegExp] => [{ clientId: 'x', attributes: { [name]: 'yes' } }, 400, /^attributes\.\S+: must be true or false/]),
      [{ clientId: 'x', attributes: { 'access.token.signed.response.alg': 'none' } }, 400, /^attributes\.access/],
      [{ clientId: 'x', attributes: { 'post.logout.redirect.uris': 'data:,' } }, 400, /^attributes\.post\.logout/],
      [{ clientId: 'x', publicClient: true, serviceAccountsEnabled: true }, 400, /^serviceAccountsEnabled: .*public client/],
      [{ clientId: 'x', notBefore: -1 }, 400, /^notBefore/],
      [{ clientId: 'x', description: 'a\u0007b' }, 400, /^description/],
      [{ clientId: 'x', protocol: 'saml' }, 501, /^protocol/],
      [{ clientId: 'x', protocol: 'carrier pigeon' }, 400, /^protocol/],
      [{ clientId: 'x', enabled: 'yes' }, 400, /^enabled/],
      [{ clientId: 'x', id: 'not a uuid' }, 400, /^id/],
    ];
    for (const [body, status, says] of refused) {
      const { status: got, body: answer } = await refusal(client.clients.create(body));
      t.is(got, status, JSON.stringify(body));
      t.regex(answer.errorMessage ?? '', says, JSON.stringify(body));
    }
  });

  engine.test('what comes with a realm is neither deleted nor renamed', async (t) => {
    const { admin, realm, client } = await realmOf();
    for (const clientId of ['account', 'account-console', 'admin-cli', 'broker', 'realm-management', 'security-admin-console']) {
      const [found] = await client.clients.find({ clientId });
      const id = found?.id ?? '';
      t.is((await refusal(client.clients.del({ id }))).status, 400, clientId);
      t.is((await refusal(client.clients.update({ id }, { clientId: 'renamed' }))).status, 400, clientId);
    }
    const { body } = await admin.call('GET', `/realms/master/clients?clientId=${realm.name}-realm`);
    t.is((await admin.call('DELETE', `/realms/master/clients/${body[0].id}`)).status, 400);
    t.is((await admin.call('PUT', `/realms/master/clients/${body[0].id}`, { body: { clientId: 'x' } })).status, 400);
    // Roles of a client that is called so would manage a realm.
    t.is((await admin.call('POST', '/realms/master/clients', { body: { clientId: 'to-come-realm' } })).body.field, 'clientId');
    t.is((await client.clients.create({ clientId: 'of-another-realm' })).id?.length, 36);
  });

  engine.test('a client of another realm is not there', async (t) => {
    const { client } = await realmOf();
    const { server, realm } = await realmOf();
    const { row } = await server.client(realm);
    const { id } = row;
    t.falsy(await client.clients.findOne({ id }));
    for (const work of [
      client.clients.update({ id }, { name: 'x' }),
      client.clients.del({ id }),
      client.clients.getClientSecret({ id }),
      client.clients.generateNewClientSecret({ id }),
      client.clients.invalidateSecret({ id }),
      client.clients.getServiceAccountUser({ id }),
      client.clients.generateRegistrationAccessToken({ id }),
      client.clients.listSessions({ id }),
      client.clients.getSessionCount({ id }),
      client.clients.getOfflineSessionCount({ id }),
      client.clients.getInstallationProviders({ id, providerId: 'keycloak-oidc-keycloak-json' }),
    ])
      t.is((await refusal(work)).status, 404);
  });

  engine.test('a client made over REST signs a user in; switched off it is refused at once, and its tokens with it', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { id } = await client.clients.create({
      clientId: 'shop',
      redirectUris: [REDIRECT_URI],
      attributes: { 'access.token.lifespan': '77', 'access.token.signed.response.alg': 'ES256' },
    });
    const { value } = await client.clients.getClientSecret({ id });
    const rp = await appOf(server, realm, 'shop', value ?? '');
    const { tokens } = await signIn(server, rp, user);
    t.is(tokens.expires_in, 77);
    t.is(JSON.parse(Buffer.from(tokens.access_token.split('.')[0] ?? '', 'base64url').toString()).alg, 'ES256');
    t.is((await client.clients.getSessionCount({ id })).count, 1);
    t.like(await client.clients.listSessions({ id }), [{ username: user.username, userId: user.id }]);
    t.deepEqual(await client.clients.listSessions({ id, first: 1 }), []);
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.deepEqual(await viewer.clients.listSessions({ id }), []);
    t.is((await viewer.clients.getSessionCount({ id })).count, 1);
    t.deepEqual(await client.clients.getOfflineSessionCount({ id }), { count: 0 });
    t.deepEqual(await client.clients.listOfflineSessions({ id }), []);
    const userinfo = async () => {
      const url = `${server.origin}/realms/${realm.name}/protocol/openid-connect/userinfo`;
      return (await fetch(url, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status;
    };
    t.is(await userinfo(), 200);
    await client.clients.update({ id }, { enabled: false });
    t.is(await userinfo(), 401);
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    await client.clients.update({ id }, { enabled: true });
    t.is(await userinfo(), 200);
    await client.clients.update({ id }, { notBefore: Math.floor(Date.now() / 1000) + 60 });
    t.is(await userinfo(), 401);
    const told = async () => (await signIn(server, rp, user)).tokens['not-before-policy'];
    await client.clients.update({ id }, { notBefore: 5 });
    t.is(await told(), 5);
    await client.realms.update({ realm: realm.name }, { notBefore: 7 });
    t.is(await told(), 7, 'the realm’s is later');
  });

  engine.test('use.refresh.tokens, pushed requests and PKCE are what the attributes say', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { id } = await client.clients.create({ clientId: 'shop', redirectUris: [REDIRECT_URI], attributes: { 'use.refresh.tokens': 'false' } });
    const { value } = await client.clients.getClientSecret({ id });
    const rp = await appOf(server, realm, 'shop', value ?? '');
    t.is((await signIn(server, rp, user)).tokens.refresh_token, undefined);
    const asked = async (more: Record<string, string> = {}) => {
      const query = new URLSearchParams({ client_id: 'shop', response_type: 'code', scope: 'openid', redirect_uri: REDIRECT_URI, ...more });
      const answer = await fetch(`${server.origin}/realms/${realm.name}/protocol/openid-connect/auth?${query}`, { redirect: 'manual' });
      return new URL(answer.headers.get('location') ?? 'none:').searchParams.get('error');
    };
    t.is(await asked(), null);
    await client.clients.update({ id }, { attributes: { 'pkce.code.challenge.method': 'S256' } });
    t.is(await asked(), 'invalid_request');
    t.is(await asked({ code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' }), null);
    await client.clients.update({ id }, { attributes: { 'pkce.code.challenge.method': '', 'require.pushed.authorization.requests': 'true' } });
    t.is(await asked(), 'invalid_request');
  });

  engine.test('pages of the web origins of a client may call, and of every origin where it says so', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'spa', publicClient: true, redirectUris: [REDIRECT_URI], webOrigins: ['+'] });
    const mayCall = async (origin: string) => {
      const url = `${server.origin}/realms/${realm.name}/protocol/openid-connect/token`;
      const body = new URLSearchParams({ client_id: 'spa', grant_type: 'authorization_code', code: 'none', redirect_uri: REDIRECT_URI });
      const answer = await fetch(url, { method: 'POST', headers: { origin }, body });
      return [origin, '*'].includes(answer.headers.get('access-control-allow-origin') ?? '');
    };
    t.deepEqual([await mayCall(new URL(REDIRECT_URI).origin), await mayCall('https://other.example')], [true, false]);
    await client.clients.update({ id }, { webOrigins: ['https://other.example/'] });
    t.deepEqual([await mayCall(new URL(REDIRECT_URI).origin), await mayCall('https://other.example')], [false, true]);
    await client.clients.update({ id }, { webOrigins: ['*'] });
    t.deepEqual([await mayCall(new URL(REDIRECT_URI).origin), await mayCall('https://other.example')], [true, true]);
  });

  engine.test('an API that only receives tokens gets none; a session at a client ends when the client says', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const secret = 'the secret of the shop';
    const { id } = await client.clients.create({
      clientId: 'shop',
      description: 'Two\nlines',
      secret,
      redirectUris: [REDIRECT_URI],
      serviceAccountsEnabled: true,
      attributes: { 'client.session.max.lifespan': '90', 'client.offline.session.max.lifespan': '600' },
    });
    const rp = await appOf(server, realm, 'shop', secret);
    const { tokens } = await signIn(server, rp, user);
    lasts(t, tokens.refresh_expires_in, 90);
    const offline = (await signIn(server, rp, user, { parameters: { scope: 'openid offline_access' } })).tokens;
    t.true(Number(offline.refresh_expires_in) > 500 && Number(offline.refresh_expires_in) <= 600);
    t.is((await credentials(server, realm, 'shop', secret)).status, 200);
    await client.clients.update({ id }, { bearerOnly: true });
    t.is((await credentials(server, realm, 'shop', secret)).error, 'unauthorized_client');
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, offline.refresh_token ?? ''));
    t.true((await openid.tokenIntrospection(rp.configuration, offline.access_token)).active, 'it may still ask about tokens');
  });

  engine.test('mappers come with the client that they are of, and a representation with other ones replaces them', async (t) => {
    const { server, realm, client } = await realmOf();
    const hardcoded = (name: string, value: string) => ({
      name,
      protocol: 'openid-connect',
      protocolMapper: 'oidc-hardcoded-claim-mapper',
      config: { 'claim.name': name, 'claim.value': value, 'jsonType.label': 'String', 'access.token.claim': 'true' },
    });
    const secret = 'the secret of the robot';
    const robot = { clientId: 'robot', secret, serviceAccountsEnabled: true };
    const { id } = await client.clients.create({ ...robot, protocolMappers: [hardcoded('tier', 'gold'), hardcoded('team', 'red')] });
    const said = async () => {
      const { access_token: token } = await credentials(server, realm, 'robot', secret);
      const { tier, team } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
      return { tier, team };
    };
    t.deepEqual(await said(), { tier: 'gold', team: 'red' });
    const shown = await client.clients.findOne({ id });
    t.deepEqual(
      shown?.protocolMappers?.map(({ name }) => name),
      ['team', 'tier'],
    );
    const stored = () => server.db.knex('clients').where({ realm_id: realm.id, id }).first();
    const before = await stored();
    await client.clients.update({ id }, shown ?? {});
    t.deepEqual(await stored(), before);
    t.deepEqual(await client.clients.findOne({ id }), shown);
    await client.clients.update({ id }, { name: 'Robot' });
    t.is((await client.clients.findOne({ id }))?.protocolMappers?.length, 2);
    await client.clients.update({ id }, { protocolMappers: [{ ...shown?.protocolMappers?.[1], ...hardcoded('tier', 'silver') }] });
    t.deepEqual(await said(), { tier: 'silver', team: undefined });
    t.is((await client.clients.findOne({ id }))?.protocolMappers?.[0]?.id, shown?.protocolMappers?.[1]?.id);
    await client.clients.update({ id }, { protocolMappers: [] });
    t.is((await client.clients.findOne({ id }))?.protocolMappers, undefined);
    const twice = refusal(client.clients.update({ id }, { protocolMappers: [hardcoded('a', 'b'), hardcoded('a', 'b')] }));
    t.is((await twice).body.field, 'protocolMappers');
    const unknown = refusal(client.clients.create({ clientId: 'x', protocolMappers: [{ name: 'x', protocolMapper: 'nobody' }] }));
    t.is((await unknown).body.field, 'protocolMappers.0.protocolMapper');
    t.deepEqual(await client.clients.find({ clientId: 'x' }), []);
  });

  engine.serial('a secret made anew leaves the one of before good for a while, and that is ended when it is asked', async (t) => {
    const { server, realm, client, admin } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'robot', serviceAccountsEnabled: true, secret: 'the very first secret' });
    const first = 'the very first secret';
    t.is((await credentials(server, realm, 'robot', first)).status, 200);
    await client.clients.invalidateSecret({ id });
    const { type, value: second = '' } = await client.clients.generateNewClientSecret({ id });
    t.is(type, 'secret');
    t.is((await client.clients.getClientSecret({ id })).value, second);
    for (const how of ['basic', 'post'] as const)
      for (const secret of [first, second]) t.is((await credentials(server, realm, 'robot', secret, how)).status, 200, how);
    t.is((await credentials(server, realm, 'robot', 'neither of the two')).status, 401);
    const rotated = await admin.call('GET', `/realms/${realm.name}/clients/${id}/client-secret/rotated`);
    t.deepEqual(rotated.body, { type: 'secret', value: first });
    t.truthy((await client.clients.findOne({ id }))?.attributes?.['client.secret.rotated.expiration.time']);

    // Both are sealed, and neither is in the audit or the log.
    const row = await server.db.knex('clients').where({ realm_id: realm.id, id }).first();
    t.regex(row.secret, /^v1\|/);
    t.regex(row.rotated_secret, /^v1\|/);
    const audit = JSON.stringify(await server.db.knex('audit_events').where({ realm_id: realm.id }));
    t.true(audit.includes('client.secret-regenerated'));
    for (const secret of [first, second]) t.false(audit.includes(secret) || server.log.some((line) => line.includes(secret)));

    await client.clients.invalidateSecret({ id });
    t.is((await credentials(server, realm, 'robot', first)).status, 401);
    t.is((await credentials(server, realm, 'robot', second)).status, 200);
    t.is((await admin.call('GET', `/realms/${realm.name}/clients/${id}/client-secret/rotated`)).status, 404);

    // Not at all, and not for longer than was said.
    const path = `/realms/${realm.name}/clients/${id}/client-secret`;
    const third = (await admin.call('POST', `${path}?overlap=0`)).body.value;
    t.is((await credentials(server, realm, 'robot', second)).status, 401);
    const fourth = (await admin.call('POST', `${path}?overlap=100`)).body.value;
    t.is((await credentials(server, realm, 'robot', third)).status, 200);
    await at(101_000, async () => {
      t.is((await credentials(server, realm, 'robot', third)).status, 401);
      t.is((await credentials(server, realm, 'robot', fourth)).status, 200);
      await sweepExpired(server.db, Date.now());
    });
    t.is((await server.db.knex('clients').where({ realm_id: realm.id, id }).first()).rotated_secret, null);
    t.is((await admin.call('POST', `${path}?overlap=99999999`)).status, 400);
  });

  engine.test('a service account comes and goes with its switch, and is named after its client', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'robot', secret: 'the secret of the robot' });
    const token = () => credentials(server, realm, 'robot', 'the secret of the robot');
    t.is((await refusal(client.clients.getServiceAccountUser({ id }))).status, 400);
    t.is((await token()).error, 'unauthorized_client');
    await client.clients.update({ id }, { serviceAccountsEnabled: true });
    const user = await client.clients.getServiceAccountUser({ id });
    t.like(user, { username: 'service-account-robot', serviceAccountClientId: 'robot' });
    t.is((await token()).status, 200);
    await client.clients.update({ id }, { clientId: 'android' });
    t.like(await client.clients.getServiceAccountUser({ id }), { id: user.id, username: 'service-account-android' });
    t.is((await token()).status, 401);
    t.is((await credentials(server, realm, 'android', 'the secret of the robot')).status, 200);
    await client.clients.update({ id }, { serviceAccountsEnabled: false });
    t.falsy(await client.users.findOne({ id: user.id ?? '' }));
    t.is((await credentials(server, realm, 'android', 'the secret of the robot')).error, 'unauthorized_client');
  });

  engine.test('a public client that becomes confidential gets a secret, and back', async (t) => {
    const { client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'phone', publicClient: true });
    t.is((await client.clients.findOne({ id }))?.secret, undefined);
    t.deepEqual(await client.clients.getClientSecret({ id }), { type: 'secret' });
    t.is((await refusal(client.clients.generateNewClientSecret({ id }))).status, 400);
    await client.clients.update({ id }, { publicClient: false, serviceAccountsEnabled: true });
    t.regex((await client.clients.getClientSecret({ id })).value ?? '', /^[\w-]{43}$/);
    t.is((await refusal(client.clients.update({ id }, { publicClient: true, serviceAccountsEnabled: true }))).status, 400);
    await client.clients.update({ id }, { publicClient: true });
    t.like(await client.clients.findOne({ id }), { publicClient: true, serviceAccountsEnabled: false, secret: undefined });
    t.is((await refusal(client.clients.getServiceAccountUser({ id }))).status, 400);
  });

  engine.test('nothing of a deleted client is left behind, and who is called so next has nothing of it', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { id } = await client.clients.create({
      clientId: 'shop',
      redirectUris: [REDIRECT_URI],
      serviceAccountsEnabled: true,
      consentRequired: true,
      secret: 'the secret of the shop',
    });
    await client.clients.createRole({ id, name: 'editor' });
    const role = await client.clients.findRole({ id, roleName: 'editor' });
    await client.users.addClientRoleMappings({ id: user.id, clientUniqueId: id, roles: [{ id: role?.id ?? '', name: 'editor' }] });
    const rp = await appOf(server, realm, 'shop', 'the secret of the shop');
    const { tokens } = await signIn(server, rp, user, { parameters: { scope: 'openid offline_access' } });
    const service = (await credentials(server, realm, 'shop', 'the secret of the shop')).access_token;
    await client.clients.del({ id });

    const { knex } = server.db;
    for (const table of ['session_clients', 'client_scope_assignments', 'consents', 'roles', 'protocol_mappers', 'scope_mappings'])
      t.deepEqual(await knex(table).where({ realm_id: realm.id, client_id: id }), [], table);
    t.deepEqual(await knex('user_roles').where({ realm_id: realm.id, role_id: role?.id }), []);
    t.deepEqual(await knex('users').where({ realm_id: realm.id, service_account_of: id }), []);
    t.deepEqual(await knex('oidc_payloads').where({ realm_id: realm.id }).whereIn('model', ['Grant', 'RefreshToken']), []);

    await client.clients.create({ clientId: 'shop', redirectUris: [REDIRECT_URI], serviceAccountsEnabled: true, secret: 'the secret of the shop' });
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    for (const token of [tokens.access_token, service]) t.false((await openid.tokenIntrospection(rp.configuration, token)).active);
  });

  engine.test('tokens of a renamed client are not good for whoever is called so next', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { id } = await client.clients.create({ clientId: 'shop', redirectUris: [REDIRECT_URI], secret: 'the secret of the shop' });
    const rp = await appOf(server, realm, 'shop', 'the secret of the shop');
    const { tokens } = await signIn(server, rp, user);
    await client.clients.update({ id }, { clientId: 'old-shop' });
    await client.clients.create({ clientId: 'shop', redirectUris: [REDIRECT_URI], secret: 'the secret of the shop' });
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
  });

  engine.test('changes of a client at the same time are all made', async (t) => {
    const { client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'busy' });
    await Promise.all([1, 2, 3, 4].map((n) => client.clients.update({ id }, { attributes: { [`n${n}`]: String(n) } })));
    t.like((await client.clients.findOne({ id }))?.attributes, { n1: '1', n2: '2', n3: '3', n4: '4' });
  });

  engine.test('a limited administrator gets no more out of clients than they have', async (t) => {
    const { server, realm, client } = await realmOf();
    const { client: boss } = await createClient(server.operator(), realm, { clientId: 'boss', firstParty: true, serviceAccount: true });
    const account = await serviceAccountUser(server.db.knex, realm.id, boss.id);
    if (!account) throw new Error('A service account has a user.');
    await giveRoles(server.operator(), realm, account, [{ name: 'manage-users', client: 'realm-management' }]);
    const { client: limited } = await limitedClient(server, realm, ['manage-clients']);
    const { id } = boss;
    t.is((await limited.clients.findOne({ id }))?.secret, '**********');
    for (const work of [
      limited.clients.getClientSecret({ id }),
      limited.clients.generateNewClientSecret({ id }),
      limited.clients.update({ id }, { secret: 'a secret that I know' }),
      limited.clients.generateRegistrationAccessToken({ id }),
      limited.clients.del({ id }),
    ])
      t.is((await refusal(work)).status, 403);
    const [console] = await limited.clients.find({ clientId: 'security-admin-console' });
    t.is((await refusal(limited.clients.update({ id: console?.id ?? '' }, { redirectUris: ['https://evil.example/*'] }))).status, 403);
    // What they make themselves is theirs.
    const mine = await limited.clients.create({ clientId: 'mine', serviceAccountsEnabled: true });
    t.truthy((await limited.clients.getClientSecret(mine)).value);
    await limited.clients.del(mine);
    // Nobody falls out of what a role of a client lets them manage.
    const holder = await client.clients.create({ clientId: 'holder' });
    await client.clients.createRole({ id: holder.id, name: 'heads' });
    const heads = await client.clients.findRole({ id: holder.id, roleName: 'heads' });
    const [management] = await client.clients.find({ clientId: 'realm-management' });
    const manage = await client.clients.findRole({ id: management?.id ?? '', roleName: 'manage-users' });
    await client.roles.createComposite({ roleId: heads?.id ?? '' }, [{ id: manage?.id ?? '', name: 'manage-users' }]);
    t.is((await refusal(limited.clients.del(holder))).status, 403);
    await client.clients.del(holder);
  });

  engine.test('an application of a limited administrator manages nothing for the users who come to it', async (t) => {
    const { server, realm, client } = await realmOf();
    const { client: limited } = await limitedClient(server, realm, ['manage-clients']);
    const head = await server.user(realm);
    const user = { ...head, realmId: realm.id };
    await giveRoles(server.operator(), realm, user, [{ name: 'realm-admin', client: 'realm-management' }]);
    const secret = 'a secret that the limited one knows';
    const { id } = await limited.clients.create({ clientId: 'trap', redirectUris: [REDIRECT_URI], secret });
    const rp = await appOf(server, realm, 'trap', secret);
    // One session: whoever manages something shows a second factor, once.
    const browser = new Browser(server.origin);
    const rights = async () => {
      const { tokens } = await signIn(server, rp, head, { browser });
      return (await callAdmin(server, 'GET', `/realms/${realm.name}/users`, { token: tokens.access_token })).status;
    };
    t.is((await limited.clients.findOne({ id }))?.attributes?.['cardea.administration'], 'false');
    t.is(await rights(), 403);
    await limited.clients.update({ id }, { attributes: { 'cardea.administration': 'true' } });
    t.is(await rights(), 403);
    await client.clients.update({ id }, { attributes: { 'cardea.administration': '' } });
    t.not(await rights(), 403);
    await limited.clients.update({ id }, { redirectUris: [REDIRECT_URI, 'https://evil.example/'] });
    t.is(await rights(), 403);
  });

  engine.test('who may look for clients, and who may see them', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'seen', secret: 'a secret for nobody else' });
    const { client: asker } = await limitedClient(server, realm, ['query-clients']);
    t.deepEqual(await asker.clients.find({ clientId: 'seen' }), [{ id, clientId: 'seen' }]);
    t.deepEqual(await asker.clients.find({ viewableOnly: true }), []);
    t.is((await refusal(asker.clients.getClientSecret({ id }))).status, 403);
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.like(await viewer.clients.findOne({ id }), { secret: '**********', access: { view: true, configure: false, manage: false } });
    t.is((await refusal(viewer.clients.update({ id }, { name: 'x' }))).status, 403);
    t.is((await refusal(viewer.clients.getClientSecret({ id }))).status, 403);
    const { client: maker } = await limitedClient(server, realm, ['create-client']);
    t.truthy((await maker.clients.create({ clientId: 'made-by-maker' })).id);
    t.is((await refusal(maker.clients.del({ id }))).status, 403);
  });

  engine.test('hosts, installation, and what is left out', async (t) => {
    const { server, realm, client, admin } = await realmOf();
    const { id } = await client.clients.create({ clientId: 'adapted', secret: 'a secret & <more> of it' });
    await client.clients.addClusterNode({ id, node: '127.0.0.1' });
    t.deepEqual(Object.keys((await client.clients.findOne({ id }))?.registeredNodes ?? {}), ['127.0.0.1']);
    await client.clients.deleteClusterNode({ id, node: '127.0.0.1' });
    t.is((await refusal(client.clients.deleteClusterNode({ id, node: '127.0.0.1' }))).status, 404);
    t.deepEqual(await client.clients.testNodesAvailable({ id }), {});
    t.deepEqual(await client.clients.pushRevocation({ id }), {});
    const json = await admin.call('GET', `/realms/${realm.name}/clients/${id}/installation/providers/keycloak-oidc-keycloak-json`);
    t.like(json.body, {
      realm: realm.name,
      'auth-server-url': `${server.origin}/`,
      resource: 'adapted',
      credentials: { secret: 'a secret & <more> of it' },
    });
    const xml = await client.clients.getInstallationProviders({ id, providerId: 'keycloak-oidc-jboss-subsystem' });
    t.true(xml.includes('<credential name="secret">a secret &amp; &lt;more&gt; of it</credential>'));
    t.is((await refusal(client.clients.getInstallationProviders({ id, providerId: 'saml' }))).status, 404);
    for (const work of [
      client.clients.listFineGrainPermissions({ id }),
      client.clients.updateFineGrainPermission({ id }, { enabled: true }),
      client.clients.generateKey({ id, attr: 'jwt.credential' }),
    ])
      t.is((await refusal(work)).status, 501);
    t.deepEqual(await client.clients.getKeyInfo({ id, attr: 'jwt.credential' }), {});
    t.is((await admin.call('GET', `/realms/${realm.name}/clients/${id}/authz/resource-server`)).status, 501);
  });
});
