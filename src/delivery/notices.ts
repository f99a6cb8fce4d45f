/**
 * What people are told without having asked: that how they sign in has changed. By every way there is to them, mail and
 * text message, because whoever took over one of them must not be able to keep it quiet.
 *
 * Whom to tell is looked up before the change: when a number is replaced, it is the number from before that is written to.
 */
import { record } from '../audit/record.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { AppError } from '../errors.ts';
import { readNumber } from '../factors/sms-otp/numbers.ts';
import { parseSmsSecret, SMS_OTP } from '../factors/sms-otp/stored.ts';
import { ENGLISH, type Language, lookUp } from '../languages/languages.ts';
import { inWords, type MessageKey, say, translatorFor, type Words } from '../languages/messages.ts';
import { consolePath } from '../realms/consoles.ts';
import type { RealmSettings } from '../realms/settings.ts';
import { type CredentialRow, credentialSeal, credentialsOf } from '../store/credentials.ts';
import type { Database } from '../store/database.ts';
import { spendBudget } from '../store/delivery-counts.ts';
import { type RealmRow, realmById } from '../store/realms.ts';
import { type UserRow, userAttributes } from '../store/users.ts';
import { isMailAddress, oneLine } from './channel.ts';
import { type LetterHtml, moment, type Part, sayPlainly, write } from './letter.ts';
import { budgetOf } from './limits.ts';
import { enqueue, type Parcel, type Tell } from './outbox.ts';

export interface NoticeDeps {
  db: Database;
  keyring: Keyring;
  /** What a realm can send by. */
  channels(settings: RealmSettings): { mail: boolean; sms: boolean };
  html: LetterHtml;
  /** Where the account console is. */
  origin: string;
}

/** What there is to tell. Each kind has its words in locales/<language>/mail.json. */
export type Notice =
  | { kind: 'methodAdded' | 'methodRemoved' | 'methodChanged' | 'methodDisabled'; method: Words; label?: string }
  | { kind: 'numberChanged'; waitMs: number }
  | { kind: 'passwordChanged' | 'passwordReset' | 'emailChanged' | 'recoveryMade' | 'passIssued' | 'passUsed' }
  | { kind: 'recoveryUsed'; left: number }
  | { kind: 'newDevice'; device: string; address: string | null };

export interface Notices {
  /** Tells a user, by every way, within the transaction of what is told. */
  tell(user: UserRow, notice: Notice, now: number): Promise<Tell>;
  /** A mail of the caller's own words, to the address on file. */
  writeTo(user: UserRow, letter: { subject: Words; parts: readonly Part[]; language?: Language }, now: number): Promise<Tell>;
}

const nobodyIsTold: Tell = async () => undefined;

export function createNotices(deps: NoticeDeps): Notices {
  const tell = async (user: UserRow, notice: Notice, now: number): Promise<Tell> => {
    const realm = await realmById(deps.db.knex, user.realmId);
    if (!realm) return nobodyIsTold;
    const language = await languageOf(deps.db, user);
    const [mail, sms] = await Promise.all([mailOf(deps, realm, user, notice, language, now), smsOf(deps, realm, user, notice, language)]);
    const tellByMail = await enqueue(deps, mail, now);
    if (sms.length === 0) return tellByMail;
    const tellBySms = await enqueue(deps, sms, now);
    return async (trx) => {
      await tellByMail(trx);
      const budget = { realmId: realm.id, channel: 'sms' as const, ...budgetOf(realm.settings, 'sms') };
      if (await spendBudget(trx, budget, now)) return tellBySms(trx);
      await record(
        trx,
        { realmId: realm.id, at: now, subject: user.id },
        { type: 'delivery.budget', details: { channel: 'sms', purpose: 'notice', limit: 'realm' } },
      );
    };
  };
  return {
    tell,
    async writeTo(user, letter, now) {
      const realm = await realmById(deps.db.knex, user.realmId);
      if (!realm || !reachable(deps, realm, user)) return nobodyIsTold;
      const language = letter.language ?? (await languageOf(deps.db, user));
      return enqueue(deps, [await parcelOf(deps, realm, user, { ...letter, language })], now);
    },
  };
}

/** The user's own setting, where Keycloak has it; a page's language is not known here. */
async function languageOf(db: Database, user: UserRow): Promise<Language> {
  const { locale = [] } = Object.fromEntries(await userAttributes(db.knex, user.realmId, user.id));
  return lookUp(locale) ?? ENGLISH;
}

