/** How long tokens go on: rotation as the client has it, reuse, idleness, ends, and offline access. */
import { decodeJwt } from 'jose';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { sha256 } from '../../src/crypto/codes.ts';
import { arena, at, basic, call, credentialsOf, parallel, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { lasts } from '../support/lasting.ts';
import { signIn } from '../support/sign-in.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

forEachEngine((engine) => {
  const { scene } = arena(engine);

  const signedIn = async (
    client: Partial<NewClient> = {},
    row: Record<string, unknown> = {},
    settings: Parameters<typeof scene>[0] = { mfa: 'off' },
  ) => {
    const stage = await scene(settings, client);
    const { db } = stage.server;
    if (Object.keys(row).length > 0) {
      await db
        .knex('clients')
        .where({ realm_id: stage.realm.id, id: stage.rp.client.row.id })
        .update({ ...row, updated_at: Date.now() + 1 });
      await db.changes.announce(`client:${stage.realm.id}`);
    }
    const user = await stage.server.user(stage.realm);
    return { stage, user, ...(await signIn(stage.server, stage.rp, user)) };
  };
  const refresh = async ({ server, realm, rp }: Scene, refreshToken: string | undefined, more: Record<string, string> = {}) => {
    const sent = {
      grant_type: 'refresh_token',
      refresh_token: refreshToken ?? '',
      ...(rp.client.secret === null ? { client_id: rp.client.clientId } : {}),
      ...more,
    };
    const { status, body } = await call(server, realm, 'token', sent, credentialsOf(rp));
    return { status, error: body.error, token: typeof body.refresh_token === 'string' ? body.refresh_token : undefined, body };
  };
  const ended = { status: 400, error: 'invalid_grant' };

  engine.test('a confidential client keeps its refresh token, however often it uses it', async (t) => {
    const { stage, tokens } = await signedIn();
    for (let times = 0; times < 3; times += 1) t.is((await refresh(stage, tokens.refresh_token)).token, tokens.refresh_token);
    const at = await parallel(4, () => refresh(stage, tokens.refresh_token));
    t.true(at.every(({ status }) => status === 200));
    t.is(new Set(at.map(({ body }) => body.access_token)).size, 4);
  });

  engine.test('it is a JWT that says when it ends, as Keycloak’s is; its id by itself is no token, nor is one that was changed', async (t) => {
    const { stage, tokens } = await signedIn({ publicClient: true });
    const issuer = `${stage.server.origin}/realms/${stage.realm.name}`;
    const token = tokens.refresh_token ?? '';
    const said = decodeJwt(token);
    t.like(said, {
      typ: 'Refresh',
      iss: issuer,
      aud: issuer,
      azp: stage.rp.client.clientId,
      sid: decodeJwt(tokens.access_token).sid,
      scope: tokens.scope,
    });
    lasts(t, tokens.refresh_expires_in, (said.exp ?? 0) - (said.iat ?? 0));
    t.is(said.sub, undefined, 'it is about a session, and names nobody');

    const elsewhere = await signedIn({ publicClient: true }, {}, { mfa: 'optional' });
    const [header = '', payload = '', signature = ''] = token.split('.');
    const changed = Buffer.from(JSON.stringify({ ...said, azp: 'other' })).toString('base64url');
    const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
    const foreign = (elsewhere.tokens.refresh_token ?? '').split('.')[2];
    const unsigned = [`${none}.${payload}.`, `${header}.${payload}.`, `${header}.${payload}.${foreign}`];
    for (const wrong of [said.jti, `~${token}`, `${header}.${changed}.${signature}`, ...unsigned, tokens.id_token, elsewhere.tokens.refresh_token])
      t.like(await refresh(stage, wrong), ended, wrong);

    const service = await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true });
    const look = async (asked: string) =>
      (await call(stage.server, stage.realm, 'token/introspect', { token: asked, client_id: stage.rp.client.clientId })).body;
    t.like(await look(token), { active: true, sid: said.sid });
    t.like(await look(String(said.jti)), { active: false });
    t.like((await call(stage.server, stage.realm, 'token/introspect', { token }, basic(service))).body, { active: false }, 'another client’s');
    const next = await refresh(stage, token);
    t.is(next.status, 200);
    t.is((await call(stage.server, stage.realm, 'revoke', { token: next.token ?? '', client_id: stage.rp.client.clientId })).status, 200);
    t.like(await refresh(stage, next.token), ended);
  });

  engine.test('one from before they were JWTs is taken as it is', async (t) => {
    const { stage, tokens } = await signedIn();
    const { db } = stage.server;
    const old = 'a-token-of-the-release-before-this-one_00042';
    const moved = await db
      .knex('oidc_payloads')
      .where({ realm_id: stage.realm.id, model: 'RefreshToken', id: sha256(String(decodeJwt(tokens.refresh_token ?? '').jti)) })
      .update({ id: sha256(old) });
    t.is(moved, 1);
    t.is((await refresh(stage, old)).token, old);
  });

  engine.test('a public client gets a new one each time; the old one, used again, ends them all', async (t) => {
    const { stage, tokens } = await signedIn({ publicClient: true });
    const second = await refresh(stage, tokens.refresh_token);
    t.is(second.status, 200);
    t.not(second.token, tokens.refresh_token);
    const third = await refresh(stage, second.token);
    t.is(third.status, 200);
    t.like(await refresh(stage, tokens.refresh_token), ended, 'used before');
    t.like(await refresh(stage, third.token), ended, 'and with it the newest');
  });

  engine.test('rotation can be switched on for a confidential client, and reuse be allowed so many times', async (t) => {
    const strict = await signedIn({}, { revoke_refresh_token: true });
    const next = await refresh(strict.stage, strict.tokens.refresh_token);
    t.not(next.token, strict.tokens.refresh_token);
    t.like(await refresh(strict.stage, strict.tokens.refresh_token), ended);
    t.like(await refresh(strict.stage, next.token), ended);

    const lenient = await signedIn({}, { revoke_refresh_token: true, refresh_token_max_reuse: 1 });
    t.is((await refresh(lenient.stage, lenient.tokens.refresh_token)).status, 200);
    const again = await refresh(lenient.stage, lenient.tokens.refresh_token);
    t.is(again.status, 200, 'once more is allowed');
    t.like(await refresh(lenient.stage, lenient.tokens.refresh_token), ended, 'and no more');
    t.like(await refresh(lenient.stage, again.token), ended);

    const loose = await signedIn({ publicClient: true }, { revoke_refresh_token: false });
    t.is((await refresh(loose.stage, loose.tokens.refresh_token)).token, loose.tokens.refresh_token);
  });

  engine.test('the family of one session and client ends alone', async (t) => {
    const one = await signedIn({ publicClient: true });
    const other = await scene({ mfa: 'off' });
    const tokens = await signIn(other.server, other.rp, one.user, { browser: one.browser });
    const elsewhere = await signIn(one.stage.server, one.stage.rp, one.user);
    await refresh(one.stage, one.tokens.refresh_token);
    t.like(await refresh(one.stage, one.tokens.refresh_token), ended);
    t.is((await refresh(other, tokens.tokens.refresh_token)).status, 200, 'another client of the session');
    t.is((await refresh(one.stage, elsewhere.tokens.refresh_token)).status, 200, 'the same client in another session');
    t.is((await signIn(one.stage.server, one.stage.rp, one.user, { browser: one.browser })).tokens.claims()?.sub, one.user.id, 'the session stands');
  });

  engine.test('a refresh token is its client’s', async (t) => {
    const { stage, tokens } = await signedIn();
    const other = await scene({ mfa: 'off' });
    t.like(await refresh(other, tokens.refresh_token), ended);
    t.is((await refresh(stage, tokens.refresh_token)).status, 200, 'and still good');
  });

  engine.serial('a session that is not used ends, one that is used goes on, and none beyond its end', async (t) => {
    const settings = { mfa: 'off', ssoSessionIdleTimeout: 1_800, ssoSessionMaxLifespan: 7_200 } as const;
    const used = await signedIn({}, {}, settings);
    const idle = await signedIn({}, {}, settings);
    for (const minutes of [25, 50, 75, 100, 115]) {
      await at(minutes * MINUTE, async () => {
        const { status, body } = await refresh(used.stage, used.tokens.refresh_token);
        t.is(status, 200, `${minutes}`);
        t.true(Number(body.refresh_expires_in) > 0);
      });
    }
    await at(35 * MINUTE, async () => t.like(await refresh(idle.stage, idle.tokens.refresh_token), ended, 'idle'));
    await at(121 * MINUTE, async () => t.like(await refresh(used.stage, used.tokens.refresh_token), ended, 'the absolute end'));
  });

  engine.serial('offline access goes on when the session is over, until it is idle or ended itself', async (t) => {
    const settings = {
      mfa: 'off',
      ssoSessionIdleTimeout: 1_800,
      ssoSessionMaxLifespan: 3_600,
      offlineSessionIdleTimeout: 7_200,
      offlineSessionMaxLifespan: 21_600,
    } as const;
    const stage = await scene(settings, {});
    const user = await stage.server.user(stage.realm);
    const online = await signIn(stage.server, stage.rp, user);
    const { tokens } = await signIn(stage.server, stage.rp, user, { parameters: { scope: 'openid offline_access' } });
    t.true(Number(tokens.refresh_expires_in) > 3_600);
    await at(90 * MINUTE, async () => {
      t.like(await refresh(stage, online.tokens.refresh_token), ended);
      const { status, body } = await refresh(stage, tokens.refresh_token);
      t.is(status, 200);
      const claims = decodeJwt(String(body.access_token));
      t.is(claims.auth_time, tokens.claims()?.auth_time, 'when the user signed in, not when it was refreshed');
      t.deepEqual(claims.amr, ['pwd']);
    });
    await at(3 * HOUR, async () => t.is((await refresh(stage, tokens.refresh_token)).status, 200, 'used, so not idle'));
    await at(5.5 * HOUR, async () => t.like(await refresh(stage, tokens.refresh_token), ended, 'idle for two hours and a half'));
  });

  engine.serial('an access token expires, also where we are asked', async (t) => {
    const { stage, tokens } = await signedIn({}, {}, { mfa: 'off', accessTokenLifespan: 120 });
    t.is(tokens.expires_in, 120);
    const introspect = async () =>
      (await call(stage.server, stage.realm, 'token/introspect', { token: tokens.access_token }, credentialsOf(stage.rp))).body.active;
    const userinfo = async () =>
      (
        await fetch(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/userinfo`, {
          headers: { authorization: `Bearer ${tokens.access_token}` },
        })
      ).status;
    t.deepEqual([await introspect(), await userinfo()], [true, 200]);
    await at(130_000, async () => t.deepEqual([await introspect(), await userinfo()], [false, 401]));
  });
});
