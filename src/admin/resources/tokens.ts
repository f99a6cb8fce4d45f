/**
 * A realm's hardware tokens: imported from the files of their makers, given to users, taken back. A token of a user is a
 * credential of theirs like any other; what is here is where it comes from and goes back to.
 */
import { randomUUID } from 'node:crypto';
import { conflict, forbidden, notFound } from '../../errors.ts';
import { type Encoding, readCsv } from '../../factors/hotp/import/csv.ts';
import type { NewToken, TokenFile } from '../../factors/hotp/import/entry.ts';
import { readPskc } from '../../factors/hotp/import/pskc.ts';
import { nameOf } from '../../factors/names.ts';
import { deleteCredential } from '../../store/credentials.ts';
import { isUniqueViolation } from '../../store/database.ts';
import {
  deleteHardwareToken,
  type HardwareTokenRow,
  hardwareTokenBySerial,
  hardwareTokenSeal,
  insertHardwareTokens,
  knownSerials,
  listHardwareTokens,
  returnHardwareTokens,
  serialKey,
} from '../../store/hardware-tokens.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import { lockUser, type UserRow, userById, usersByUsernames } from '../../store/users.ts';
import { audit } from './context.ts';
import {
  about,
  credentialsChanged,
  type FactorOperator,
  factorsIn,
  newCredential,
  requireNotAlone,
  requirePerson,
  type ShownCredential,
  withoutSecret,
} from './factor-operator.ts';

/** A file of tokens as its maker hands it out. */
export interface TokenSource {
  format: 'csv' | 'pskc';
  bytes: Uint8Array;
  /** How a CSV file writes its secrets, where no column says it. */
  encoding?: Encoding | undefined;
}

/** What became, or would become, of one token of the file. */
export interface ReportLine {
  /** The line, or the number of the key. */
  place: number;
  serial: string | null;
  outcome: 'accepted' | 'duplicate' | 'wrong';
  /** Of one that is wrong. */
  why?: string;
  /** Whose it is to be. */
  username?: string;
}

export interface ImportReport {
  /** What `place` counts. */
  counts: TokenFile['counts'];
  lines: ReportLine[];
  accepted: number;
  duplicates: number;
  wrong: number;
  /** Whether the accepted ones were stored: not while one is wrong, and not when only asked. */
  stored: boolean;
}

/** Small enough that nobody waits for the import on SQLite, which has one writer. */
const BATCH = 100;
/** So many names are asked about in one query. */
const NAMES_A_QUERY = 500;

/** A token that may be imported, and whose it is to be. */
interface Accepted {
  token: NewToken;
  user: UserRow | undefined;
}

/**
 * Imports a file of tokens: all of it is looked at first, and nothing is stored while a line of it is wrong. Tokens that are
 * there already are passed over, so that an import that was broken off is simply done again.
 * @param options.dryRun only reports
 * @throws AppError 400 on `file` when it cannot be read as a whole, 409 when somebody imports the same tokens in this moment
 */
export async function importTokens(
  operator: FactorOperator,
  realm: RealmRow,
  source: TokenSource,
  options: { dryRun?: boolean; progress?: (done: number, all: number) => void } = {},
): Promise<ImportReport> {
  const file = source.format === 'csv' ? readCsv(source.bytes, source.encoding) : readPskc(source.bytes, operator.now);
  const { lines, accepted } = await looked(operator, realm, file);
  const count = (outcome: ReportLine['outcome']): number => lines.filter((line) => line.outcome === outcome).length;
  const report = { counts: file.counts, lines, accepted: accepted.length, duplicates: count('duplicate'), wrong: count('wrong') };
  if (report.wrong > 0 || options.dryRun === true) return { ...report, stored: false };

  for (let start = 0; start < accepted.length; start += BATCH) {
    options.progress?.(start, accepted.length);
    await storeBatch(operator, realm, source.format, accepted.slice(start, start + BATCH));
  }
  options.progress?.(accepted.length, accepted.length);
  return { ...report, stored: true };
}

