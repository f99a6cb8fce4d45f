/** How long refresh tokens and what is issued with them last: by client, by realm, unused and in all. */
import { decodeJwt } from 'jose';
import { updateRealmSettings } from '../../src/admin/resources/realm-settings.ts';
import { realmById } from '../../src/store/realms.ts';
import { arena, at, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { lasts } from '../support/lasting.ts';
import { openid, signIn, type Tokens } from '../support/sign-in.ts';

const DAY = 86_400;

const refresh = async ({ rp }: Scene, tokens: Pick<Tokens, 'refresh_token'>): Promise<Tokens | undefined> => {
  try {
    return await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
  } catch (error) {
    if (error instanceof openid.ResponseBodyError && error.error === 'invalid_grant') return undefined;
    throw error;
  }
};

forEachEngine((engine) => {
  const { scene } = arena(engine);

  for (const publicClient of [false, true])
    engine.serial(
      `a ${publicClient ? 'public' : 'confidential'} client's tokens of a session end when it does not refresh for too long`,
      async (t) => {
        const attributes = { 'client.session.idle.timeout': '600' };
        const stage = await scene({ mfa: 'off' }, { publicClient, attributes });
        const beside = await scene({ mfa: 'off' });
        const user = await stage.server.user(stage.realm);
        const { tokens, browser } = await signIn(stage.server, stage.rp, user);
        const { tokens: others } = await signIn(stage.server, beside.rp, user, { browser });
        lasts(t, tokens.refresh_expires_in, 600);
        lasts(t, others.refresh_expires_in, 30 * DAY);
        let newest = tokens;
        // Used in time it goes on, well beyond that time.
        for (const later of [500_000, 1_000_000, 1_500_000])
          await at(later, async () => {
            const next = await refresh(stage, newest);
            t.truthy(next, String(later));
            newest = next ?? newest;
            lasts(t, newest.refresh_expires_in, 600);
          });
        await at(2_200_000, async () => {
          t.is(await refresh(stage, newest), undefined, 'it was not');
          t.false((await openid.tokenIntrospection(stage.rp.configuration, newest.refresh_token ?? '')).active);
          t.truthy(await refresh(beside, others), 'the session goes on for the others');
          t.truthy((await signIn(stage.server, stage.rp, user, { browser })).tokens.refresh_token, 'and for whoever comes back');
        });
      },
    );

  engine.serial('offline tokens of a client end when it does not use them for too long', async (t) => {
    const attributes = { 'client.offline.session.idle.timeout': '3600', 'client.offline.session.max.lifespan': '9000' };
    const stage = await scene({ mfa: 'off' }, { attributes });
    const user = await stage.server.user(stage.realm);
    const parameters = { scope: 'openid offline_access' };
    const { tokens } = await signIn(stage.server, stage.rp, user, { parameters });
    lasts(t, tokens.refresh_expires_in, 3_600);
    await at(3_000_000, async () => lasts(t, (await refresh(stage, tokens))?.refresh_expires_in, 3_600));
    await at(6_000_000, async () => lasts(t, (await refresh(stage, tokens))?.refresh_expires_in, 3_000, 'its end is nearer'));
    await at(9_010_000, async () => t.is(await refresh(stage, tokens), undefined, 'in all'));
    const { tokens: idle } = await signIn(stage.server, stage.rp, user, { parameters });
    await at(3_700_000, async () => t.is(await refresh(stage, idle), undefined, 'unused'));
  });

  engine.serial('a realm says it for clients that say nothing, and offline tokens may have no end', async (t) => {
    const lasting = {
      clientSessionIdleTimeout: 900,
      clientSessionMaxLifespan: 2_000,
      clientOfflineSessionIdleTimeout: 5_000,
      offlineSessionIdleTimeout: 50 * DAY,
    };
    const stage = await scene({ mfa: 'off', ...lasting, offlineSessionMaxLifespanEnabled: false });
    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user);
    lasts(t, tokens.refresh_expires_in, 900);
    await at(800_000, async () => t.truthy(await refresh(stage, tokens)));
    await at(1_600_000, async () => lasts(t, (await refresh(stage, tokens))?.refresh_expires_in, 400));
    await at(2_010_000, async () => t.is(await refresh(stage, tokens), undefined));

    const { tokens: offline } = await signIn(stage.server, stage.rp, user, { parameters: { scope: 'openid offline_access' } });
    lasts(t, offline.refresh_expires_in, 5_000);
    t.true(Number(decodeJwt(offline.refresh_token ?? '').exp) > Date.now() / 1000 + 900 * DAY);
    const row = await realmById(stage.server.db.knex, stage.realm.id);
    if (!row) return t.fail();
    await updateRealmSettings(stage.server.operator(), row, { clientOfflineSessionIdleTimeout: 0 });
    for (const day of [40, 80, 120]) await at(day * DAY * 1000, async () => t.truthy(await refresh(stage, offline), `${day} days`));
    await at(171 * DAY * 1000, async () => t.is(await refresh(stage, offline), undefined, 'the realm’s own idle time holds'));
  });

  engine.test('an ID token lasts as long as the access token that comes with it', async (t) => {
    const stage = await scene({ mfa: 'off' }, { attributes: { 'access.token.lifespan': '77' } });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const { exp = 0, iat = 0 } = decodeJwt(tokens.id_token ?? '');
    t.deepEqual([tokens.expires_in, exp - iat], [77, 77]);
  });
});
