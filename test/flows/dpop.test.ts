/** Tokens that are bound to a key (DPoP, RFC 9449), with openid-client: by every grant but exchange (exchange-bound.test.ts), at every endpoint. */
import { calculateJwkThumbprint, decodeJwt, exportJWK } from 'jose';
import { z } from 'zod';
import { arena, call } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { approve, ask, DEVICE_GRANT, isDone, ON_DEVICES } from '../support/device.ts';
import { jktOf, proofKey, proofOf, tokenProof } from '../support/dpop.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty, signIn } from '../support/sign-in.ts';

const BOUND = { 'dpop.bound.access.tokens': 'true' };

async function keyOf({ configuration }: RelyingParty, algorithm = 'ES256') {
  const pair = await openid.randomDPoPKeyPair(algorithm, { extractable: true });
  return { DPoP: openid.getDPoPHandle(configuration, pair), jkt: await calculateJwkThumbprint(await exportJWK(pair.publicKey)) };
}

/** The error of a token endpoint. */
const refused = async (work: Promise<unknown>): Promise<{ error?: string; error_description?: string }> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof openid.ResponseBodyError) return { error: error.error, error_description: error.error_description };
    throw error;
  }
  return {};
};

forEachEngine((engine) => {
  const { scene } = arena(engine);

  for (const publicClient of [false, true])
    engine.test(`a ${publicClient ? 'public' : 'confidential'} client gets tokens that are bound, and uses them with its key`, async (t) => {
      const { server, realm, rp } = await scene({ mfa: 'off' }, { publicClient });
      const user = await server.user(realm);
      const { DPoP, jkt } = await keyOf(rp);
      const { tokens } = await signIn(server, rp, user, { asked: { DPoP } });
      t.is(tokens.token_type, 'dpop');
      t.deepEqual(decodeJwt(tokens.access_token).cnf, { jkt });
      t.is((await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id, { DPoP })).sub, user.id);
      const looked = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
      t.like(looked, { active: true, token_type: 'DPoP', sub: user.id });
      t.deepEqual(looked.cnf, { jkt });

      const again = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '', undefined, { DPoP });
      t.deepEqual(decodeJwt(again.access_token).cnf, { jkt });
      t.is(again.claims()?.sub, user.id);
      const other = await keyOf(rp);
      const byOther = openid.refreshTokenGrant(rp.configuration, again.refresh_token ?? '', undefined, { DPoP: other.DPoP });
      if (publicClient) {
        t.is((await refused(byOther)).error, 'invalid_grant', 'its refresh token is bound as well (section 5)');
        t.is((await refused(openid.refreshTokenGrant(rp.configuration, again.refresh_token ?? ''))).error, 'invalid_grant');
      } else
        t.deepEqual(decodeJwt((await byOther).access_token).cnf, { jkt: other.jkt }, 'it proves who it is by its secret, and may change its key');
    });

  engine.test('a client whose tokens have to be bound gets no others', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { attributes: BOUND, serviceAccount: true });
    const user = await server.user(realm);
    for (const unproved of [signIn(server, rp, user), openid.clientCredentialsGrant(rp.configuration)]) {
      const { error, error_description } = await refused(unproved);
      t.is(error, 'invalid_grant');
      t.regex(error_description ?? '', /send a DPoP proof/);
    }
    const { DPoP, jkt } = await keyOf(rp, 'EdDSA');
    const { tokens } = await signIn(server, rp, user, { asked: { DPoP } });
    t.deepEqual(decodeJwt(tokens.access_token).cnf, { jkt });
    t.is((await refused(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''))).error, 'invalid_grant');
    const own = await openid.clientCredentialsGrant(rp.configuration, {}, { DPoP });
    t.is(own.token_type, 'dpop');
    t.deepEqual(decodeJwt(own.access_token).cnf, { jkt });
    t.like(await openid.tokenIntrospection(rp.configuration, own.access_token), { active: true, token_type: 'DPoP' });
  });

  engine.test('a key that is named in the request, or proved where it is pushed, is the only one that the code is for', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' });
    const user = await server.user(realm);
    const { browser } = await signIn(server, rp, user);
    const [mine, other] = [await keyOf(rp), await keyOf(rp)];
    const answered = async (asked: { DPoP?: openid.DPoPHandle }) => {
      const request = await authorizationRequest(rp, { dpop_jkt: mine.jkt });
      return exchange(rp, request, await browser.visit(request.url), asked);
    };
    t.is((await answered({ DPoP: mine.DPoP })).token_type, 'dpop');
    t.is((await refused(answered({ DPoP: other.DPoP }))).error, 'invalid_grant');
    t.is((await refused(answered({}))).error, 'invalid_grant');

    const pushed = async (asked: { DPoP?: openid.DPoPHandle }) => {
      const request = await authorizationRequest(rp);
      const url = await openid.buildAuthorizationUrlWithPAR(rp.configuration, new URL(request.url).searchParams, { DPoP: mine.DPoP });
      return exchange(rp, { ...request, url: url.href }, await browser.visit(url.href), asked);
    };
    t.is((await pushed({ DPoP: mine.DPoP })).token_type, 'dpop');
    t.is((await refused(pushed({ DPoP: other.DPoP }))).error, 'invalid_grant');
    t.is((await refused(pushed({}))).error, 'invalid_grant');
  });

  engine.test('the metadata name the algorithms of proofs, a nonce is offered and not demanded, and pages may read it', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { publicClient: true, webOrigins: ['https://app.example'] });
    const issuer = `${server.origin}/realms/${realm.name}`;
    const metadata = z.object({ dpop_signing_alg_values_supported: z.array(z.string()), token_endpoint: z.string() });
    const { dpop_signing_alg_values_supported: algorithms, token_endpoint: url } = metadata.parse(
      await (await fetch(`${issuer}/.well-known/openid-configuration`)).json(),
    );
    t.deepEqual(algorithms, ['ES256', 'Ed25519', 'EdDSA']);
    const key = await proofKey();
    const ask = async (claims: object) => {
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x', client_id: rp.client.clientId });
      const headers = { DPoP: await proofOf(key, { method: 'POST', url }, { claims: { ...claims } }), origin: 'https://app.example' };
      const answer = await fetch(url, { method: 'POST', body, headers });
      return { answer, error: z.object({ error: z.string() }).parse(await answer.json()).error };
    };
    const first = await ask({});
    t.is(first.error, 'invalid_grant', 'the proof was taken, the token is none');
    const nonce = first.answer.headers.get('dpop-nonce') ?? '';
    t.truthy(nonce);
    t.regex(first.answer.headers.get('access-control-expose-headers') ?? '', /DPoP-Nonce/);
    t.is((await ask({ nonce })).error, 'invalid_grant');
    const stale = await ask({ nonce: 'made up' });
    t.is(stale.error, 'use_dpop_nonce');
    t.truthy(stale.answer.headers.get('dpop-nonce'));
  });

  for (const publicClient of [false, true])
    engine.test(`the password grant at a ${publicClient ? 'public' : 'confidential'} client gives tokens that are bound`, async (t) => {
      const { server, realm, rp } = await scene({ mfa: 'off' }, { directAccess: true, publicClient, attributes: BOUND });
      const user = await server.user(realm);
      const { DPoP, jkt } = await keyOf(rp);
      const given = { username: user.username, password: user.password, scope: 'openid' };
      const grant = (more: object = {}) => openid.genericGrantRequest(rp.configuration, 'password', given, more);
      const unproved = await refused(grant());
      t.is(unproved.error, 'invalid_grant');
      t.regex(unproved.error_description ?? '', /send a DPoP proof/);
      const tokens = await grant({ DPoP });
      t.is(tokens.token_type, 'dpop');
      t.deepEqual(decodeJwt(tokens.access_token).cnf, { jkt });
      t.is((await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id, { DPoP })).sub, user.id);
      const looked = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
      t.like(looked, { active: true, token_type: 'DPoP' });
      t.deepEqual(looked.cnf, { jkt });
      const other = await keyOf(rp);
      const byOther = openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '', undefined, { DPoP: other.DPoP });
      if (publicClient) t.is((await refused(byOther)).error, 'invalid_grant');
      else t.deepEqual(decodeJwt((await byOther).access_token).cnf, { jkt: other.jkt });
      const again = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '', undefined, { DPoP });
      t.deepEqual(decodeJwt(again.access_token).cnf, { jkt });
    });

  engine.test('a device’s tokens are bound, and its refresh token too', async (t) => {
    const attributes = { ...ON_DEVICES.attributes, ...BOUND };
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, attributes });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const key = await proofKey();
    const waiting = await ask(stage);
    t.true(isDone(await approve(new Browser(server.origin), waiting, user)));
    const device = (headers: Record<string, string>) =>
      call(server, realm, 'token', { grant_type: DEVICE_GRANT, client_id: rp.client.clientId, device_code: waiting.device_code }, headers);
    t.like((await device({})).body, { error: 'invalid_grant' });
    const { body } = await device(await tokenProof(stage, key));
    t.is(body.token_type, 'DPoP');
    t.deepEqual(decodeJwt(String(body.access_token)).cnf, { jkt: await jktOf(key) });
    const refresh = (headers: Record<string, string>) =>
      call(
        server,
        realm,
        'token',
        { grant_type: 'refresh_token', client_id: rp.client.clientId, refresh_token: String(body.refresh_token) },
        headers,
      );
    t.like((await refresh({})).body, { error: 'invalid_grant' });
    t.like((await refresh(await tokenProof(stage, await proofKey()))).body, { error: 'invalid_grant' });
    const again = await refresh(await tokenProof(stage, key));
    t.deepEqual(decodeJwt(String(again.body.access_token)).cnf, { jkt: await jktOf(key) });
  });

  engine.test('userinfo says which scheme it wants', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' });
    const user = await server.user(realm);
    const { DPoP } = await keyOf(rp);
    const { tokens } = await signIn(server, rp, user, { asked: { DPoP }, browser: new Browser(server.origin) });
    const url = `${server.origin}/realms/${realm.name}/protocol/openid-connect/userinfo`;
    const nothing = await fetch(url);
    t.regex(nothing.headers.get('www-authenticate') ?? '', /Bearer .*DPoP .*algs="ES256 Ed25519 EdDSA"/);
    const bearer = await fetch(url, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    t.is(bearer.status, 401);
    t.regex(bearer.headers.get('www-authenticate') ?? '', /^DPoP .*error="invalid_token"/);
  });
});
