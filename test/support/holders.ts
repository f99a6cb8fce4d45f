/**
 * Somebody who holds one second factor, at the pages that ask for it or set it up, over HTTP: for tests that are the same
 * for every factor.
 */
import { randomBytes } from 'node:crypto';
import { texts } from '../../locales/en/index.ts';
import { importTokens } from '../../src/admin/resources/tokens.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { UserRow } from '../../src/store/users.ts';
import { App } from './account.ts';
import { type Form, formsOf, type Page } from './agent.ts';
import { Authenticator } from './authenticator.ts';
import type { Cardea } from './cardea.ts';
import { hotpCode, hotpSecret } from './factors.ts';
import { creationOn, keyForm, requestOn } from './passkeys.ts';
import { factorOperator, headingOf } from './recovery.ts';
import { newestCode, newNumber } from './sent-codes.ts';
import { type Browser, keyOf, text } from './sign-in.ts';

export interface Holder {
  factor: string;
  /** Sets it up, from the first page of the enrolment to whatever follows it. */
  enrol(browser: Browser, page: Page): Promise<Page>;
  /** Answers the question for it. */
  answer(browser: Browser, page: Page): Promise<Page>;
}

type Make = (at: { server: Cardea; realm: RealmRow; user: UserRow }) => Promise<Holder>;

const key =
  (factor: string): Make =>
  async ({ server }) => {
    const device = new Authenticator({ origin: server.origin });
    return {
      factor,
      enrol: (browser, page) => browser.send(page, { response: device.create(creationOn(page)) }, keyForm(page)),
      answer: (browser, page) => browser.send(page, { response: device.get(requestOn(page)) }, keyForm(page)),
    };
  };

const app: Make = async () => {
  let held: App | undefined;
  return {
    factor: 'totp',
    enrol(browser, page) {
      held = new App(keyOf(page));
      return browser.send(page, { code: held.code(), label: 'Phone' });
    },
    answer: (browser, page) => browser.send(page, { code: held?.code() ?? '' }),
  };
};

const token: Make = async ({ server, realm }) => {
  const secret = hotpSecret();
  const serial = `SN-${randomBytes(4).toString('hex')}`;
  const bytes = Buffer.from(`serial,secret,digits,algorithm\n${serial},${secret.secret},${secret.digits},${secret.algorithm}\n`);
  await importTokens(factorOperator(server), realm, { format: 'csv', bytes, encoding: 'base32' });
  let counter = 0;
  const next = (): string => {
    counter += 1;
    return hotpCode(secret, counter);
  };
  return {
    factor: 'hotp',
    enrol: (browser, page) => browser.send(page, { serial, code: next(), next_code: next() }),
    answer: (browser, page) => browser.send(page, { code: next() }),
  };
};

const mailbox: Make = async ({ server, user }) => {
  const send = async (browser: Browser, page: Page): Promise<Page> => browser.send(page, { code: await newestCode(server, user.email ?? '') });
  return { factor: 'email-otp', enrol: send, answer: send };
};

const number: Make = async ({ server }) => {
  const to = newNumber();
  const send = async (browser: Browser, page: Page): Promise<Page> => browser.send(page, { code: await newestCode(server, to) });
  return { factor: 'sms-otp', enrol: async (browser, page) => send(browser, await browser.send(page, { number: to })), answer: send };
};

const codes: Make = async () => {
  let kept: string[] = [];
  return {
    factor: 'recovery-codes',
    enrol(browser, page) {
      kept = page.html.match(/[a-z0-9]{4}(?:-[a-z0-9]{4}){3}/g) ?? [];
      return browser.send(page, { confirm: 'kept' });
    },
    answer: (browser, page) => browser.send(page, { code: kept.pop() ?? '' }),
  };
};

/** Every factor that a user can set up, but those of an installation's own. */
export const HOLDERS: Readonly<Record<string, Make>> = {
  totp: app,
  'security-key': key('security-key'),
  passkey: key('passkey'),
  hotp: token,
  'email-otp': mailbox,
  'sms-otp': number,
  'recovery-codes': codes,
};

/** The form that names a factor, on a page of choices. */
export const formFor = (page: Page, factor: string): Form | undefined => formsOf(page).find(({ fields }) => fields.factor === factor);

/** The factor that a page is about, by its heading; pages do not say it otherwise. */
const PAGES = new Map<string, { factor: string; enrols: boolean }>(
  Object.entries({
    totp: texts.factor.totp,
    hotp: texts.factor.hotp,
    'recovery-codes': texts.factor['recovery-codes'],
    'email-otp': texts.factor['email-otp'],
    'sms-otp': texts.factor['sms-otp'],
    passkey: texts.webauthn.passkey,
    'security-key': texts.webauthn.securityKey,
  }).flatMap(([factor, { enrol, challenge }]) => [
    [enrol.title, { factor, enrols: true }] as const,
    [challenge.title, { factor, enrols: false }] as const,
  ]),
);

/** A person with factors, who answers whatever the sign-in asks, with the newest of those that it offers. */
export class Keeper {
  readonly browser: Browser;
  readonly user: { username: string; password: string };
  readonly holders: Holder[];
  /** What was asked since this was last emptied: `password`, or the id of a factor, with `enrol:` before it where it was set up. */
  asked: string[] = [];

  constructor(browser: Browser, user: { username: string; password: string }, holders: Holder[] = []) {
    this.browser = browser;
    this.user = user;
    this.holders = holders;
  }

  async open(url: string): Promise<Page> {
    return this.through(await this.browser.visit(url));
  }

  /** Presses a button, and goes on from there. */
  async press(page: Page, action: string, fields: Record<string, string> = {}, setsUp?: Holder): Promise<Page> {
    const form = formsOf(page).find((one) => one.action.endsWith(action) && (fields.factor === undefined || one.fields.factor === fields.factor));
    if (!form) throw new Error(`No form to ${action} on ${page.url}: ${page.status} ${text(page)}`);
    return this.through(await this.browser.send(page, fields, form), setsUp);
  }

  /** Goes on until some page of ours that is none of the sign-in, or one that leads away. */
  async through(start: Page, setsUp?: Holder): Promise<Page> {
    let page = start;
    for (let pages = 0; pages < 12 && page.status === 200 && page.url.includes('/login/'); pages += 1) page = await this.#step(page, setsUp);
    return page;
  }

  async #step(page: Page, setsUp: Holder | undefined): Promise<Page> {
    const [form] = formsOf(page);
    if (form?.names.includes('password')) {
      this.asked.push('password');
      return this.browser.send(page, this.user);
    }
    if (page.html.includes('value="never"')) return this.browser.send(page, { do: 'skip' });
    const mine = [...(setsUp ? [setsUp] : []), ...this.holders];
    const offered = mine.find(({ factor }) => formFor(page, factor));
    if (offered) return this.browser.send(page, {}, formFor(page, offered.factor));
    const about = PAGES.get(headingOf(page));
    const holder = mine.find(({ factor }) => factor === about?.factor);
    if (!about || !holder) throw new Error(`Nothing answers ${page.url}: ${page.status} ${text(page)}`);
    this.asked.push(about.enrols ? `enrol:${about.factor}` : about.factor);
    if (!about.enrols) return holder.answer(this.browser, page);
    const next = await holder.enrol(this.browser, page);
    if (!this.holders.includes(holder)) this.holders.unshift(holder);
    return next;
  }
}
