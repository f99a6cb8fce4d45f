/** E07: proofs of possession (DPoP, RFC 9449) that are replayed, made for something else, or left away. */
import { createHmac, randomUUID } from 'node:crypto';
import { exportJWK, type JWK, type JWTPayload } from 'jose';
import { realmSettings } from '../../src/realms/settings.ts';
import { sweepExpired } from '../../src/store/sweep.ts';
import { adminOf, callAdmin } from '../support/admin.ts';
import { arena, at, parallel, type Scene, tally } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { athOf, type ProofKey, proofKey, proofOf, tokenProof } from '../support/dpop.ts';
import { passwordGrant } from '../support/password-grant.ts';
import { authorizationRequest, Browser, openid, signIn } from '../support/sign-in.ts';

interface Held {
  stage: Scene;
  key: ProofKey;
  jwk: JWK;
  token: string;
  refreshToken: string;
  userinfo: string;
}

const ENDPOINT = '/protocol/openid-connect';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  /** A user's token at a public client, bound to a key that the attacker has for what it may do with it. */
  async function held(attributes: Record<string, string> = {}): Promise<Held> {
    const stage = await scene({ mfa: 'off', accessTokenLifespan: 3_600 }, { publicClient: true, attributes });
    const { server, realm, rp } = stage;
    const pair = await openid.randomDPoPKeyPair('ES256', { extractable: true });
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user, { asked: { DPoP: openid.getDPoPHandle(rp.configuration, pair) } });
    const key = { publicJwk: await exportJWK(pair.publicKey), privateKey: pair.privateKey };
    const userinfo = `${server.origin}/realms/${realm.name}${ENDPOINT}/userinfo`;
    return {
      stage,
      key,
      jwk: await exportJWK(pair.privateKey),
      token: tokens.access_token,
      refreshToken: tokens.refresh_token ?? '',
      userinfo,
    };
  }

  /** The same address at a process of its own. */
  const atNode = (node: Cardea, url: string): string => `${node.url}${new URL(url).pathname}${new URL(url).search}`;
  const ask = (url: string, token: string, proof: string | undefined, scheme = 'DPoP') =>
    fetch(url, { headers: { authorization: `${scheme} ${token}`, ...(proof === undefined ? {} : { dpop: proof }) } });

  engine.test('E07 a proof is good once, however many processes see it at the same time', async (t) => {
    const { key, token, userinfo, refreshToken, stage } = await held();
    const all = await nodes();
    const nodeOf = (index: number): Cardea => all[index % all.length] ?? stage.server;
    const proof = await proofOf(key, { method: 'GET', url: userinfo, token });
    const answers = await parallel(20, (index) => ask(atNode(nodeOf(index), userinfo), token, proof));
    t.is(tally(answers)[200], 1, JSON.stringify(tally(answers)));
    t.true(answers.every(({ status }) => status === 200 || status === 400 || status === 401));
    for (const node of all) t.not((await ask(atNode(node, userinfo), token, proof)).status, 200);
    t.is((await ask(userinfo, token, await proofOf(key, { method: 'GET', url: userinfo, token }))).status, 200, 'the next one is good');

    const tokenUrl = `${stage.server.origin}/realms/${stage.realm.name}${ENDPOINT}/token`;
    const refreshing = await proofOf(key, { method: 'POST', url: tokenUrl });
    const body = () => new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: stage.rp.client.clientId });
    const refreshed = await parallel(20, (index) =>
      fetch(atNode(nodeOf(index), tokenUrl), { method: 'POST', body: body(), headers: { dpop: refreshing } }),
    );
    t.true((tally(refreshed)[200] ?? 0) <= 1, JSON.stringify(tally(refreshed)));
  });

  engine.test('E07 a proof for a code is good once, with as many codes as there are', async (t) => {
    const { key, stage } = await held();
    const { server, realm, rp } = stage;
    const { browser } = await signIn(server, rp, await server.user(realm));
    const tokenUrl = `${server.origin}/realms/${realm.name}${ENDPOINT}/token`;
    const proof = await proofOf(key, { method: 'POST', url: tokenUrl });
    const all = await nodes();
    const answers = await parallel(6, async (index) => {
      const request = await authorizationRequest(rp);
      const page = await browser.visit(request.url);
      const code = new URL(page.headers.get('location') ?? '').searchParams.get('code') ?? '';
      const body = new URLSearchParams({
        ...{ grant_type: 'authorization_code', code, redirect_uri: rp.client.redirectUri },
        ...{ code_verifier: request.verifier, client_id: rp.client.clientId },
      });
      return fetch(atNode(all[index % all.length] ?? server, tokenUrl), { method: 'POST', body, headers: { dpop: proof } });
    });
    t.is(tally(answers)[200], 1, JSON.stringify(tally(answers)));
  });

  engine.test('E07 a proof for a password is good once, and is looked at before the password', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true, directAccess: true, attributes: { 'dpop.bound.access.tokens': 'true' } });
    const { realm, rp } = stage;
    const user = await stage.server.user(realm);
    const key = await proofKey();
    const all = await nodes();
    const ask = (headers: Record<string, string>, { password = user.password, node = stage.server } = {}) =>
      passwordGrant(node, realm, { client_id: rp.client.clientId, username: user.username, password }, headers);
    const proof = await tokenProof(stage, key);
    const answers = await parallel(8, (index) => ask(proof, { node: all[index % all.length] ?? stage.server }));
    t.is(tally(answers)[200], 1, JSON.stringify(tally(answers)));
    for (const node of all) t.like((await ask(proof, { node })).body, { error: 'invalid_grant' });
    // Whoever has no proof learns nothing of a password.
    for (const headers of [{}, proof, { dpop: 'x.y.z' }]) {
      const [right, wrong] = [await ask(headers), await ask(headers, { password: 'wrong' })];
      t.deepEqual([right.status, right.body], [wrong.status, wrong.body]);
    }
    t.is((await ask(await tokenProof(stage, key))).status, 200);
  });

  engine.test('A24 proofs that come with passwords from anybody fill no table: they are bounded by address', async (t) => {
    const throttling = realmSettings.parse({ throttling: { address: { openSignIns: 20, failures: 10_000 } } }).throttling;
    const stage = await scene({ mfa: 'off', throttling }, { publicClient: true, directAccess: true });
    const { server, realm, rp } = stage;
    const key = await proofKey();
    const guess = async (index: number) => {
      const fields = { client_id: rp.client.clientId, username: `nobody-${index}`, password: 'wrong' };
      return (await passwordGrant(server, realm, fields, await tokenProof(stage, key))).status;
    };
    for (let index = 0; index < 20; index += 1) t.is(await guess(index), 401, String(index));
    t.deepEqual([await guess(20), await guess(21)], [429, 429]);
    t.is((await server.db.knex('oidc_payloads').where({ realm_id: realm.id, model: 'ReplayDetection' })).length, 20);
  });

  engine.serial('E07 a proof whose time is in the future is not good again when that time has come', async (t) => {
    const { key, token, userinfo, stage } = await held();
    const proof = await proofOf(key, { method: 'GET', url: userinfo, token }, { claims: { iat: Math.floor(Date.now() / 1000) + 290 } });
    t.is((await ask(userinfo, token, proof)).status, 200);
    // The library would have its jti remembered for five minutes.
    for (const later of [10_000, 310_000, 370_000, 580_000])
      await at(later, async () => {
        await sweepExpired(stage.server.db, Date.now());
        t.not((await ask(userinfo, token, proof)).status, 200, String(later));
      });
  });

  engine.serial('E07 a proof of before, or of long after, is refused', async (t) => {
    const { key, token, userinfo } = await held();
    const now = Math.floor(Date.now() / 1000);
    for (const iat of [now - 400, now + 400, 0, -1]) {
      const answer = await ask(userinfo, token, await proofOf(key, { method: 'GET', url: userinfo, token }, { claims: { iat } }));
      t.is(answer.status, 401, String(iat));
    }
    const kept = await proofOf(key, { method: 'GET', url: userinfo, token });
    await at(400_000, async () => t.is((await ask(userinfo, token, kept)).status, 401));
  });

  engine.test('E07 a proof for another address, method or token is refused', async (t) => {
    const { key, token, userinfo, stage } = await held();
    const { origin, pathname, port } = new URL(userinfo);
    const right = { method: 'GET', url: userinfo, token };
    const addresses = [
      ...[`${origin}${pathname}/`, `${origin}/${pathname}`, `${origin}${pathname.toUpperCase()}`, `${origin}${pathname}x`],
      ...[`${origin}${pathname.replace('/userinfo', '/token')}`, `${origin}${pathname.replace('userinfo', '%75serinfo')}`],
      ...[userinfo.replace(`:${port}`, ''), userinfo.replace(`:${port}`, `:${Number(port) + 1}`), userinfo.replace('http:', 'https:')],
      ...[userinfo.replace('localhost', '127.0.0.1'), userinfo.replace('localhost', 'localhost.evil.example'), `https://evil.example${pathname}`],
      ...[userinfo.replace('://', '://x@'), pathname, '', 'userinfo'],
    ];
    for (const url of addresses) t.is((await ask(userinfo, token, await proofOf(key, { ...right, url }))).status, 401, url);
    // What a proxy or an attacker says of the host is not what we are called.
    const evil = await proofOf(key, { ...right, url: `http://evil.example${pathname}` });
    for (const headers of [{ host: 'evil.example' }, { 'x-forwarded-host': 'evil.example' }, { forwarded: 'host=evil.example' }]) {
      const answer = await fetch(userinfo, { headers: { ...headers, authorization: `DPoP ${token}`, dpop: evil } });
      t.is(answer.status, 401, JSON.stringify(headers));
    }
    for (const node of await nodes())
      t.is((await ask(atNode(node, userinfo), token, await proofOf(key, right))).status, 200, 'one name for all processes');
    // Section 4.3: query and fragment do not count.
    t.is((await ask(`${userinfo}?a=b`, token, await proofOf(key, { ...right, url: `${userinfo}?c=d#e` }))).status, 200);

    for (const htm of ['POST', 'get', 'HEAD', ''])
      t.is((await ask(userinfo, token, await proofOf(key, right, { claims: { htm } }))).status, 401, htm);
    const other = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const hashes = [undefined, '', athOf('another'), athOf(other.tokens.access_token), athOf(`${token} `), token];
    for (const ath of hashes) t.is((await ask(userinfo, token, await proofOf(key, right, { claims: { ath } }))).status, 401, ath);
    for (const jti of [undefined, '']) t.is((await ask(userinfo, token, await proofOf(key, right, { claims: { jti } }))).status, 401);
    for (const missing of ['htm', 'htu', 'iat'])
      t.is((await ask(userinfo, token, await proofOf(key, right, { claims: { [missing]: undefined } }))).status, 401, missing);
  });

  engine.test('E07 a proof by another key, without a signature, by a secret, or with the private key in it is refused', async (t) => {
    const { key, jwk, token, userinfo } = await held();
    const right = { method: 'GET', url: userinfo, token };
    const other = await proofKey();
    t.is((await ask(userinfo, token, await proofOf(other, right))).status, 401, 'a key of the attacker');
    t.is((await ask(userinfo, token, await proofOf({ ...other, publicJwk: key.publicJwk }, right))).status, 401, 'under the name of the right one');
    t.is((await ask(userinfo, token, await proofOf(key, right, { header: { jwk } }))).status, 401, 'a private key');
    for (const typ of ['JWT', 'at+jwt', undefined])
      t.is((await ask(userinfo, token, await proofOf(key, right, { header: { typ } }))).status, 401, typ);
    t.is((await ask(userinfo, token, await proofOf(key, right, { header: { jwk: undefined } }))).status, 401);

    const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims: JWTPayload = { htm: 'GET', htu: userinfo, jti: randomUUID(), iat: Math.floor(Date.now() / 1000), ath: athOf(token) };
    const unsigned = `${encoded({ alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk })}.${encoded(claims)}.`;
    t.is((await ask(userinfo, token, unsigned)).status, 401, 'alg none');
    for (const secret of [JSON.stringify(key.publicJwk), key.publicJwk.x ?? '', '']) {
      const input = `${encoded({ alg: 'HS256', typ: 'dpop+jwt', jwk: key.publicJwk })}.${encoded(claims)}`;
      const mac = createHmac('sha256', secret).update(input).digest('base64url');
      t.is((await ask(userinfo, token, `${input}.${mac}`)).status, 401, 'alg HS256');
      const oct = { kty: 'oct', k: Buffer.from(secret).toString('base64url') };
      const named = `${encoded({ alg: 'HS256', typ: 'dpop+jwt', jwk: oct })}.${encoded(claims)}`;
      t.is((await ask(userinfo, token, `${named}.${createHmac('sha256', secret).update(named).digest('base64url')}`)).status, 401, 'an oct key');
    }
    const rsa = await proofKey('RS256');
    t.is((await ask(userinfo, token, await proofOf(rsa, right, { header: { alg: 'RS256' } }))).status, 401, 'an algorithm that is not named');
    const proof = await proofOf(key, right);
    for (const broken of ['', 'x', `${proof},${await proofOf(key, right)}`, `${proof}.x`, proof.slice(0, -4)])
      t.true([400, 401].includes((await ask(userinfo, token, broken)).status), broken.slice(0, 20));
  });

  engine.test('E07 a token that is bound is no bearer token, and one that is not is not made one that is', async (t) => {
    const { key, token, userinfo, stage } = await held();
    const right = { method: 'GET', url: userinfo, token };
    t.is((await ask(userinfo, token, undefined, 'Bearer')).status, 401);
    t.is((await ask(userinfo, token, await proofOf(key, right), 'Bearer')).status, 400, 'not with a proof beside it');
    t.is((await ask(userinfo, token, undefined)).status, 400, 'and not by the name alone');
    const form = { method: 'POST', body: new URLSearchParams({ access_token: token }) };
    t.is((await fetch(userinfo, form)).status, 401);
    t.is((await fetch(`${userinfo}?access_token=${token}`)).status, 400);
    const plain = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const { access_token: bearer } = plain.tokens;
    t.is((await ask(userinfo, bearer, await proofOf(key, { ...right, token: bearer }))).status, 401);
    t.is((await ask(userinfo, bearer, undefined, 'Bearer')).status, 200);
  });

  engine.test('E07 the REST API of administration takes no token that is bound: whoever stole it has no key', async (t) => {
    const { server } = await scene({ mfa: 'off' });
    const admin = await adminOf(server);
    const automation = { execute: [openid.allowInsecureRequests] };
    const issuer = new URL(`${server.origin}/realms/master`);
    const secret = openid.ClientSecretPost('the secret of the automation account');
    const configuration = await openid.discovery(issuer, 'automation', undefined, secret, automation);
    const DPoP = openid.getDPoPHandle(configuration, await openid.randomDPoPKeyPair());
    const bound = await openid.clientCredentialsGrant(configuration, {}, { DPoP });
    const path = '/realms/master/clients';
    t.is((await admin.call('GET', path)).status, 200);
    t.is((await callAdmin(server, 'GET', path, { token: bound.access_token })).status, 401, 'of a service account');

    const client = await server.client(admin.master, { publicClient: true });
    const rp = { client, configuration: await openid.discovery(issuer, client.clientId, undefined, openid.None(), automation) };
    const boss = await server.user(admin.master);
    const plain = await signIn(server, rp, boss, { browser: new Browser(server.origin), parameters: { acr_values: 'aal2' } });
    t.is((await callAdmin(server, 'GET', '/master/console/whoami', { token: plain.tokens.access_token })).status, 403, 'who it is, is known');
    const pair = await openid.randomDPoPKeyPair();
    const own = await signIn(server, rp, boss, { browser: plain.browser, asked: { DPoP: openid.getDPoPHandle(configuration, pair) } });
    t.is(own.tokens.claims()?.acr, 'aal2');
    t.is((await callAdmin(server, 'GET', '/master/console/whoami', { token: own.tokens.access_token })).status, 401, 'of a user');
  });
});
