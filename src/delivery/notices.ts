/** What a person is told without having asked: that how they sign in has changed. */
import type { Keyring } from '../crypto/keyring.ts';
import { AppError } from '../errors.ts';
import { consolePath } from '../realms/consoles.ts';
import type { Database } from '../store/database.ts';
import { type RealmRow, realmById } from '../store/realms.ts';
import type { Queries } from '../store/rows.ts';
import type { UserRow } from '../store/users.ts';
import { oneLine } from './channel.ts';
import { enqueueMail } from './outbox.ts';

export interface NoticeDeps {
  db: Database;
  keyring: Keyring;
  /** Where the account console is. */
  origin: string;
  /** False where nothing would ever take a message out of the outbox again. */
  deliverable: boolean;
}

/** Runs in the transaction of the change that it tells about. */
export type Tell = (trx: Queries) => Promise<void>;

export interface Notices {
  tellOfNewFactor(user: UserRow, factorName: string, now: number): Promise<Tell>;
  tellOfRemovedFactor(user: UserRow, method: { name: string; label: string }, now: number): Promise<Tell>;
}

const nobodyIsTold: Tell = async () => undefined;

export function createNotices(deps: NoticeDeps): Notices {
  const tell = async (user: UserRow, write: (realm: RealmRow) => { subject: string; text: string }, now: number): Promise<Tell> => {
    if (!deps.deliverable || user.email === null) return nobodyIsTold;
    const realm = await realmById(deps.db.knex, user.realmId);
    if (!realm) return nobodyIsTold;
    try {
      return await enqueueMail(deps.keyring, { realmId: realm.id, to: user.email, ...write(realm) }, now);
    } catch (error) {
      // An address that no mail can be sent to, such as an imported one, is no reason to keep anybody from a sign-in method.
      if (error instanceof AppError && error.code === 'bad_input') return nobodyIsTold;
      throw error;
    }
  };
  const account = (realm: RealmRow): string => `${deps.origin}${consolePath('account', realm.name)}`;

  return {
    tellOfNewFactor: (user, factorName, now) =>
      tell(
        user,
        (realm) => ({
          subject: 'A sign-in method was added to your account',
          text: letter(user, realm, [
            `A sign-in method was added to your account at ${oneLine(realm.displayName)}.`,
            facts({ What: factorName, When: moment(now), Account: user.username }),
            'If this was you, there is nothing to do.',
            `If it was not you, somebody knows how you sign in. Remove the new method at once, on this page:\n${account(realm)}`,
            'Then ask your administrator to give you a new password.',
          ]),
        }),
        now,
      ),
    tellOfRemovedFactor: (user, method, now) =>
      tell(
        user,
        (realm) => ({
          subject: 'A sign-in method was removed from your account',
          text: letter(user, realm, [
            `A sign-in method was removed from your account at ${oneLine(realm.displayName)}.`,
            facts({ What: method.label ? `${method.name}, “${method.label}”` : method.name, When: moment(now), Account: user.username }),
            'If this was you, there is nothing to do but to delete its entry from the app.',
            `If it was not you, look at your sign-in methods at once, on this page:\n${account(realm)}`,
            'Then ask your administrator to give you a new password.',
          ]),
        }),
        now,
      ),
  };
}

const letter = (user: UserRow, realm: RealmRow, paragraphs: string[]): string =>
  [`Hello ${oneLine(user.firstName ?? user.username)},`, ...paragraphs, oneLine(realm.displayName)].join('\n\n');

/** One line each; a name that somebody typed cannot begin another. */
const facts = (lines: Record<string, string>): string =>
  Object.entries(lines)
    .map(([name, value]) => `${name}: ${oneLine(value)}`)
    .join('\n');

const momentFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'short', timeZone: 'UTC' });
const moment = (at: number): string => `${momentFormat.format(at)} UTC`;
