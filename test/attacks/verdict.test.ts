/** B08: whichever way somebody comes in, the policy's verdict is the same. */
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { createFactors } from '../../src/factors/index.ts';
import type { PolicyInput } from '../../src/policy/document.ts';
import { arena, begin, codeAt, codeFrom, giveApp, type Scene, type TestUser, type Underway } from '../support/attack.ts';
import { allBut } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { giveKey, keyForm, requestOn } from '../support/passkeys.ts';
import { authorizationRequest, Browser, exchange, openid, type Tokens } from '../support/sign-in.ts';
import { saidBy, serviceBehind, exchange as tokenExchange } from '../support/token-exchange.ts';

/** What is asked for, from nothing to what nobody gets past; `least` is the weakest acr that may come out of it. */
const POLICIES: { name: string; policy: PolicyInput; least: 'aal1' | 'aal2' | 'phr' | 'nobody' }[] = [
  { name: 'nobody is asked', policy: { useOwned: false }, least: 'aal1' },
  { name: 'whoever owns a factor', policy: {}, least: 'aal2' },
  { name: 'aal2 for everybody', policy: { rules: [{ id: 'all', when: {}, need: { level: 'aal2' } }] }, least: 'aal2' },
  { name: 'phr for everybody', policy: { rules: [{ id: 'all', when: {}, need: { level: 'phr' } }] }, least: 'phr' },
  { name: 'nobody at all', policy: { rules: [{ id: 'all', when: {}, need: { deny: true } }] }, least: 'nobody' },
];
const ORDER = ['aal1', 'aal2', 'phr', 'phrh'];

type Entrance = (stage: Scene, who: { user: TestUser; secret: string; passkey: (underway: Underway) => string }) => Promise<string | undefined>;

/** The acr that a way in leads to; undefined when it leads nowhere. */
const acrOf = async ({ rp }: Scene, { request, page }: Underway): Promise<string | undefined> => {
  if (codeFrom(page, rp) === undefined) return undefined;
  return String((await exchange(rp, request, page)).claims()?.acr);
};

/** The page after the first one, unless that leads away already. */
async function withPassword(stage: Scene, user: TestUser): Promise<Underway> {
  const underway = await begin(stage);
  if (underway.page.status >= 300) return underway;
  return { ...underway, page: await underway.browser.send(underway.page, { username: user.username, password: user.password }) };
}

const ENTRANCES: Record<string, Entrance> = {
  'password alone': async (stage, { user }) => acrOf(stage, await withPassword(stage, user)),
  'password and app': async (stage, { user, secret }) => {
    const underway = await withPassword(stage, user);
    const { browser, page } = underway;
    const asked = page.html.includes('value="totp"') ? await browser.send(page, { factor: 'totp' }) : page;
    if (!asked.html.includes('name="code"')) return acrOf(stage, underway);
    return acrOf(stage, { ...underway, page: await browser.send(asked, { code: codeAt(secret, 1) }) });
  },
  'a passkey and no name': async (stage, { passkey }) => {
    const underway = await begin(stage);
    if (underway.page.status >= 300) return acrOf(stage, underway);
    const page = await underway.browser.send(underway.page, { response: passkey(underway) }, keyForm(underway.page));
    return acrOf(stage, { ...underway, page });
  },
};

const onlyIf = (is: boolean, acr: string): string | undefined => (is ? acr : undefined);

/** What a token says that another application gets for one of before; undefined when it gets none. */
async function acrOfExchange(stage: Scene, service: Scene['rp'], tokens: Tokens): Promise<unknown> {
  const { status, body } = await tokenExchange(stage, service, tokens.access_token);
  return status === 200 ? saidBy(body.access_token).acr : undefined;
}

/** A user with an app and a passkey, signed in with two factors while nothing more was asked. */
async function signedIn(stage: Scene) {
  const { server, realm, rp } = stage;
  const user = await server.user(realm);
  const { secret } = await giveApp(server, user);
  const { device } = await giveKey(server, user);
  const before = await withPassword(stage, user);
  const choice = await before.browser.send(before.page, { factor: 'totp' });
  const tokens: Tokens = await exchange(rp, before.request, await before.browser.send(choice, { code: codeAt(secret) }));
  return { user, secret, browser: before.browser, tokens, passkey: ({ page }: Underway) => device.get(requestOn(page)) };
}

forEachEngine((engine) => {
  const { scene } = arena(engine);

  for (const [index, { name, policy, least }] of POLICIES.entries()) {
    engine.test(`B08 every first factor, session and grant, one verdict: ${name}`, async (t) => {
      // A realm each: scenes with the same settings share theirs.
      const stage = await scene({ disabledFactors: allBut('totp', 'passkey'), passwordMinLength: 8 + index });
      const { server, realm, rp } = stage;
      const write = (document: PolicyInput) => changePolicy({ ...server.operator(), factors: createFactors() }, realm, document);
      const enough = (acr: unknown): boolean => least !== 'nobody' && ORDER.indexOf(String(acr)) >= ORDER.indexOf(least);
      const service = await serviceBehind(server, realm, rp.client);
      for (const [way, entrance] of Object.entries(ENTRANCES)) {
        await write({});
        const who = await signedIn(stage);
        t.is(who.tokens.claims()?.acr, 'aal2');
        await write(policy);
        const acr = await entrance(stage, who);
        if (acr !== undefined) t.true(enough(acr), `${way} leads to ${acr}`);
        if (way === 'a passkey and no name') t.is(acr !== undefined, least !== 'nobody', way);

        const silent = await authorizationRequest(rp, { prompt: 'none' });
        const sso = await who.browser.visit(silent.url);
        const isIn = codeFrom(sso, rp) !== undefined;
        t.is(isIn, enough('aal2'), 'single sign-on with the session of before');
        if (isIn) t.true(enough((await exchange(rp, silent, sso)).claims()?.acr));

        // Another application gets no token for one of before, where its user would not be let in with what that says.
        t.is(await acrOfExchange(stage, service, who.tokens), onlyIf(enough('aal2'), 'aal2'), 'token exchange');

        // A refresh asks nothing, and says no more than was proved.
        const refreshed = await openid.refreshTokenGrant(rp.configuration, who.tokens.refresh_token ?? '').catch(() => undefined);
        t.is(refreshed?.claims()?.acr ?? 'aal2', 'aal2');
        const stranger = await new Browser(server.origin).visit((await authorizationRequest(rp, { prompt: 'none' })).url);
        t.is(codeFrom(stranger, rp), undefined, 'nobody without a session');
      }
    });
  }
});
