/** Applications of the examples, made of libraries that nobody here wrote, each by itself against a real server. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createApp as createExpress } from '../../examples/express/app.ts';
import { type SignedIn, signIn } from '../../examples/native/sign-in.ts';
import { createApp as createPassport } from '../../examples/passport/app.ts';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { signUserOut } from '../../src/admin/resources/user-sessions.ts';
import { updateUser } from '../../src/store/user-changes.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { arena, type Scene } from '../support/attack.ts';
import { atEnd } from '../support/cleanup.ts';
import { forEachEngine } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { text } from '../support/sign-in.ts';
import { startWebsite, Visitor } from '../support/website.ts';

const json = (page: Page) => JSON.parse(page.html);
/** A client of an application whose address is known once it listens. */
const clientAt = (baseUrl: string): Partial<NewClient> => ({ redirectUris: [`${baseUrl}/*`], postLogoutRedirectUris: [`${baseUrl}/`] });

async function settingsFor({ server, realm }: Scene, baseUrl: string, more: Partial<NewClient> = {}) {
  const client = await server.client(realm, { ...clientAt(baseUrl), ...more });
  return { issuer: `${server.origin}/realms/${realm.name}`, clientId: client.clientId, clientSecret: client.secret ?? '', baseUrl };
}

forEachEngine((engine) => {
  const { scene } = arena(engine, { CARDEA_OUTBOUND_ALLOW: '127.0.0.1:*' });

  engine.test('express-openid-connect: pages for members, userinfo, refresh, step-up, and signing out of both', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const site = await startWebsite(async (baseUrl) => createExpress(await settingsFor(stage, baseUrl)));
    const visitor = new Visitor(user);
    t.is((await visitor.open(`${site}/`)).html, 'Welcome');

    const members = await visitor.open(`${site}/members`);
    t.is(members.status, 200, text(members));
    const { claims, userinfo } = json(members);
    t.is(claims.sub, user.id);
    t.is(claims.acr, 'aal1');
    t.like(userinfo, { sub: user.id, preferred_username: user.username, email: user.email });
    t.is((await visitor.open(`${site}/`)).html, `Welcome back, ${user.username}`);

    const refreshed = await visitor.request(`${site}/refresh`, { method: 'POST' });
    t.is(refreshed.status, 200, refreshed.html);
    t.true(json(refreshed).expires_in > 0);

    const secret = await visitor.open(`${site}/secret`);
    t.is(secret.html, 'The secret', text(secret));
    t.like(json(await visitor.open(`${site}/members`)).claims, { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });

    const out = await visitor.get(`${site}/logout`);
    t.is(out.html, 'Welcome', text(out));
    t.true(asksPassword(await visitor.get(`${site}/members`)), 'signed out at Cardea as well');
  });

  engine.test('express-openid-connect: who is signed out by an administrator is signed out of the application', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const told = Promise.withResolvers<number>();
    const site = await startWebsite(async (baseUrl) => {
      const attributes = { 'backchannel.logout.url': `${baseUrl}/backchannel-logout` };
      const app = createExpress(await settingsFor(stage, baseUrl, { attributes }));
      return (request, response) => {
        if (request.url === '/backchannel-logout') response.once('finish', () => told.resolve(response.statusCode));
        app(request, response);
      };
    });
    const visitor = new Visitor(user);
    t.is((await visitor.open(`${site}/members`)).status, 200);
    t.is((await visitor.get(`${site}/`)).html, `Welcome back, ${user.username}`);
    await signUserOut(stage.server.operator(), stage.realm, user);
    t.is(await told.promise, 204);
    t.is((await visitor.get(`${site}/`)).html, 'Welcome');
  });

  engine.test('Passport: a user, and nobody when the sign-in was called off or the answer is somebody else’s', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm, { firstName: 'Erin', lastName: 'Field' });
    const site = await startWebsite(async (baseUrl) => createPassport(await settingsFor(stage, baseUrl)));
    const visitor = new Visitor(user);
    t.is(json(await visitor.open(`${site}/`)).user, null);
    const home = await visitor.open(`${site}/login`);
    t.deepEqual(json(home).user, { id: user.id, username: user.username, name: 'Erin Field', email: user.email });

    const other = new Visitor(user);
    const refused = await other.open(`${site}/callback?error=access_denied&state=made-up`);
    t.is(refused.status, 403);
    t.is(json(await other.open(`${site}/`)).user, null);
  });

  engine.test('Auth.js: its provider for Keycloak, as it is', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const port = await freePort();
    const site = `http://127.0.0.1:${port}`;
    await startAuthJs(await settingsFor(stage, site), port);
    const visitor = new Visitor(user);
    t.is(json(await visitor.open(`${site}/`)).session, null);
    const choice = await visitor.get(`${site}/auth/signin`);
    const form = formsOf(choice).find(({ action }) => action.endsWith('/auth/signin/keycloak'));
    if (!form) return t.fail(text(choice));
    const home = await visitor.answer(await visitor.submit(choice, form));
    t.is(home.status, 200, text(home));
    const { session } = json(await visitor.open(`${site}/`));
    t.like(session, { subject: user.id, username: user.username, acr: 'aal1', user: { email: user.email } });
  });

  engine.test('oauth4webapi: a program at the command line with a pushed request and DPoP', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const client = await stage.server.client(stage.realm, { publicClient: true, redirectUris: ['http://127.0.0.1/callback'] });
    const visitor = new Visitor(user);
    let browser: Promise<Page> | undefined;
    const signedIn: SignedIn = await signIn({
      issuer: `${stage.server.origin}/realms/${stage.realm.name}`,
      clientId: client.clientId,
      open: (address) => {
        browser = visitor.open(address);
      },
    });
    t.is((await browser)?.html, 'Signed in. You can close this window.');
    t.is(signedIn.claims.sub, user.id);
    t.is(signedIn.userinfo.preferred_username, user.username);
    t.is(signedIn.tokens.token_type, 'dpop');
    const refreshed = await signedIn.refresh(signedIn.tokens.refresh_token ?? '');
    t.is(refreshed.token_type, 'dpop');
    await signedIn.revoke(refreshed.refresh_token ?? '');
    await t.throwsAsync(signedIn.refresh(refreshed.refresh_token ?? ''), { message: /server responded with an error/ });
  });

  engine.test('a user who is switched off gets nothing more by any of them', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const site = await startWebsite(async (baseUrl) => createExpress(await settingsFor(stage, baseUrl)));
    const visitor = new Visitor(user);
    t.is((await visitor.open(`${site}/members`)).status, 200);
    await updateUser(stage.server.db.knex, user, { enabled: false }, Date.now());
    t.is((await visitor.request(`${site}/refresh`, { method: 'POST' })).status, 400);
    t.true(asksPassword(await visitor.get(`${site}/login`)));
  });
});

const asksPassword = (page: Page): boolean => page.html.includes('name="password"');

/** The example as its README starts it. */
async function startAuthJs(settings: { issuer: string; clientId: string; clientSecret: string }, port: number): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../examples/authjs/app.js', import.meta.url))], {
    env: {
      ...{ PATH: process.env.PATH, AUTH_SECRET: 'a secret that is long enough for a test', PORT: String(port) },
      ...{ ISSUER: settings.issuer, CLIENT_ID: settings.clientId, CLIENT_SECRET: settings.clientSecret },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atEnd(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  });
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'close').then(() => {
      throw new Error('The example ended before it listened.');
    }),
  ]);
}
