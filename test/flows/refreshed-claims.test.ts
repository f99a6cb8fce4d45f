/** What refreshed tokens say of how the user signed in: what was true then, and of that only what still counts. */
import { decodeJwt } from 'jose';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { arena, at, call, credentialsOf, giveApp, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { relyingParty, signIn } from '../support/sign-in.ts';
import { exchange, REFRESH_TOKEN, serviceBehind } from '../support/token-exchange.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** A user who has signed in with a password, and has an app. */
  const world = async (client: Partial<NewClient> = {}) => {
    const { server } = await scene({ mfa: 'off' });
    // One of its own: what is counted in a realm is not to see others come back from the future.
    const realm = await server.realm({ mfa: 'off' });
    const stage = { server, realm, rp: await relyingParty(server, realm, await server.client(realm, client)) };
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    return { stage, user, secret, low: await signIn(stage.server, stage.rp, user) };
  };
  const refreshed = async ({ server, realm, rp }: Scene, token: unknown) => {
    const sent = {
      grant_type: 'refresh_token',
      refresh_token: String(token),
      ...(rp.client.secret === null ? { client_id: rp.client.clientId } : {}),
    };
    const { status, body } = await call(server, realm, 'token', sent, credentialsOf(rp));
    if (status !== 200) throw new Error(JSON.stringify(body));
    const [access, id] = [decodeJwt(String(body.access_token)), typeof body.id_token === 'string' ? decodeJwt(body.id_token) : undefined];
    const how = ({ acr, amr, auth_time }: Record<string, unknown>) => ({ acr, amr, auth_time });
    return { how: how(access), inIdToken: id && how(id), token: body.refresh_token };
  };
  const BOTH = ['pwd', 'otp', 'mfa'];

  engine.serial('a step-up in between raises what is issued then, and nothing of before', async (t) => {
    const { stage, user, secret, low } = await world();
    const high = await signIn(stage.server, stage.rp, user, { browser: low.browser, totpSecret: secret, parameters: { acr_values: 'aal2' } });
    const before = decodeJwt(low.tokens.access_token);
    t.like(before, { acr: 'aal1', amr: ['pwd'] });
    const ofLow = await refreshed(stage, low.tokens.refresh_token);
    t.deepEqual(ofLow.how, { acr: 'aal1', amr: ['pwd'], auth_time: before.auth_time });
    t.deepEqual(ofLow.inIdToken, ofLow.how);
    const ofHigh = await refreshed(stage, high.tokens.refresh_token);
    t.deepEqual(ofHigh.how, { acr: 'aal2', amr: BOTH, auth_time: decodeJwt(high.tokens.access_token).auth_time });
    t.deepEqual(ofHigh.inIdToken, ofHigh.how);
  });

  for (const publicClient of [false, true]) {
    engine.serial(`when the session has fallen its tokens fall with it (${publicClient ? 'public' : 'confidential'} client)`, async (t) => {
      const { stage, user, secret, low } = await world({ publicClient });
      const high = await signIn(stage.server, stage.rp, user, { browser: low.browser, totpSecret: secret, parameters: { acr_values: 'aal2' } });
      const { auth_time } = decodeJwt(high.tokens.access_token);
      let { token } = await refreshed(stage, high.tokens.refresh_token);
      await at(50 * MINUTE, async () => {
        const used = await refreshed(stage, token);
        t.deepEqual(used.how, { acr: 'aal2', amr: BOTH, auth_time }, 'not idle for an hour');
        token = used.token;
      });
      await at(3 * HOUR, async () => {
        const idle = await refreshed(stage, token);
        t.deepEqual(idle.how, { acr: 'aal1', amr: ['pwd'], auth_time }, 'the code counts no more, and the sign-in was when it was');
        t.deepEqual(idle.inIdToken, idle.how);
        const again = await refreshed(stage, idle.token);
        t.is(again.how.acr, 'aal1', 'activity does not bring it back');
        // A new sign-in does, for what is issued then.
        const code = { totpSecret: secret, clock: () => Math.floor(Date.now() / 1000) };
        const renewed = await signIn(stage.server, stage.rp, user, { browser: high.browser, ...code, parameters: { acr_values: 'aal2' } });
        t.like(decodeJwt(renewed.tokens.access_token), { acr: 'aal2' });
        if (publicClient) t.is((await refreshed(stage, again.token)).how.acr, 'aal1');
      });
    });
  }

  engine.serial('a day after it was shown a code counts no more, however often tokens are refreshed', async (t) => {
    const { stage, user, secret, low } = await world();
    const high = await signIn(stage.server, stage.rp, user, { browser: low.browser, totpSecret: secret, parameters: { acr_values: 'aal2' } });
    for (let minutes = 45; minutes < 24 * 60; minutes += 45)
      await at(minutes * MINUTE, async () => t.is((await refreshed(stage, high.tokens.refresh_token)).how.acr, 'aal2', `${minutes}`));
    await at(24 * HOUR + 5 * MINUTE, async () => t.like((await refreshed(stage, high.tokens.refresh_token)).how, { acr: 'aal1', amr: ['pwd'] }));
  });

  engine.serial('offline access is not idle, and grows as old', async (t) => {
    const { stage, user, secret, low } = await world();
    const parameters = { acr_values: 'aal2', scope: 'openid offline_access' };
    const high = await signIn(stage.server, stage.rp, user, { browser: low.browser, totpSecret: secret, parameters });
    const { auth_time } = decodeJwt(high.tokens.access_token);
    await stage.server.db.knex('sessions').where({ realm_id: stage.realm.id, user_id: user.id }).update({ ended_at: Date.now() });
    await at(5 * HOUR, async () => t.deepEqual((await refreshed(stage, high.tokens.refresh_token)).how, { acr: 'aal2', amr: BOTH, auth_time }));
    await at(25 * HOUR, async () => t.deepEqual((await refreshed(stage, high.tokens.refresh_token)).how, { acr: 'aal1', amr: ['pwd'], auth_time }));
  });

  engine.serial('what was exchanged falls too', async (t) => {
    const { stage, user, secret, low } = await world();
    const service = await serviceBehind(stage.server, stage.realm, stage.rp.client, {
      'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION',
    });
    const high = await signIn(stage.server, stage.rp, user, { browser: low.browser, totpSecret: secret, parameters: { acr_values: 'aal2' } });
    const answer = await exchange(stage, service, high.tokens.access_token, { requested_token_type: REFRESH_TOKEN });
    const { auth_time, acr } = decodeJwt(String(answer.body.access_token));
    t.deepEqual({ auth_time, acr }, { auth_time: decodeJwt(high.tokens.access_token).auth_time, acr: 'aal2' });
    const ofService = { ...stage, rp: service };
    t.deepEqual((await refreshed(ofService, answer.body.refresh_token)).how, { acr: 'aal2', amr: BOTH, auth_time });
    await at(2 * HOUR, async () =>
      t.deepEqual((await refreshed(ofService, answer.body.refresh_token)).how, { acr: 'aal1', amr: ['pwd'], auth_time }),
    );
  });
});
