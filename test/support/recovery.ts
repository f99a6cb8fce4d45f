/** A forgotten password over HTTP: asking, reading the mail, and going on in a browser. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { issuePass } from '../../src/admin/resources/enrolment-passes.ts';
import type { FactorOperator } from '../../src/admin/resources/factor-operator.ts';
import { createNotices } from '../../src/delivery/notices.ts';
import { openMessage } from '../../src/delivery/outbox.ts';
import { createFactors } from '../../src/factors/index.ts';
import { type CredentialRow, credentialSeal, insertCredential } from '../../src/store/credentials.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { UserRow } from '../../src/store/users.ts';
import { formsOf, type Page } from './agent.ts';
import type { Cardea } from './cardea.ts';
import { letterHtml } from './delivery.ts';
import { recoverySecret } from './factors.ts';
import { Browser, text } from './sign-in.ts';

export const recoveryBase = (server: Cardea, realm: RealmRow): string => `${server.origin}/realms/${realm.name}/login-actions`;

/** Every mail to an address, oldest first, as it lies in the outbox. */
export async function mailsTo(server: Cardea, realm: RealmRow, address: string): Promise<{ subject: string; text: string; html: string | null }[]> {
  const rows = await server.db.knex('outbox').where({ realm_id: realm.id, kind: 'mail' }).whereNot({ payload: '' }).orderBy('created_at');
  const messages = await Promise.all(rows.map((row) => openMessage(server.keyring, { realmId: row.realm_id, id: row.id, payload: row.payload })));
  return messages.filter(({ to }) => to === address);
}

/** The link of the newest mail that has one, once there are so many; the mail is written after the answer. */
export async function linkFor(server: Cardea, realm: RealmRow, address: string, count = 1): Promise<string> {
  for (let tries = 0; tries < 1_600; tries += 1) {
    const links = (await mailsTo(server, realm, address)).flatMap((mail) => /https?:\S+action-token\?key=\S+/.exec(mail.text)?.[0] ?? []);
    const newest = links.at(-1);
    if (newest !== undefined && links.length >= count) return newest;
    await pause(25);
  }
  throw new Error(`No link was sent to ${address}.`);
}

/** Waits until everything that follows answers is recorded: so many requests of this realm. */
export async function settled(server: Cardea, realm: RealmRow, requests: number): Promise<void> {
  for (let tries = 0; tries < 1_600; tries += 1) {
    const rows = await server.db.knex('audit_events').where({ realm_id: realm.id, type: 'recovery.requested' });
    if (rows.length >= requests) return;
    await pause(25);
  }
  throw new Error('Not every request was recorded.');
}

/** Gives a user a credential without the pages. */
export async function give(server: Cardea, user: UserRow, factor: string, secret: unknown, some: Partial<CredentialRow> = {}): Promise<string> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const sealed = await server.keyring.seal(credentialSeal(key), JSON.stringify(secret));
  const none = { counter: null, enabled: true, level: null, lookup: null, lastUsedAt: null };
  await insertCredential(server.db.knex, { ...key, ...none, factor, label: '', secret: sealed, createdAt: Date.now(), ...some });
  return key.id;
}

/** Gives a user ten recovery codes; answers them. */
export async function giveCodes(server: Cardea, user: UserRow): Promise<string[]> {
  const { secret, codes } = await recoverySecret();
  await give(server, user, 'recovery-codes', secret);
  return codes;
}

/** One person at a forgotten password. */
export class Forgetful {
  readonly server: Cardea;
  readonly realm: RealmRow;
  readonly browser: Browser;
  readonly base: string;

  constructor(server: Cardea, realm: RealmRow, browser = new Browser(server.origin)) {
    this.server = server;
    this.realm = realm;
    this.browser = browser;
    this.base = recoveryBase(server, realm);
  }

  /** Types a name; the page that says to look into the mailbox. */
  async ask(username: string, from = `${this.base}/reset-credentials`): Promise<Page> {
    return this.browser.send(await this.browser.visit(from), { username });
  }

  /** Opens a link and presses its button. */
  async follow(link: string): Promise<Page> {
    const page = await this.browser.visit(link);
    return formsOf(page).length === 0 ? page : this.browser.send(page, {});
  }

  /** All the way to the page after the link. */
  async arrive(user: { username: string; email: string | null }): Promise<Page> {
    const before = (await mailsTo(this.server, this.realm, user.email ?? '')).filter((mail) => mail.text.includes('action-token')).length;
    await this.ask(user.username);
    return this.follow(await linkFor(this.server, this.realm, user.email ?? '', before + 1));
  }

  /** Sets a password on the page that asks for it. */
  async set(page: Page, password: string, again = password): Promise<Page> {
    if (!page.html.includes('name="password-new"')) throw new Error(`No new password is asked: ${page.status} ${text(page)}`);
    return this.browser.send(page, { 'password-new': password, 'password-confirm': again });
  }
}

/** The title of a page. */
export const headingOf = (page: Page): string =>
  /<h1>([\s\S]*?)<\/h1>/
    .exec(page.html)?.[1]
    ?.replaceAll(/<[^>]+>/g, '')
    .trim() ?? '';

/** Whoever administers users' factors on this server. */
export function factorOperator(server: Cardea): FactorOperator {
  const notices = createNotices({
    ...{ db: server.db, keyring: server.keyring, html: letterHtml, origin: server.origin },
    channels: () => ({ mail: true, sms: false }),
  });
  return { ...server.operator(), factors: createFactors(), origin: server.origin, notices };
}

/** An enrolment pass, as one administrator gives it. */
export async function passFor(server: Cardea, realm: RealmRow, user: UserRow): Promise<{ code: string; id: string }> {
  const { code, pass } = await issuePass(factorOperator(server), realm, user, { reason: 'lost the phone' });
  if (code === null) throw new Error('The pass waits for its approval.');
  return { code, id: pass.id };
}
