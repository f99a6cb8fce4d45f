/** What tokens are signed with: by realm and by client, with keys that every realm has, verified by programs of others. */
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { z } from 'zod';
import { createClient } from '../../src/admin/resources/clients.ts';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { updateRealmSettings } from '../../src/admin/resources/realm-settings.ts';
import { ALGORITHMS } from '../../src/realms/algorithms.ts';
import { realmById } from '../../src/store/realms.ts';
import { signingKeys } from '../../src/store/signing-keys.ts';
import { adminOf } from '../support/admin.ts';
import { arena } from '../support/attack.ts';
import { startCardea, type TestClient } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, refusal } from '../support/keycloak.ts';
import { openid, type RelyingParty, relyingParty, signIn, text } from '../support/sign-in.ts';

const metadataShape = z.object({
  id_token_signing_alg_values_supported: z.array(z.string()),
  userinfo_signing_alg_values_supported: z.array(z.string()),
});
const jwk = z.looseObject({
  kty: z.string(),
  kid: z.string(),
  alg: z.string(),
  use: z.string(),
  crv: z.string().optional(),
  d: z.undefined().optional(),
});
const keySet = z.object({ keys: z.array(jwk) });

/** An application that knows what its ID tokens and its userinfo are signed with. */
async function application(origin: string, realm: string, client: TestClient, algorithm: string): Promise<RelyingParty> {
  const metadata = { id_token_signed_response_alg: algorithm, userinfo_signed_response_alg: algorithm };
  const configuration = await openid.discovery(
    new URL(`${origin}/realms/${realm}`),
    client.clientId,
    metadata,
    openid.ClientSecretBasic(client.secret ?? ''),
    { execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks] },
  );
  return { configuration, client };
}

