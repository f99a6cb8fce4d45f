/** A person with authenticator apps at the sign-in and at our own consoles, over HTTP and without a screen. */
import { realmSettings } from '../../src/realms/settings.ts';
import { formsOf, type Page } from './agent.ts';
import type { RealmInput } from './cardea.ts';
import { Browser, codeOf, keyOf, text } from './sign-in.ts';

const PERIOD = 30;

/** Codes two steps ahead are taken, so that a test need not wait for the clock between one code and the next. */
export const patient = (settings: RealmInput): RealmInput => ({
  totp: { ...realmSettings.parse({}).totp, window: 2 },
  ...settings,
});

/** Every code is good once: each is of a later step than the one before. */
export class App {
  readonly secret: string;
  #step = 0;

  constructor(secret: string) {
    this.secret = secret;
  }

  /** Time went by: what was a code of the future is one of the past. */
  age(minutes: number): void {
    this.#step -= (minutes * 60) / PERIOD;
  }

  code(): string {
    this.#step = Math.max(this.#step + 1, Math.floor(Date.now() / 1000 / PERIOD));
    return codeOf(this.secret, () => this.#step * PERIOD);
  }
}

/** A browser for which a name resolves that does not resolve here, as behind a proxy or outside of a container. */
export class Outside extends Browser {
  readonly #url: string;

  /** @param url where the origin really is */
  constructor(origin: string, url: string) {
    super(origin);
    this.#url = url;
  }

  override async request(url: string, init: RequestInit = {}): Promise<Page> {
    const page = await super.request(url.replace(this.origin, this.#url), init);
    return { ...page, url };
  }
}

/** One person in one browser. */
export class Person {
  readonly browser: Browser;
  readonly user: { username: string; password: string };
  /** The apps that were enrolled, oldest first. */
  readonly apps: App[];
  /** What the sign-in asked for since this was last emptied. */
  asked: string[] = [];

  constructor(origin: string, user: { username: string; password: string }, apps: App[] = [], browser = new Browser(origin)) {
    this.browser = browser;
    this.user = user;
    this.apps = apps;
  }

  /** The same person at another machine. */
  elsewhere(): Person {
    return new Person(this.browser.origin, this.user, this.apps);
  }

  async open(url: string): Promise<Page> {
    return this.through(await this.browser.visit(url));
  }

  /** Presses a button: the form that posts to an address that ends so. */
  async press(page: Page, action: string, fields: Record<string, string> = {}): Promise<Page> {
    const form = formsOf(page).find((one) => one.action.endsWith(action));
    if (!form) throw new Error(`No form to ${action} on ${page.url}: ${page.status} ${text(page)}`);
    return this.through(await this.browser.send(page, fields, form));
  }

  /** Answers whatever the sign-in asks, with the newest app, until some other page is there. */
  async through(start: Page, label = `App ${this.apps.length + 1}`): Promise<Page> {
    let page = start;
    for (let pages = 0; pages < 10 && page.status === 200 && page.url.includes('/login/'); pages += 1) {
      const form = formsOf(page)[0];
      if (!form) return page;
      // The name is shown again, but not asked, to whom it is known.
      if (form.names.includes('username') && !/name="username"[^>]* readonly/.test(form.html)) {
        this.asked.push('username');
        page = await this.browser.send(page, this.user);
      } else if (form.names.includes('password')) {
        this.asked.push('password');
        page = await this.browser.send(page, { password: this.user.password });
      } else if (form.names.includes('label')) {
        this.asked.push('enrol');
        const app = new App(keyOf(page));
        this.apps.push(app);
        page = await this.browser.send(page, { code: app.code(), label });
      } else if (form.names.includes('factor')) {
        this.asked.push('choose');
        // The one used last comes first.
        const newest = formsOf(page).find((one) => one.names.includes('credential')) ?? form;
        page = await this.browser.send(page, {}, newest);
      } else {
        this.asked.push('code');
        page = await this.browser.send(page, { code: this.apps.at(-1)?.code() ?? '' });
      }
    }
    return page;
  }
}
