/** How long a session and what was shown in it last, at the edges, by single sign-on and by refresh. */
import { updateRealmSettings } from '../../src/admin/resources/realm-settings.ts';
import { at, giveApp } from '../support/attack.ts';
import { type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, type Browser, exchange, openid, relyingParty, signIn } from '../support/sign-in.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** What all the requests of a test may take together, on a busy machine. */
const SLACK = 5 * MINUTE;

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;

  async function world(settings: RealmInput = {}) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm({ mfa: 'optional', ...settings });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    /** The acr of a single sign-on, or the error of one that would have to ask. */
    const sso = async (browser: Browser, parameters: Record<string, string> = {}) => {
      const request = await authorizationRequest(rp, { prompt: 'none', ...parameters });
      const page = await browser.visit(request.url);
      const error = new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('error');
      return error ?? (await exchange(rp, request, page)).claims()?.acr;
    };
    return { server, realm, rp, user, sso };
  }

  engine.serial('a second step counts for an hour without use, and for a day with it', async (t) => {
    const { server, rp, user, sso } = await world();
    const { secret } = await giveApp(server, user);
    const { browser } = await signIn(server, rp, user, { totpSecret: secret });
    t.is(await sso(browser), 'aal2');
    // Used every 50 minutes, up to the day.
    for (let n = 1; n * 50 * MINUTE < DAY - SLACK; n += 1)
      await at(n * 50 * MINUTE, async () => t.is(await sso(browser), 'aal2', `${n * 50} minutes`));
    await at(DAY - SLACK, async () => t.is(await sso(browser), 'aal2'));
    await at(DAY + SLACK, async () => t.is(await sso(browser), 'login_required', 'what was shown is a day old, however much it was used'));

    const other = await signIn(server, rp, user, { totpSecret: secret, clock: () => Math.floor(Date.now() / 1000) + 30 });
    await at(HOUR - SLACK, async () => t.is(await sso(other.browser), 'aal2'));
    await at(2 * HOUR + SLACK, async () => t.is(await sso(other.browser), 'login_required', 'an hour without use'));
    await at(2 * HOUR + 2 * SLACK, async () => t.is(await sso(other.browser), 'login_required', 'and to have asked has revived nothing'));
  });

  engine.serial('a password alone counts for thirty days, as its session does by default', async (t) => {
    const { server, rp, user, sso } = await world({ mfa: 'off' });
    const { browser } = await signIn(server, rp, user);
    await at(15 * DAY, async () => t.is(await sso(browser), 'aal1'));
    await at(30 * DAY - SLACK, async () => t.is(await sso(browser), 'aal1'));
    await at(30 * DAY + SLACK, async () => t.is(await sso(browser), 'login_required'));
  });

  engine.serial('no lifetime of a realm makes what was shown last longer', async (t) => {
    const { server, rp, user, sso } = await world({ mfa: 'off', ssoSessionIdleTimeout: 365 * 86_400, ssoSessionMaxLifespan: 365 * 86_400 });
    const { browser } = await signIn(server, rp, user);
    await at(30 * DAY - SLACK, async () => t.is(await sso(browser), 'aal1'));
    await at(30 * DAY + SLACK, async () => t.is(await sso(browser), 'login_required'));
  });

  engine.serial('a realm that shortens its sessions ends those that are there, for refreshes too', async (t) => {
    const { server, realm, rp, user, sso } = await world({ mfa: 'off', ssoSessionIdleTimeout: 7_200, ssoSessionMaxLifespan: 86_400 });
    const { browser, tokens } = await signIn(server, rp, user);
    const second = await signIn(server, rp, user);
    await at(HOUR, async () => t.is(await sso(browser), 'aal1'));
    const { realm: changed } = await updateRealmSettings(server.operator(), realm, { ssoSessionIdleTimeout: 1_800 });
    await at(HOUR + 31 * MINUTE, async () => {
      t.is(await sso(browser), 'login_required', 'idle');
      await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    });
    await updateRealmSettings(server.operator(), changed, { ssoSessionIdleTimeout: 86_400, ssoSessionMaxLifespan: 3_600 });
    await at(HOUR + SLACK, async () => {
      t.is(await sso(second.browser), 'login_required', 'in all');
      await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, second.tokens.refresh_token ?? ''));
      t.false((await openid.tokenIntrospection(rp.configuration, second.tokens.access_token)).active);
    });
  });

  engine.serial('what is used does not lie idle, however short that time is: a session, and an offline token', async (t) => {
    const { server, rp, user, sso } = await world({ mfa: 'off', ssoSessionIdleTimeout: 90, offlineSessionIdleTimeout: 90 });
    const refresh = async ({ refresh_token = '' }: { refresh_token?: string | undefined }) =>
      openid.refreshTokenGrant(rp.configuration, refresh_token);
    const { browser, tokens } = await signIn(server, rp, user);
    const away = await signIn(server, rp, user, { parameters: { scope: 'openid offline_access' } });
    // Each is used 50 seconds after the last time, which is sooner than it would lie idle.
    for (const seconds of [50, 100, 150, 200])
      await at(seconds * 1_000, async () => {
        await t.notThrowsAsync(refresh(tokens), `${seconds} seconds`);
        await t.notThrowsAsync(refresh(away.tokens), `${seconds} seconds, offline`);
      });
    await at(250_000, async () => t.is(await sso(browser), 'aal1'));
    await at(250_000 + 91_000 + SLACK, async () => {
      t.is(await sso(browser), 'login_required', 'and once it is not used, it does');
      await t.throwsAsync(refresh(away.tokens));
    });
  });
});