async function looked(
  operator: FactorOperator,
  realm: RealmRow,
  { entries, counts }: TokenFile,
): Promise<{ lines: ReportLine[]; accepted: Accepted[] }> {
  const { knex } = operator.db;
  const tokens = entries.flatMap((entry) => ('token' in entry ? [entry.token] : []));
  const known = new Set<string>();
  for (const part of inParts(tokens))
    for (const serial of await knownSerials(
      knex,
      realm.id,
      part.map(({ serial }) => serial),
    ))
      known.add(serial);
  const users = new Map<string, UserRow>();
  for (const part of inParts([...new Set(tokens.flatMap(({ username }) => username ?? []))]))
    for (const [name, user] of await usersByUsernames(knex, realm.id, part)) users.set(name, user);

  const seen = new Map<string, number>();
  const accepted: Accepted[] = [];
  const lines = entries.map((entry): ReportLine => {
    const { place, serial } = entry;
    if ('problem' in entry) return { place, serial, outcome: 'wrong', why: entry.problem };
    const { token } = entry;
    const key = serialKey(token.serial);
    const before = seen.get(key);
    if (before !== undefined) return { place, serial, outcome: 'wrong', why: `its serial number is that of ${counts} ${before}` };
    seen.set(key, place);
    if (known.has(key)) return { place, serial, outcome: 'duplicate' };
    const user = token.username === null ? undefined : users.get(token.username);
    const problem = token.username === null ? undefined : problemOf(operator, realm, token, user);
    if (problem !== undefined) return { place, serial, outcome: 'wrong', why: problem };
    accepted.push({ token, user });
    return { place, serial, outcome: 'accepted', ...(user ? { username: user.username } : {}) };
  });
  return { lines, accepted };
}

function problemOf(operator: FactorOperator, realm: RealmRow, token: NewToken, user: UserRow | undefined): string | undefined {
  if (user === undefined) return 'there is no user of that name';
  if (user.serviceAccountOf !== null) return 'the user is a service account, which never signs in';
  return factorsIn(operator, realm).has(token.factor) ? undefined : `the realm does not use ${token.factor}`;
}

function* inParts<T>(all: readonly T[]): Generator<T[]> {
  for (let start = 0; start < all.length; start += NAMES_A_QUERY) yield all.slice(start, start + NAMES_A_QUERY);
}

