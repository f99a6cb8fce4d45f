/** A device without a browser (RFC 8628), and the browser of the person who has it in hand. */
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { formsOf, type Page } from './agent.ts';
import { codeAt, type Scene } from './attack.ts';
import type { Browser } from './sign-in.ts';
import { openid, text } from './sign-in.ts';

/** A public client that may be on devices, and asks every second. */
export const ON_DEVICES: Partial<NewClient> = {
  name: 'Living Room TV',
  publicClient: true,
  redirectUris: [],
  attributes: { 'oauth2.device.authorization.grant.enabled': 'true', 'oauth2.device.polling.interval': '1' },
};

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

export type Waiting = Awaited<ReturnType<typeof openid.initiateDeviceAuthorization>>;

/** What a device shows: a user code, and where to enter it. */
export const ask = ({ rp }: Pick<Scene, 'rp'>, parameters: Record<string, string> = { scope: 'openid' }): Promise<Waiting> =>
  openid.initiateDeviceAuthorization(rp.configuration, parameters);

/** One question of the device. */
export async function poll(
  { server, realm, rp }: Scene,
  code: string,
  fields: Record<string, string> = {},
): Promise<{ status: number; error: unknown; body: Record<string, unknown> }> {
  const response = await fetch(`${server.origin}/realms/${realm.name}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { accept: 'application/json', ...credentials(rp.client) },
    body: new URLSearchParams({
      grant_type: DEVICE_GRANT,
      device_code: code,
      ...(rp.client.secret === null ? { client_id: rp.client.clientId } : {}),
      ...fields,
    }),
  });
  const body: Record<string, unknown> = Object(await response.json());
  return { status: response.status, error: body.error, body };
}

const credentials = ({ clientId, secret }: Scene['rp']['client']): Record<string, string> =>
  secret === null ? {} : { authorization: `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}` };

/** The person types the code: the page that comes is the one that asks whether it is theirs. */
export async function enter(browser: Browser, waiting: Waiting, typed: string = waiting.user_code): Promise<Page> {
  return browser.send(await browser.visit(waiting.verification_uri), { user_code: typed });
}

/** The person presses Continue: what comes is the sign-in, or its end. */
export const confirm = async (browser: Browser, waiting: Waiting): Promise<Page> => browser.send(await enter(browser, waiting), { confirm: 'yes' });

export const isConfirmation = (page: Page): boolean => formsOf(page).some(({ html }) => html.includes('name="confirm"'));
export const isDone = (page: Page): boolean => page.status === 200 && page.html.includes('Your device is signed in');
export const isRefused = (page: Page): boolean => page.status === 200 && page.html.includes('The device was not signed in');

/** The whole way, in one browser, with a code of an app when one is asked for; the last page. */
export async function approve(
  browser: Browser,
  waiting: Waiting,
  user: { username: string; password: string },
  options: { secret?: string; steps?: number } = {},
): Promise<Page> {
  let page = await confirm(browser, waiting);
  for (let pages = 0; pages < 6 && page.html.includes('name="version"'); pages += 1) {
    const names = formsOf(page).flatMap((form) => form.names);
    if (names.includes('password')) page = await browser.send(page, { username: user.username, password: user.password });
    else if (names.includes('code')) page = await browser.send(page, { code: codeAt(options.secret ?? '', options.steps) });
    else if (page.html.includes('value="allow"')) page = await browser.send(page, { do: 'allow' });
    else throw new Error(`A page that nobody expects: ${text(page)}`);
  }
  return page;
}
