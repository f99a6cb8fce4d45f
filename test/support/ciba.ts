/** A client that asks its users elsewhere (CIBA), and the browser of the person who is asked. */
import type { NewClient } from '../../src/admin/resources/clients.ts';
import type { UserRow } from '../../src/store/users.ts';
import { formsOf, type Page } from './agent.ts';
import { call, codeAt, credentialsOf, type Scene } from './attack.ts';
import type { RealmInput } from './cardea.ts';
import { mailsTo } from './recovery.ts';
import { Browser, openid, text } from './sign-in.ts';

/** A confidential client that may ask. */
export const ASKS: Partial<NewClient> = { name: 'Telephone Bank', redirectUris: [], attributes: { 'oidc.ciba.grant.enabled': 'true' } };

/** A realm whose clients may look every second. */
export const QUICK: RealmInput = { mfa: 'off', attributes: { cibaInterval: '1' } };

export const CIBA_GRANT = 'urn:openid:params:grant-type:ciba';

export type Asked = Awaited<ReturnType<typeof openid.initiateBackchannelAuthentication>>;

export const ask = ({ rp }: Pick<Scene, 'rp'>, user: Pick<UserRow, 'username'>, parameters: Record<string, string> = {}): Promise<Asked> =>
  openid.initiateBackchannelAuthentication(rp.configuration, { scope: 'openid', login_hint: user.username, ...parameters });

/** The same by hand: the status and the error count. */
export const askPlainly = (scene: Scene, fields: Record<string, string>, headers: Record<string, string> = credentialsOf(scene.rp)) =>
  call(scene.server, scene.realm, 'ext/ciba/auth', { scope: 'openid', ...fields }, headers);

/** One question of the client, through a node. */
export const poll = (scene: Scene, id: string, node = scene.server) =>
  call(node, scene.realm, 'token', { grant_type: CIBA_GRANT, auth_req_id: id }, credentialsOf(scene.rp));

/** The link of the newest mail to a user. */
export async function linkTo({ server, realm }: Pick<Scene, 'server' | 'realm'>, user: { email: string | null }): Promise<string> {
  const mails = await mailsTo(server, realm, user.email ?? '');
  const links = mails.flatMap((mail) => /https?:\S+\/device\?request=\S+/.exec(mail.text)?.[0] ?? []);
  const newest = links.at(-1);
  if (newest === undefined) throw new Error('No mail with a link was written.');
  return newest;
}

/** Opens the link and goes on: what comes is the sign-in. */
export const open = async (browser: Browser, link: string): Promise<Page> => browser.send(await browser.visit(link), { confirm: 'yes' });

export const isQuestion = (page: Page): boolean => page.status === 200 && page.html.includes('Yes, that is me');
export const isDone = (page: Page): boolean => page.status === 200 && page.html.includes('You have said yes');
export const isRefused = (page: Page): boolean => page.status === 200 && page.html.includes('You have said no');
export const isLeft = (page: Page): boolean => page.status === 200 && page.html.includes('You have not answered');
export const isOver = (page: Page): boolean => page.status === 410 && page.html.includes('This request is over');

/** From the link to the page that asks for the answer, with a code of an app when one is asked for. */
export async function arrive(
  browser: Browser,
  link: string,
  user: { username: string; password: string },
  options: { secret?: string; steps?: number } = {},
): Promise<Page> {
  let page = await open(browser, link);
  for (let pages = 0; pages < 6 && !isQuestion(page); pages += 1) {
    const names = formsOf(page).flatMap((form) => form.names);
    if (names.includes('username')) page = await browser.send(page, { username: user.username, password: user.password });
    else if (names.includes('password')) page = await browser.send(page, { password: user.password });
    else if (names.includes('code')) page = await browser.send(page, { code: codeAt(options.secret ?? '', options.steps) });
    else throw new Error(`A page that nobody expects: ${page.status} ${text(page)}`);
  }
  return page;
}

/** The whole way, to a yes or a no. */
export async function answer(
  { server, realm }: Pick<Scene, 'server' | 'realm'>,
  user: UserRow & { password: string },
  said: 'allow' | 'deny' = 'allow',
  options: { browser?: Browser; secret?: string } = {},
): Promise<Page> {
  const browser = options.browser ?? new Browser(server.origin);
  const page = await arrive(browser, await linkTo({ server, realm }, user), user, options);
  return browser.send(page, { do: said });
}
