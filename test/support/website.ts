/** Websites of others for a test: each listens on this machine, on another site than Cardea, and a visitor goes from one to the other. */
import { createServer, type RequestListener } from 'node:http';
import { Agent, formsOf, type Page } from './agent.ts';
import { atEnd } from './cleanup.ts';
import { freePort } from './ports.ts';
import { codeOf, keyOf, text } from './sign-in.ts';

/** Starts a website; it is closed after the last test of the file. */
export async function startWebsite(createApp: (baseUrl: string) => RequestListener | Promise<RequestListener>): Promise<string> {
  const port = await freePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const server = createServer(await createApp(baseUrl));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return baseUrl;
}

/** Somebody with a browser, a password and, once there is one, an authenticator app. */
export class Visitor extends Agent {
  readonly #user: { username: string; password: string };
  #app: string | undefined;

  constructor(user: { username: string; password: string }) {
    super();
    this.#user = user;
  }

  /** Opens a page and does what is asked on the way there. */
  async open(url: string): Promise<Page> {
    return this.answer(await this.get(url));
  }

  /** Fills in every page of a sign-in, setting up an app where one is due and declining what is only offered. */
  async answer(first: Page): Promise<Page> {
    let page = first;
    for (let pages = 0; pages < 10; pages += 1) {
      const form = formsOf(page)[0];
      if (!form || page.status !== 200) return page;
      const fields = this.#fieldsFor(page, form.names);
      if (!fields) return page;
      page = await this.submit(page, form, fields);
    }
    throw new Error(`A sign-in without an end: ${page.url} ${text(page)}`);
  }

  #fieldsFor(page: Page, names: readonly string[]): Record<string, string> | undefined {
    if (names.includes('username')) return { ...this.#user };
    if (names.includes('password')) return { password: this.#user.password };
    if (page.html.includes('value="accept"')) return { do: 'skip' };
    if (names.includes('factor')) return { factor: 'totp' };
    if (names.includes('label')) {
      this.#app = keyOf(page);
      return { code: codeOf(this.#app) };
    }
    if (names.includes('code') && this.#app) return { code: codeOf(this.#app) };
    if (page.html.includes('value="allow"')) return { do: 'allow' };
    return undefined;
  }
}
