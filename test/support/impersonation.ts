/** An administrator of a realm who may act as its users, and what their browser does. */

import type { NewClient } from '../../src/admin/resources/clients.ts';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { createFactors } from '../../src/factors/index.ts';
import type { PolicyInput } from '../../src/policy/document.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { type AdminAnswer, callAdmin } from './admin.ts';
import { formsOf, type Page } from './agent.ts';
import type { Cardea, RealmInput, TestClient } from './cardea.ts';
import { passwordGrant, textOf } from './password-grant.ts';
import { authorizationRequest, Browser, exchange, type RelyingParty, relyingParty, type Tokens } from './sign-in.ts';

type TestUser = Awaited<ReturnType<Cardea['user']>>;

export interface Stage {
  server: Cardea;
  realm: RealmRow;
  /** Has the role `impersonation`, and no other. */
  boss: TestUser;
  /** The administrator's access token for the REST API. */
  token: string;
  erin: TestUser;
  app: TestClient;
  rp: RelyingParty;
}

/** A realm whose administrators need no second factor, so that a password is enough for a token; only tests do that. */
export async function stage(
  server: Cardea,
  /** `policy` is in force once the administrator has a token. */
  options: { settings?: RealmInput; policy?: PolicyInput; client?: Partial<NewClient> } = {},
): Promise<Stage> {
  const realm = await server.realm({ mfa: 'off', ...options.settings });
  const floors = { administrator: 'aal1' } as const;
  const operator = { ...server.operator(), factors: createFactors() };
  await changePolicy(operator, realm, { floors });
  const boss = await server.user(realm);
  await giveRoles(server.operator(), realm, boss, [{ name: 'impersonation', client: 'realm-management' }]);
  const app = await server.client(realm, options.client);
  const erin = await server.user(realm);
  const token = await tokenOf(server, realm, boss);
  if (options.policy) await changePolicy(operator, realm, { floors, ...options.policy });
  return { server, realm, boss, token, erin, app, rp: await relyingParty(server, realm, app) };
}

export const tokenOf = async (server: Cardea, realm: RealmRow, user: TestUser): Promise<string> =>
  textOf(await passwordGrant(server, realm, { username: user.username, password: user.password }), 'access_token');

export const offer = ({ server, realm, token }: Pick<Stage, 'server' | 'realm' | 'token'>, user: { id: string }): Promise<AdminAnswer> =>
  callAdmin(server, 'POST', `/realms/${realm.name}/users/${user.id}/impersonation`, { token, body: {} });

/** A link to act as a user. */
export async function linkFor(on: Stage, user: { id: string } = on.erin): Promise<string> {
  const { status, body } = await offer(on, user);
  if (status !== 200 || typeof body.redirect !== 'string') throw new Error(`No link: ${status} ${JSON.stringify(body)}`);
  return body.redirect;
}

/** Opens a link and presses its button. */
export async function press(browser: Browser, link: string): Promise<Page> {
  const page = await browser.visit(link);
  return formsOf(page).length === 0 ? page : browser.send(page, {});
}

/** A browser in which the administrator acts as the user. */
export async function acting(on: Stage, user: { id: string } = on.erin): Promise<Browser> {
  const browser = new Browser(on.server.origin);
  const page = await press(browser, await linkFor(on, user));
  if (page.status !== 200) throw new Error(`It did not begin: ${page.status} ${page.html.slice(0, 300)}`);
  return browser;
}

/** Where a browser ends up that an application sends to sign in: `error` of the answer, or a page of ours. */
export async function asks(
  browser: Browser,
  rp: RelyingParty,
  parameters: Record<string, string> = {},
): Promise<{ error: string | null; page: Page }> {
  const page = await browser.visit((await authorizationRequest(rp, parameters)).url);
  const location = page.headers.get('location');
  return { error: location === null ? null : new URL(location).searchParams.get('error'), page };
}

/** Single sign-on at an application. */
export async function tokensFor(browser: Browser, rp: RelyingParty, parameters: Record<string, string> = {}): Promise<Tokens> {
  const request = await authorizationRequest(rp, parameters);
  return exchange(rp, request, await browser.visit(request.url));
}
