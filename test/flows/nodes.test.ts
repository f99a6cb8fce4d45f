/** Two processes on one database, and no sticky sessions: whoever is asked knows what the other has done. */
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { z } from 'zod';
import { createClient } from '../../src/admin/resources/clients.ts';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { removeRealm } from '../../src/admin/resources/realm-removal.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { clientSeal } from '../../src/store/clients.ts';
import { openDatabase } from '../../src/store/database.ts';
import { at, giveApp } from '../support/attack.ts';
import { type Balancer, startBalancer } from '../support/balancer.ts';
import { type Cardea, REDIRECT_URI, startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, exchange, openid, type RelyingParty, relyingParty, signIn } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

const keySet = z.object({ keys: z.array(z.object({ alg: z.string(), kid: z.string() })) });

interface Installation {
  balancer: Balancer;
  one: Cardea;
  two: Cardea;
}

async function start(engine: EngineUnderTest): Promise<Installation> {
  const balancer = await startBalancer();
  const settings = await engine.settings();
  const node = async () => {
    const db = await openDatabase(settings);
    atEnd(() => db.close());
    return startCardea(db, { CARDEA_ORIGIN: balancer.origin });
  };
  const [one, two] = [await node(), await node()];
  balancer.nodes.push(one, two);
  return { balancer, one, two };
}