forEachEngine((engine) => {
  const { server, nodes, scene } = arena(engine);
  const certs = (origin: string, realm: string) => new URL(`${origin}/realms/${realm}/protocol/openid-connect/certs`);

  engine.test('a realm publishes a key of each algorithm, and its metadata names those and no others', async (t) => {
    const { server: cardea, realm } = await scene({ mfa: 'off' });
    const answer = await fetch(`${cardea.origin}/realms/${realm.name}/.well-known/openid-configuration`);
    const metadata = metadataShape.parse(await answer.json());
    t.deepEqual([...metadata.id_token_signing_alg_values_supported].sort(), ['ES256', 'EdDSA', 'RS256']);
    t.deepEqual([...metadata.userinfo_signing_alg_values_supported].sort(), ['ES256', 'EdDSA', 'RS256']);
    const { keys } = keySet.parse(await (await fetch(certs(cardea.origin, realm.name))).json());
    const shapes = keys.map(({ kty, crv, alg, use }) => ({ kty, crv, alg, use }));
    t.deepEqual(shapes, [
      { kty: 'RSA', crv: undefined, alg: 'RS256', use: 'sig' },
      { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' },
      { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' },
    ]);
    for (const { kid } of keys) t.regex(kid, /^[\w-]{43}$/);
  });

  for (const algorithm of ALGORITHMS)
    engine.test(`a client has its tokens signed with ${algorithm}, and they work everywhere`, async (t) => {
      const stage = await scene({ mfa: 'off' });
      const { server: cardea, realm } = stage;
      const attributes = {
        'access.token.signed.response.alg': algorithm,
        'id.token.signed.response.alg': algorithm,
        'user.info.response.signature.alg': algorithm,
      };
      const rp = await application(cardea.origin, realm.name, await cardea.client(realm, { attributes }), algorithm);
      const user = await cardea.user(realm);
      const { browser, tokens } = await signIn(cardea, rp, user);
      t.is(decodeProtectedHeader(tokens.id_token ?? '').alg, algorithm);
      const jwks = createRemoteJWKSet(certs(cardea.origin, realm.name));
      const issuer = `${cardea.origin}/realms/${realm.name}`;
      const { protectedHeader, payload } = await jwtVerify(tokens.access_token, jwks, { issuer, audience: 'account', algorithms: [algorithm] });
      t.like(protectedHeader, { alg: algorithm, typ: 'JWT' });
      t.is(payload.sub, user.id);
      t.is((await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id)).email, user.email ?? undefined);
      const plain = await fetch(`${issuer}/protocol/openid-connect/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
      t.is(plain.headers.get('content-type')?.split(';')[0], 'application/jwt');
      const { payload: userinfo } = await jwtVerify(await plain.text(), jwks, { issuer, audience: rp.client.clientId, algorithms: [algorithm] });
      t.like(userinfo, { sub: user.id, preferred_username: user.username });
      t.true((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
      const again = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
      t.is(decodeProtectedHeader(again.access_token).alg, algorithm);
      await openid.tokenRevocation(rp.configuration, again.access_token);
      t.false((await openid.tokenIntrospection(rp.configuration, again.access_token)).active);

      // What was signed before is a hint at signing out, whatever is signed with now.
      await cardea.db
        .knex('clients')
        .where({ realm_id: realm.id, id: rp.client.row.id })
        .update({ attributes: '{}', updated_at: Date.now() + 1 });
      await cardea.db.changes.announce(`client:${realm.id}`);
      const out = openid.buildEndSessionUrl(rp.configuration, {
        id_token_hint: tokens.id_token ?? '',
        post_logout_redirect_uri: rp.client.redirectUri,
      });
      const left = await browser.visit(out.href);
      t.is(left.headers.get('location')?.split('?')[0], rp.client.redirectUri, text(left));
    });

  engine.test('what a realm says holds for clients that say nothing', async (t) => {
    const { server: cardea, realm, rp } = await scene({ mfa: 'off', defaultSignatureAlgorithm: 'EdDSA' });
    const user = await cardea.user(realm);
    const eddsa = await application(cardea.origin, realm.name, rp.client, 'EdDSA');
    const { tokens } = await signIn(cardea, eddsa, user);
    t.is(decodeProtectedHeader(tokens.access_token).alg, 'EdDSA');
    t.is(decodeProtectedHeader(tokens.id_token ?? '').alg, 'EdDSA');
    const own = { 'access.token.signed.response.alg': 'RS256', 'id.token.signed.response.alg': 'ES256' };
    const other = await application(cardea.origin, realm.name, await cardea.client(realm, { attributes: own }), 'ES256');
    const { tokens: its } = await signIn(cardea, other, user);
    t.is(decodeProtectedHeader(its.access_token).alg, 'RS256');
    t.is(decodeProtectedHeader(its.id_token ?? '').alg, 'ES256');

    const row = await realmById(cardea.db.knex, realm.id);
    if (!row) return t.fail();
    const refused = await t.throwsAsync(updateRealmSettings(cardea.operator(), row, { defaultSignatureAlgorithm: 'PS256' }));
    t.regex(refused.message, /^defaultSignatureAlgorithm: /);
  });

  engine.test('an algorithm that no realm has a key of is refused by its name, over REST too', async (t) => {
    const cardea = await server();
    const admin = await adminOf(cardea);
    const realm = await cardea.realm({ mfa: 'off' });
    for (const attribute of ['access.token.signed.response.alg', 'id.token.signed.response.alg', 'user.info.response.signature.alg'])
      for (const algorithm of ['none', 'HS256', 'PS256', 'ES384', 'rs256', 'Ed25519']) {
        const making = createClient(cardea.operator(), realm, { clientId: 'x', attributes: { [attribute]: algorithm } });
        const refused = await t.throwsAsync(making, { message: /must be one of RS256, ES256, EdDSA$/ });
        t.true(refused.message.startsWith(`attributes.${attribute}: `));
      }
    const keycloak = keycloakClient(cardea, admin.master, admin.token);
    const other = await refusal(keycloak.realms.update({ realm: realm.name }, { defaultSignatureAlgorithm: 'PS256' }));
    t.is(other.status, 400);
    t.is(other.body.field, 'defaultSignatureAlgorithm');
    t.is((await keycloak.realms.findOne({ realm: realm.name }))?.defaultSignatureAlgorithm, 'RS256');
    const { active, keys } = await keycloak.realms.getKeys({ realm: realm.name });
    t.deepEqual(Object.keys(active ?? {}).sort(), ['ES256', 'EdDSA', 'RS256']);
    t.like(
      keys?.find((key) => key.algorithm === 'EdDSA'),
      { type: 'OKP', status: 'ACTIVE', use: 'SIG' },
    );
  });

  engine.test('a realm of before gets its key of a new algorithm once, whoever comes first, and the others stay as they are', async (t) => {
    const first = await server();
    const realm = await first.realm({ mfa: 'off' });
    const client = await first.client(realm, { attributes: { 'access.token.signed.response.alg': 'EdDSA' } });
    const { knex } = first.db;
    // As an earlier release has made it; nobody has used it yet.
    await knex('signing_keys').where({ realm_id: realm.id, algorithm: 'EdDSA' }).delete();
    const others = (await signingKeys(knex, realm.id)).map(({ id }) => id).sort();
    t.is(others.length, 2);
    const late = await startCardea(first.db, { CARDEA_ORIGIN: first.origin });
    const all = [...(await nodes()), late];
    const answers = await Promise.all([...all, ...all].map(async ({ url }) => keySet.parse(await (await fetch(certs(url, realm.name))).json())));
    const kids = answers.map(({ keys }) => keys.filter(({ alg }) => alg === 'EdDSA').map(({ kid }) => kid));
    t.is(new Set(kids.flat()).size, 1, 'one key, on every node');
    t.true(kids.every(({ length }) => length === 1));
    const rows = await signingKeys(knex, realm.id);
    t.is(rows.length, 3);
    t.deepEqual(
      rows
        .filter(({ algorithm }) => algorithm !== 'EdDSA')
        .map(({ id }) => id)
        .sort(),
      others,
    );
    t.is((await knex('audit_events').where({ realm_id: realm.id, type: 'keys.added' })).length, 1);
    const rp = await relyingParty(first, realm, client);
    const { tokens } = await signIn(first, rp, await first.user(realm));
    t.is(decodeProtectedHeader(tokens.access_token).alg, 'EdDSA');
    await openid.fetchUserInfo(rp.configuration, tokens.access_token, openid.skipSubjectCheck);
  });

  engine.test('rotation makes a new key of each, and what the old ones signed still verifies (F04)', async (t) => {
    const first = await server();
    const realm = await first.realm({ mfa: 'off' });
    const rp = await relyingParty(first, realm, await first.client(realm, { attributes: { 'access.token.signed.response.alg': 'EdDSA' } }));
    const user = await first.user(realm);
    const { tokens } = await signIn(first, rp, user);
    await rotateKeys(first.operator(), realm, { publishAheadMs: 0 });
    const { tokens: newer } = await signIn(first, rp, user);
    t.not(decodeProtectedHeader(newer.access_token).kid, decodeProtectedHeader(tokens.access_token).kid);
    const jwks = createRemoteJWKSet(certs(first.origin, realm.name));
    for (const { access_token: token } of [tokens, newer]) {
      await t.notThrowsAsync(jwtVerify(token, jwks, { algorithms: ['EdDSA'] }));
      await openid.fetchUserInfo(rp.configuration, token, user.id);
    }
  });
});