/** An address that no mail can be sent to, such as an imported one, is no reason to keep anybody from changing anything. */
const reachable = (deps: NoticeDeps, realm: RealmRow, user: UserRow): user is UserRow & { email: string } =>
  deps.channels(realm.settings).mail && user.email !== null && isMailAddress(user.email);

async function mailOf(deps: NoticeDeps, realm: RealmRow, user: UserRow, notice: Notice, language: Language, now: number): Promise<Parcel[]> {
  if (!reachable(deps, realm, user)) return [];
  const account = `${deps.origin}${consolePath('account', realm.name)}`;
  const key = `mail.${notice.kind}` as const;
  const parts: Part[] = [
    { kind: 'text', words: saidOf(notice, realm) },
    { kind: 'facts', facts: factsOf(notice, user, language, now) },
    { kind: 'text', words: say(notice.kind === 'methodDisabled' || notice.kind === 'passIssued' ? `mail.${notice.kind}.fine` : 'mail.fine') },
    { kind: 'link', words: say(`${key}.notYou`), href: account },
    ...(notice.kind === 'methodAdded' || notice.kind === 'methodRemoved' ? [{ kind: 'text' as const, words: say('mail.newPassword') }] : []),
  ];
  return [await parcelOf(deps, realm, user, { subject: say(`${key}.subject`), parts, language })];
}

async function parcelOf(
  { html }: NoticeDeps,
  realm: RealmRow,
  user: UserRow & { email: string },
  { subject, parts, language }: { subject: Words; parts: readonly Part[]; language: Language },
): Promise<Parcel> {
  const letter = { language, realm: realm.displayName, name: user.firstName ?? user.username, subject, parts };
  return { realmId: realm.id, userId: user.id, kind: 'mail', payload: { to: user.email, ...(await write(letter, html)) } };
}

function saidOf(notice: Notice, { displayName: realm }: RealmRow): Words {
  if (notice.kind === 'recoveryUsed') return sayPlainly('mail.recoveryUsed.said', { realm, count: notice.left });
  if (notice.kind === 'numberChanged') return sayPlainly('mail.numberChanged.said', { realm, wait: Math.ceil(notice.waitMs / 1_000) });
  return sayPlainly(`mail.${notice.kind}.said`, { realm });
}

function factsOf(notice: Notice, user: UserRow, language: Language, now: number): (readonly [Words, Words])[] {
  return [
    ...('method' in notice ? [[say('mail.fact.what'), methodOf(notice, language)] as const] : []),
    ...(notice.kind === 'newDevice' ? [[say('mail.fact.device'), notice.device] as const] : []),
    ...(notice.kind === 'newDevice' && notice.address !== null ? [[say('mail.fact.address'), notice.address] as const] : []),
    [say('mail.fact.when'), moment(now, language)],
    [say('mail.fact.account'), user.username],
  ];
}

const methodOf = ({ method, label }: { method: Words; label?: string }, language: Language): Words =>
  label ? sayPlainly('mail.methodNamed', { method: inWords(method, translatorFor(language)), label }) : method;

/** The longest name that a text message holds. */
const SMS_NAME = 40;

/** To the numbers that the user has proved, whether they may be signed in with yet or not. */
async function smsOf(deps: NoticeDeps, realm: RealmRow, user: UserRow, notice: Notice, language: Language): Promise<Parcel[]> {
  if (!deps.channels(realm.settings).sms) return [];
  const rows = await credentialsOf(deps.db.knex, realm.id, user.id);
  const numbers = (await Promise.all(rows.filter((row) => row.factor === SMS_OTP).map((row) => numberOf(deps.keyring, row)))).flat();
  const translate = translatorFor(language);
  const short = (text: string): string => [...oneLine(text)].slice(0, SMS_NAME).join('');
  const subject: MessageKey = `mail.${notice.kind}.subject`;
  const text = translate('mail.sms', { realm: short(realm.displayName), subject: translate(subject), account: short(user.username) });
  return [...new Set(numbers)]
    .filter((number) => readNumber(number, realm.settings.smsOtp.countries).ok)
    .map((to) => ({
      realmId: realm.id,
      userId: user.id,
      kind: 'sms',
      payload: { to, from: short(realm.displayName), subject: '', text, html: null },
    }));
}

/** A number that does not open is an alarm where it is signed in with; here it is one that nobody can be told by. */
async function numberOf(keyring: Keyring, row: CredentialRow): Promise<string[]> {
  try {
    return [parseSmsSecret(JSON.parse(await keyring.openText(credentialSeal(row), row.secret))).number];
  } catch (error) {
    if (error instanceof AppError && error.code === 'corrupted') return [];
    throw error;
  }
}