async function storeBatch(operator: FactorOperator, realm: RealmRow, format: TokenSource['format'], batch: readonly Accepted[]): Promise<void> {
  const { db, keyring, now } = operator;
  // Sealed, and known whom to tell, before the transaction opens: inside of it nothing else is waited for.
  const made = await Promise.all(
    batch.map(async ({ token, user }) => {
      const { username: _given, secret, ...same } = token;
      const key = { realmId: realm.id, id: randomUUID() };
      const sealed = await keyring.seal(hardwareTokenSeal(key), secret);
      const row: HardwareTokenRow = { ...same, ...key, secret: sealed, credentialId: null, userId: null, assignedAt: null, importedAt: now };
      return { row, give: user === undefined ? undefined : await giving(operator, realm, user, row, secret) };
    }),
  );
  try {
    await db.transaction(async (trx) => {
      await insertHardwareTokens(
        trx,
        made.map(({ row }) => row),
      );
      await audit(operator, { realmId: realm.id }, { type: 'mfa.token.imported', details: { tokens: made.length, format } }, trx);
      for (const { give } of made) await give?.store(trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('Somebody else is importing the same tokens in this moment. Wait for it, and do it again.', 'file');
    throw error;
  }
}

/** A token as the credential of a user that it is about to be. */
async function giving(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
  token: HardwareTokenRow,
  key: string,
): Promise<{ credential: ShownCredential; store: (trx: Queries) => Promise<void> }> {
  await requireNotAlone(operator, realm, user, 'gives');
  requirePerson(user);
  const factor = factorsIn(operator, realm).get(token.factor);
  if (!factor) throw forbidden(`Realm "${realm.name}" does not use ${token.factor}.`);
  const { id, digits, algorithm, period, counter } = token;
  const secret = factor.parseSecret({ secret: key, digits, algorithm, ...(token.factor === 'totp' ? { period } : {}) });
  const { row, store } = await newCredential(operator, user, factor, { secret, counter, label: labelOf(token), takes: id });
  return {
    credential: withoutSecret(row),
    store: async (trx) => {
      await store(trx);
      await audit(operator, about(user), { type: 'mfa.token.assigned', details: { token: id, credential: row.id } }, trx);
    },
  };
}

const labelOf = ({ model, serial }: HardwareTokenRow): string => [model, serial].filter(Boolean).join(' ').slice(0, 60);

/**
 * Gives a token in stock to a user, and tells them.
 * @throws AppError 404 for a serial number that is not in the realm, 409 for a token that is somebody's
 */
export async function assignToken(operator: FactorOperator, realm: RealmRow, serial: string, user: UserRow): Promise<ShownCredential> {
  const token = await requireToken(operator, realm, serial);
  if (token.credentialId !== null) throw conflict(`The token ${token.serial} is ${await ownerOf(operator, token)} already.`, 'serial');
  const { credential, store } = await giving(operator, realm, user, token, await operator.keyring.openText(hardwareTokenSeal(token), token.secret));
  await operator.db.transaction(store);
  return credential;
}

/**
 * Takes a token back into stock, and tells whose it was.
 * @returns whose it was; undefined when that user is gone
 * @throws AppError 404 for a serial number that is not in the realm, 409 for a token that is in stock
 */
export async function unassignToken(operator: FactorOperator, realm: RealmRow, serial: string): Promise<UserRow | undefined> {
  const { db, notices, now } = operator;
  const token = await requireToken(operator, realm, serial);
  const { credentialId, userId, factor: id } = token;
  if (credentialId === null) throw conflict(`The token ${token.serial} is nobody's.`, 'serial');
  const user = userId === null ? undefined : await userById(db.knex, realm.id, userId);
  if (user) await requireNotAlone(operator, realm, user, 'takes');
  const factor = factorsIn(operator, realm).get(id);
  const tell = user && (await notices.tell(user, { kind: 'methodRemoved', method: factor ? nameOf(factor) : id, label: labelOf(token) }, now));
  await db.transaction(async (trx) => {
    if (user) await lockUser(trx, realm.id, user.id);
    const removed = user !== undefined && (await deleteCredential(trx, realm.id, user.id, credentialId));
    // Of a user who is gone the credential went with them.
    if (!removed) await returnHardwareTokens(trx, realm.id, { credentialId });
    const whose = user ? about(user) : { realmId: realm.id };
    if (removed) await audit(operator, whose, { type: 'mfa.factor.removed', details: { factor: id, credential: credentialId } }, trx);
    await audit(operator, whose, { type: 'mfa.token.returned', details: { token: token.id, credential: credentialId } }, trx);
    if (user) await credentialsChanged(operator, user, trx);
    await tell?.(trx);
  });
  return user;
}

/**
 * Removes a token from stock: it is lost or broken.
 * @throws AppError 404 for a serial number that is not in the realm, 409 for a token that is somebody's
 */
export async function removeToken(operator: FactorOperator, realm: RealmRow, serial: string): Promise<HardwareTokenRow> {
  const token = await requireToken(operator, realm, serial);
  const removed = await operator.db.transaction(async (trx) => {
    if (!(await deleteHardwareToken(trx, token))) return false;
    await audit(operator, { realmId: realm.id }, { type: 'mfa.token.removed', details: { token: token.id } }, trx);
    return true;
  });
  if (!removed) throw conflict(`The token ${token.serial} is ${await ownerOf(operator, token)}. Take it back first.`, 'serial');
  return token;
}

export type ListedToken = Omit<HardwareTokenRow, 'secret'> & { username: string | null };

/** Every token of a realm by serial number, page by page, without its key. */
export async function* allTokens(operator: FactorOperator, realm: RealmRow, only?: 'assigned' | 'in-stock'): AsyncGenerator<ListedToken> {
  const limit = 500;
  for (let after: string | undefined; ; ) {
    const page = await listHardwareTokens(operator.db.knex, realm.id, { after, limit, only });
    for (const { secret: _sealed, ...shown } of page) yield shown;
    if (page.length < limit) return;
    after = page.at(-1)?.serial;
  }
}

async function requireToken({ db }: FactorOperator, realm: RealmRow, serial: string): Promise<HardwareTokenRow> {
  const token = await hardwareTokenBySerial(db.knex, realm.id, serial);
  if (!token) throw notFound(`There is no token with the serial number "${serial}" in realm "${realm.name}".`);
  return token;
}

async function ownerOf({ db }: FactorOperator, { realmId, userId }: HardwareTokenRow): Promise<string> {
  const user = userId === null ? undefined : await userById(db.knex, realmId, userId);
  return user ? `${user.username}'s` : "somebody's";
}