forEachEngine((engine) => {
  let started: Promise<Installation> | undefined;
  const installation = () => {
    started ??= start(engine);
    return started;
  };
  const kids = async ({ url }: Cardea, realm: string): Promise<string[]> => {
    const answer = await fetch(`${url}/realms/${realm}/protocol/openid-connect/certs`);
    return keySet.parse(await answer.json()).keys.flatMap(({ alg, kid }) => (alg === 'RS256' ? [kid] : []));
  };

  engine.test('a realm that one process deletes is gone at the other, and one that takes its place is another', async (t) => {
    const { one, two } = await installation();
    const realm = await one.realm();
    const answer = async ({ url }: Cardea): Promise<number> => (await fetch(`${url}/realms/${realm.name}`)).status;
    t.is(await answer(two), 200);
    await two.user(realm);
    await removeRealm(one.operator(), realm);
    t.true(await until(async () => (await answer(two)) === 404));
    const again = await createRealm(one.operator(), { name: realm.name, id: realm.id });
    t.true(await until(async () => (await answer(two)) === 200));
    const { client } = await createClient(two.operator(), again, { clientId: 'app', serviceAccount: true });
    t.regex(client.secret ?? '', /^v1/, 'sealed with the new key');
    t.truthy(await one.keyring.openText(clientSeal(client), client.secret ?? ''));
  });

  engine.test('a sign-in goes on wherever its next request arrives', async (t) => {
    const { one, balancer } = await installation();
    const realm = await one.realm({ mfa: 'required' });
    const rp = await relyingParty(one, realm, await one.client(realm, { firstParty: false }));
    // Each whole way from either process on, so that every step is once the one's and once the other's.
    for (let round = 0; round < 4; round += 1) {
      const user = await one.user(realm);
      if (round % 2 === 1) await fetch(`${balancer.origin}/health/live`);
      const { browser, tokens, totpSecret } = await signIn(one, rp, user);
      t.deepEqual(tokens.claims()?.amr, ['pwd', 'otp', 'mfa']);
      t.truthy(totpSecret);
      for (let times = 0; times < 2; times += 1) {
        t.is((await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '')).claims()?.sub, user.id);
        t.is((await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id)).sub, user.id);
        const silent = await authorizationRequest(rp, { prompt: 'none' });
        t.is((await exchange(rp, silent, await browser.visit(silent.url))).claims()?.sub, user.id);
      }
      await openid.tokenRevocation(rp.configuration, tokens.refresh_token ?? '');
      for (let times = 0; times < 2; times += 1) t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    }
  });

  engine.test('a realm, a client and a user that one process makes are there for the other at once', async (t) => {
    const { one, two } = await installation();
    const name = `made-${engine.engine}-${Date.now().toString(36)}`;
    const status = async (node: Cardea, path = '') =>
      (await fetch(`${node.url}/realms/${name}${path}`, { headers: { accept: 'application/json' } })).status;
    t.deepEqual([await status(one), await status(two)], [404, 404], 'and are remembered as unknown');
    const realm = await createRealm(one.operator(), { name, mfa: 'off' });
    t.is(await status(one), 200);
    t.true(await until(async () => (await status(two)) === 200));

    const authorize = '/protocol/openid-connect/auth?client_id=fresh&response_type=code&scope=openid&state=x&redirect_uri=';
    t.deepEqual([await status(one, authorize), await status(two, authorize)], [400, 400]);
    await createClient(one.operator(), realm, { clientId: 'fresh', redirectUris: [REDIRECT_URI] });
    for (const node of [two, one]) {
      const answer = await fetch(`${node.url}/realms/${name}${authorize}${encodeURIComponent(REDIRECT_URI)}`, { redirect: 'manual' });
      t.is(answer.status, 303);
    }
    const row = { realm_id: realm.id, client_id: 'fresh' };
    await one.db
      .knex('clients')
      .where(row)
      .update({ enabled: false, updated_at: Date.now() + 1 });
    await one.db.changes.announce(`client:${realm.id}`);
    t.is(await status(one, authorize + encodeURIComponent(REDIRECT_URI)), 400);
    t.true(await until(async () => (await status(two, authorize + encodeURIComponent(REDIRECT_URI))) === 400), 'switched off here, and there');
  });

  engine.serial('keys are published, sign and retire by the clock, on both, and a sign-in under way is not broken', async (t) => {
    const { one, two } = await installation();
    const realm = await one.realm({ mfa: 'optional', accessCodeLifespanLogin: 3_600, accessTokenLifespan: 3_600 });
    const rp: RelyingParty = await relyingParty(one, realm, await one.client(realm));
    const user = await one.user(realm);
    const { secret } = await giveApp(one, user);
    const enter = async (browser: Browser, url: string) =>
      browser.send(await browser.visit(url), { username: user.username, password: user.password });
    const code = () => codeOf(secret, () => Math.floor(Date.now() / 1000));
    const kidOf = (token: string) => decodeProtectedHeader(token).kid ?? '';
    const issue = async () => {
      const request = await authorizationRequest(rp);
      const browser = new Browser(one.origin);
      return exchange(rp, request, await browser.send(await enter(browser, request.url), { code: code() }));
    };
    const jwks = createRemoteJWKSet(new URL(`${one.origin}/realms/${realm.name}/protocol/openid-connect/certs`), { cooldownDuration: 0 });
    const verifies = (token: string) =>
      jwtVerify(token, jwks, { currentDate: new Date(Date.now()) }).then(
        () => true,
        () => false,
      );

    const [old = ''] = await kids(one, realm.name);
    const before = await issue();
    t.is(kidOf(before.access_token), old);
    // Under way while everything changes.
    const slow = new Browser(one.origin);
    const slowRequest = await authorizationRequest(rp);
    const slowPage = await enter(slow, slowRequest.url);

    const [fresh] = await rotateKeys(one.operator(), realm, { publishAheadMs: 600_000, keepMs: 1_800_000 });
    const next = fresh?.id ?? '';
    for (const node of [one, two])
      t.true(await until(async () => (await kids(node, realm.name)).join() === [old, next].join()), 'published on both, behind the one that signs');
    await at(300_000, async () => t.is(kidOf((await issue()).access_token), old, 'published, and does not sign yet'));
    await at(601_000, async () => {
      for (const node of [one, two]) t.deepEqual(await kids(node, realm.name), [next, old], 'signs, and the old one is still there');
      const later = await exchange(rp, slowRequest, await slow.send(slowPage, { code: code() }));
      t.is(kidOf(later.access_token), next, 'the sign-in that began before is signed with the new one');
      t.true(await verifies(later.access_token));
      t.true(await verifies(before.access_token), 'what the old one signed still verifies');
      t.true((await openid.tokenIntrospection(rp.configuration, before.access_token)).active);
    });
    await at(2_401_000, async () => {
      for (const node of [one, two]) t.deepEqual(await kids(node, realm.name), [next], 'retired');
      t.false((await openid.tokenIntrospection(rp.configuration, before.access_token)).active);
      t.is(kidOf((await openid.refreshTokenGrant(rp.configuration, before.refresh_token ?? '')).access_token), next);
    });
  });
});
