/** Attackers by where they come from: addresses as a proxy vouches for them, and browsers that a user has signed in with. */
import { type RealmSettings, realmSettings } from '../../src/realms/settings.ts';
import type { Page } from './agent.ts';
import { afterPassword, begin, codeFrom, type Scene, type TestUser } from './attack.ts';
import { Browser, text } from './sign-in.ts';

/** In seconds: nothing leaks out while a busy machine is at it. */
export const DAY = 86_400;

export type Throttling = RealmSettings['throttling'];
export const throttling = (input: object): Throttling => realmSettings.parse({ throttling: input }).throttling;

let addresses = 0;
/** An address that nobody else in this file has. */
export const someAddress = (): string => {
  addresses += 1;
  return `198.18.${Math.floor(addresses / 250)}.${(addresses % 250) + 1}`;
};

/** A browser at that address, as the proxy in front of us says. */
export const at = (stage: Scene, ip: string): Browser => new Browser(stage.server.origin, { 'x-forwarded-for': ip });

/** One guess at the first page. */
export async function guess(stage: Scene, ip: string, username: string, password: string): Promise<Page> {
  const { browser, page } = await begin(stage, { browser: at(stage, ip) });
  return browser.send(page, { username, password });
}

/** Somebody who signed in once with this browser. */
export async function known(stage: Scene, user: TestUser, browser: Browser): Promise<void> {
  const { page } = await afterPassword(stage, user, { browser });
  if (!codeFrom(page, stage.rp)) throw new Error(`Not signed in: ${text(page)}`);
}

/** Signs the browser out of everything, but for what makes it known. */
export function forgetSession(browser: Browser, origin: string): Browser {
  const fresh = new Browser(origin, {});
  fresh.plant(browser.jar.filter(({ name }) => name.includes('cardea_device') || name.includes('cardea_trust')));
  return fresh;
}
