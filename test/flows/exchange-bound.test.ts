/** Token exchange with tokens that are bound to keys (DPoP, RFC 9449): what was bound stays bound, to whoever proves to have the key. */
import { exportJWK } from 'jose';
import { arena, audited, call, credentialsOf, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { jktOf, type ProofKey, proofKey, proofOf, tokenProof } from '../support/dpop.ts';
import { openid, type RelyingParty, signIn } from '../support/sign-in.ts';
import {
  ACCESS_TOKEN,
  eventually,
  exchange,
  ID_TOKEN,
  REFRESH_TOKEN,
  saidBy,
  serviceBehind,
  serviceToken,
  TOKEN_EXCHANGE,
} from '../support/token-exchange.ts';

const REFRESHES = { 'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION' };
const MUST = { 'dpop.bound.access.tokens': 'true' };
const VOUCHES = { 'cardea.token.exchange.bound': 'true' };
const EXCHANGES = { 'standard.token.exchange.enabled': 'true' };

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** A user's token that is bound to a key of the application, and a service that the application calls. */
  const world = async (attributes: Record<string, string> = {}, application: Record<string, string> = {}) => {
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true, attributes: application });
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, attributes);
    const user = await server.user(realm);
    const pair = await openid.randomDPoPKeyPair('ES256', { extractable: true });
    const key: ProofKey = { publicJwk: await exportJWK(pair.publicKey), privateKey: pair.privateKey };
    const { tokens } = await signIn(server, rp, user, { asked: { DPoP: openid.getDPoPHandle(rp.configuration, pair) } });
    return { stage, server, realm, rp, service, user, key, tokens };
  };
  const look = async ({ server, realm }: Scene, rp: RelyingParty, token: unknown) =>
    (await call(server, realm, 'token/introspect', { token: String(token) }, credentialsOf(rp))).body;
  const userinfo = async ({ server, realm }: Scene, token: unknown, key?: ProofKey) => {
    const url = `${server.origin}/realms/${realm.name}/protocol/openid-connect/userinfo`;
    const headers = key
      ? { authorization: `DPoP ${token}`, dpop: await proofOf(key, { method: 'GET', url, token: String(token) }) }
      : { authorization: `Bearer ${token}` };
    return (await fetch(url, { headers })).status;
  };

  engine.test('a client whose tokens have to be bound exchanges with a proof, and what it gets is bound like any other', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const service = await serviceBehind(server, realm, rp.client, { ...MUST, ...REFRESHES });
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user);
    const unproved = await exchange(stage, service, tokens.access_token);
    t.like(unproved.body, { error: 'invalid_grant' });
    t.regex(String(unproved.body.error_description), /send a DPoP proof/);
    const [recorded] = await eventually(() => audited(stage, 'token.exchange.refused', { client: service.client.clientId }));
    t.deepEqual(JSON.parse(recorded?.details ?? '{}'), { reason: 'DPoP proof JWT not provided' });
    const pair = await openid.randomDPoPKeyPair('ES256', { extractable: true });
    const mine: ProofKey = { publicJwk: await exportJWK(pair.publicKey), privateKey: pair.privateKey };
    const DPoP = openid.getDPoPHandle(service.configuration, pair);
    const answer = await openid.genericGrantRequest(
      service.configuration,
      TOKEN_EXCHANGE,
      { subject_token: tokens.access_token, subject_token_type: ACCESS_TOKEN, requested_token_type: REFRESH_TOKEN },
      { DPoP },
    );
    t.is(answer.token_type, 'dpop');
    const cnf = { jkt: await jktOf(mine) };
    t.deepEqual(saidBy(answer.access_token).cnf, cnf);
    const looked = await look(stage, rp, answer.access_token);
    t.like(looked, { active: true, token_type: 'DPoP', sub: user.id });
    t.deepEqual(looked.cnf, cnf);
    t.is(await userinfo(stage, answer.access_token, mine), 200);
    t.is(await userinfo(stage, answer.access_token), 401, 'it is no bearer token');
    t.is(await userinfo(stage, answer.access_token, await proofKey()), 401);
    const again = await openid.refreshTokenGrant(service.configuration, answer.refresh_token ?? '', undefined, { DPoP });
    t.deepEqual(saidBy(again.access_token).cnf, cnf);
    const without = { grant_type: 'refresh_token', refresh_token: String(answer.refresh_token) };
    t.like((await call(server, realm, 'token', without, credentialsOf(service))).body, { error: 'invalid_grant' });
  });

  engine.test('whoever has the key of a bound token exchanges it, and the new one has that key', async (t) => {
    const { stage, rp, key, tokens, user } = await world({}, EXCHANGES);
    const own = await exchange(stage, rp, tokens.access_token, {}, await tokenProof(stage, key));
    t.is(own.status, 200, JSON.stringify(own.body));
    t.is(own.body.token_type, 'DPoP');
    t.deepEqual(saidBy(own.body.access_token).cnf, { jkt: await jktOf(key) });
    t.is(await userinfo(stage, own.body.access_token, key), 200);
    const id = await exchange(stage, rp, tokens.access_token, { requested_token_type: ID_TOKEN }, await tokenProof(stage, key));
    t.like(saidBy(id.body.access_token), { typ: 'ID', sub: user.id });
    const refused = await exchange(stage, rp, tokens.access_token);
    t.like(refused.body, { error: 'invalid_request' });
    t.regex(String(refused.body.error_description), /send a DPoP proof of that key/);
    const [row] = await eventually(() => audited(stage, 'token.exchange', { user: user.id }));
    t.like(JSON.parse(row?.details ?? '{}'), { vouched: false });
  });

  engine.test('a service that is trusted to have seen its caller’s proof exchanges for its own key, and never for none', async (t) => {
    const { stage, rp, service, user, tokens } = await world(VOUCHES);
    const mine = await proofKey();
    const without = await exchange(stage, service, tokens.access_token);
    t.like(without.body, { error: 'invalid_request' });
    t.regex(String(without.body.error_description), /is bound to one too/);
    for (const requested_token_type of [ID_TOKEN, ACCESS_TOKEN])
      t.is((await exchange(stage, service, tokens.access_token, { requested_token_type })).status, 400);
    const answer = await exchange(stage, service, tokens.access_token, {}, await tokenProof(stage, mine));
    t.is(answer.status, 200, JSON.stringify(answer.body));
    t.deepEqual(saidBy(answer.body.access_token).cnf, { jkt: await jktOf(mine) });
    const [row] = await eventually(() => audited(stage, 'token.exchange', { user: user.id }));
    t.like(JSON.parse(row?.details ?? '{}'), { vouched: true, from: rp.client.clientId });

    // The next one is not trusted so.
    const next = await serviceBehind(stage.server, stage.realm, service.client);
    const passed = await exchange(stage, service, tokens.access_token, {}, await tokenProof(stage, mine));
    t.like((await exchange(stage, next, passed.body.access_token, {}, await tokenProof(stage, await proofKey()))).body, { error: 'invalid_request' });
  });

  engine.test('a refresh token that came of a bound token is bound as well, also where its client has a secret', async (t) => {
    const { stage, server, realm, service, tokens } = await world({ ...VOUCHES, ...REFRESHES });
    const mine = await proofKey();
    const answer = await exchange(stage, service, tokens.access_token, { requested_token_type: REFRESH_TOKEN }, await tokenProof(stage, mine));
    const fields = { grant_type: 'refresh_token', refresh_token: String(answer.body.refresh_token) };
    const refresh = (headers: Record<string, string>) => call(server, realm, 'token', fields, { ...credentialsOf(service), ...headers });
    t.like((await refresh({})).body, { error: 'invalid_grant' });
    t.like((await refresh(await tokenProof(stage, await proofKey()))).body, { error: 'invalid_grant' });
    for (let times = 0; times < 2; times += 1) {
      const again = await refresh(await tokenProof(stage, mine));
      t.is(again.status, 200, JSON.stringify(again.body));
      t.deepEqual(saidBy(again.body.access_token).cnf, { jkt: await jktOf(mine) });
    }
  });

  engine.test('an actor whose token is bound proves its key, and the subject’s where that is bound too', async (t) => {
    const { stage, service, rp, key, tokens } = await world(VOUCHES, EXCHANGES);
    const plain = await signIn(stage.server, rp, await stage.server.user(stage.realm));
    const mine = await proofKey();
    const actor = await serviceToken(stage, service, await tokenProof(stage, mine));
    t.deepEqual(saidBy(actor).cnf, { jkt: await jktOf(mine) });
    const acting = { actor_token: actor, actor_token_type: ACCESS_TOKEN };
    for (const headers of [{}, await tokenProof(stage, await proofKey())]) {
      const refused = await exchange(stage, service, plain.tokens.access_token, acting, headers);
      t.like(refused.body, { error: 'invalid_request' });
      t.regex(String(refused.body.error_description), /actor_token is bound to a key/);
    }
    const answer = await exchange(stage, service, plain.tokens.access_token, acting, await tokenProof(stage, mine));
    t.deepEqual(saidBy(answer.body.access_token).cnf, { jkt: await jktOf(mine) });
    t.like(saidBy(answer.body.access_token).act, { client_id: service.client.clientId });
    const both = await exchange(stage, service, tokens.access_token, acting, await tokenProof(stage, mine));
    t.is(both.status, 200, 'the subject’s is vouched for');

    // Without that trust both have to be of the same key.
    const own = await serviceToken(stage, rp, await tokenProof(stage, key));
    const other = await serviceToken(stage, rp, await tokenProof(stage, mine));
    const asked = async (token: string, by: ProofKey) =>
      (await exchange(stage, rp, tokens.access_token, { actor_token: token, actor_token_type: ACCESS_TOKEN }, await tokenProof(stage, by))).status;
    t.deepEqual([await asked(own, key), await asked(other, key), await asked(other, mine)], [200, 400, 400]);
  });

  engine.test('its attribute is validated where it is saved', async (t) => {
    const { server, realm } = await scene({ mfa: 'off' });
    const attributes = { 'cardea.token.exchange.bound': 'yes' };
    await t.throwsAsync(server.client(realm, { attributes }), { message: /attributes\.cardea\.token\.exchange\.bound/ });
  });
});
