/**
 * Users in great numbers, from a file: in batches, each of one transaction, and whatever is wrong with one of them stops
 * nobody else. Run again it makes nobody twice: who is there is passed over, or with `update` changed to what the file says.
 */
import { AppError, badInput } from '../../errors.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { insertMember } from '../../store/groups.ts';
import type { RealmRow } from '../../store/realms.ts';
import { assignRole } from '../../store/roles.ts';
import { normalise, type Transaction } from '../../store/rows.ts';
import { type UserRow, usersByUsernames } from '../../store/users.ts';
import { audit, type Operator, placeOf } from './context.ts';
import { type ImportEntry, type ImportedUser, importedUser } from './import-entry.ts';
import { importedCredential } from './imported-credentials.ts';
import { requireRole } from './roles.ts';
import { changeUserWithin, detailsOfUsers, type UserDetails } from './user-changes.ts';
import { checkPassword, prepareUser, takenBy, type UserLookUp, userLookUp } from './users.ts';

export interface ImportOutcome {
  at: string;
  username: string | null;
  result: 'created' | 'changed' | 'skipped' | 'failed';
  field?: string;
  reason?: string;
}

export interface ImportOptions {
  /** Change who is there already. */
  update: boolean;
  /** Do all of it and keep nothing. */
  dryRun: boolean;
}

const BATCH = 100;

/** Imports users and says what became of each, batch by batch. */
export async function* importUsers(
  operator: Operator,
  realm: RealmRow,
  entries: AsyncIterable<ImportEntry>,
  options: ImportOptions,
): AsyncGenerator<ImportOutcome[]> {
  const importer = new Importer(operator, realm, options);
  let batch: ImportEntry[] = [];
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length < BATCH) continue;
    yield await importer.run(batch);
    batch = [];
  }
  if (batch.length > 0) yield await importer.run(batch);
}

/** What is to be done about one user; it may be done again where a batch is undone. */
interface Plan {
  at: string;
  user: Pick<UserRow, 'username' | 'email'>;
  isNew: boolean;
  run(trx: Transaction): Promise<'created' | 'changed' | 'skipped'>;
}

/** Ends a transaction that was only tried. */
class Undone extends Error {
  readonly outcomes: ImportOutcome[];

  constructor(outcomes: ImportOutcome[]) {
    super('This was a dry run.');
    this.outcomes = outcomes;
  }
}

class Importer {
  readonly #operator: Operator;
  readonly #realm: RealmRow;
  readonly #options: ImportOptions;
  readonly #lookUp: UserLookUp;
  readonly #clientRole: (client: string, name: string) => Promise<string>;
  /** Where names and addresses of the file stood first. */
  readonly #seen = new Map<string, string>();

  constructor(operator: Operator, realm: RealmRow, options: ImportOptions) {
    this.#operator = operator;
    this.#realm = realm;
    this.#options = options;
    const lookUp = userLookUp(operator, realm);
    this.#lookUp = { realmRole: remembered(lookUp.realmRole), group: remembered(lookUp.group) };
    const byKey = remembered((key: string) => {
      const [client = '', name = ''] = key.split('\0');
      return requireRole(operator, realm, { client, name }).then(({ id }) => id);
    });
    this.#clientRole = (client, name) => byKey(`${client}\0${name}`);
  }

  async run(entries: readonly ImportEntry[]): Promise<ImportOutcome[]> {
    const { db } = this.#operator;
    const read = entries.map((entry) => ({ entry, asked: this.#read(entry) }));
    const names = read.flatMap(({ asked }) => ('user' in asked ? [asked.user.username] : []));
    const there = await usersByUsernames(db.knex, this.#realm.id, names);
    const details = this.#options.update ? await detailsOfUsers(this.#operator, this.#realm, [...there.values()]) : undefined;
    const outcomes = new Map<string, ImportOutcome>();
    const plans: Plan[] = [];
    for (const { entry, asked } of read) {
      const planned = 'user' in asked ? await this.#planned(entry.at, asked.user, there.get(asked.user.username), details) : asked;
      if ('run' in planned) plans.push(planned);
      else outcomes.set(entry.at, planned);
    }
    for (const outcome of await this.#carriedOut(plans)) outcomes.set(outcome.at, outcome);
    return entries.flatMap(({ at }) => outcomes.get(at) ?? []);
  }

  #read({ at, user, wrong, passed }: ImportEntry): { user: ImportedUser } | ImportOutcome {
    const named = typeof user === 'object' && user !== null && 'username' in user ? user.username : undefined;
    const username = typeof named === 'string' ? named : null;
    if (passed !== undefined) return { at, username, result: 'skipped', reason: passed };
    if (wrong) return { at, username, result: 'failed', ...wrong };
    const result = importedUser.safeParse(user);
    if (!result.success) {
      const [issue] = result.error.issues;
      return { at, username, result: 'failed', field: issue ? placeOf(issue) : '', reason: issue?.message ?? 'is not valid' };
    }
    const { data } = result;
    for (const [field, value] of [
      ['username', data.username],
      ['email', data.email],
    ] as const) {
      if (value === undefined) continue;
      const key = `${field} ${normalise(value)}`;
      const first = this.#seen.get(key);
      if (first !== undefined) return { at, username, result: 'failed', field, reason: `stands at ${first} already` };
      this.#seen.set(key, at);
    }
    return { user: data };
  }

  async #planned(
    at: string,
    asked: ImportedUser,
    there: UserRow | undefined,
    details: ((user: UserRow) => UserDetails) | undefined,
  ): Promise<Plan | ImportOutcome> {
    const { username } = asked;
    if (there && !details) return { at, username, result: 'skipped', reason: 'is there already' };
    try {
      const user = { username, email: asked.email ?? null };
      const plan = there && details ? await this.#change(there, details(there), asked) : await this.#creation(asked);
      return { at, user, isNew: there === undefined, run: plan };
    } catch (error) {
      return failed(at, username, error);
    }
  }

  async #creation(asked: ImportedUser): Promise<Plan['run']> {
    const { password, temporary, requiredActions, clientRoles, firstName, lastName, credentials, ...rest } = asked;
    // A dry run needs no hash, which is what takes the time.
    if (password !== undefined) checkPassword(this.#realm, password);
    const roles = await this.#clientRoles(clientRoles);
    const { user, store } = await prepareUser(
      this.#operator,
      this.#realm,
      {
        ...rest,
        firstName: firstName || undefined,
        lastName: lastName || undefined,
        requiredActions: temporary && password !== undefined ? [...new Set([...requiredActions, 'UPDATE_PASSWORD' as const])] : requiredActions,
        password: this.#options.dryRun ? undefined : password,
      },
      this.#lookUp,
      credentials.map((one, index) => importedCredential(one, `credentials.${index}`)),
    );
    return async (trx) => {
      await store(trx);
      for (const { id } of roles) await assignRole(trx, this.#realm.id, user.id, id);
      return 'created';
    };
  }

  async #change(user: UserRow, { attributes }: UserDetails, asked: ImportedUser): Promise<Plan['run']> {
    if (user.serviceAccountOf !== null) throw badInput('username', 'is the service account of a client');
    const [operator, realm] = [this.#operator, this.#realm];
    const { email, emailVerified, firstName, lastName, enabled } = asked;
    const groups = await Promise.all(asked.groups.map(async (path) => ({ path, ...(await this.#lookUp.group(path)) })));
    const roles = [
      ...(await Promise.all(asked.realmRoles.map(async (name) => ({ name, client: null, id: await this.#lookUp.realmRole(name) })))),
      ...(await this.#clientRoles(asked.clientRoles)),
    ];
    const changes = {
      ...(email === undefined ? {} : { email }),
      ...(emailVerified === undefined ? {} : { emailVerified }),
      ...(firstName === undefined ? {} : { firstName: firstName || null }),
      ...(lastName === undefined ? {} : { lastName: lastName || null }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(asked.attributes === undefined || same(asked.attributes, attributes) ? {} : { attributes: asked.attributes }),
    };
    return async (trx) => {
      const about = { realmId: realm.id, subject: user.id };
      let changed = (await changeUserWithin(trx, operator, realm, user.id, changes)).fields.length > 0;
      for (const { id, path } of groups) {
        if (!(await insertMember(trx, realm.id, id, user.id))) continue;
        changed = true;
        await audit(operator, about, { type: 'group.member-added', details: { path } }, trx);
      }
      for (const { id, name, client } of roles) {
        if (!(await assignRole(trx, realm.id, user.id, id))) continue;
        changed = true;
        await audit(operator, about, { type: 'user.role-added', details: { role: name, client } }, trx);
      }
      return changed ? 'changed' : 'skipped';
    };
  }

  #clientRoles(asked: Readonly<Record<string, readonly string[]>>): Promise<{ name: string; client: string; id: string }[]> {
    const named = Object.entries(asked).flatMap(([client, names]) => names.map((name) => ({ client, name })));
    return Promise.all(named.map(async ({ client, name }) => ({ client, name, id: await this.#clientRole(client, name) })));
  }

  /** All of them in one transaction; where one of them fails, each in its own. */
  async #carriedOut(plans: readonly Plan[]): Promise<ImportOutcome[]> {
    if (plans.length === 0) return [];
    try {
      return await this.#inOne(plans);
    } catch (error) {
      if (!(error instanceof AppError) && !isUniqueViolation(error)) throw error;
    }
    const outcomes: ImportOutcome[] = [];
    for (const plan of plans) {
      try {
        outcomes.push(...(await this.#inOne([plan])));
      } catch (error) {
        const { user, at, isNew } = plan;
        // Of somebody who is there only the address can be another's.
        const wanted = isNew ? user : { ...user, username: '' };
        const taken = isUniqueViolation(error) ? await takenBy(this.#operator, this.#realm, wanted) : error;
        outcomes.push(failed(at, user.username, taken));
      }
    }
    return outcomes;
  }

  async #inOne(plans: readonly Plan[]): Promise<ImportOutcome[]> {
    try {
      return await this.#operator.db.transaction(async (trx) => {
        const outcomes: ImportOutcome[] = [];
        for (const { at, user, run } of plans) outcomes.push({ at, username: user.username, result: await run(trx) });
        if (this.#options.dryRun) throw new Undone(outcomes);
        return outcomes;
      });
    } catch (error) {
      if (error instanceof Undone) return error.outcomes;
      throw error;
    }
  }
}

/** @throws what is no refusal */
function failed(at: string, username: string, error: unknown): ImportOutcome {
  if (!(error instanceof AppError)) throw error;
  return { at, username, result: 'failed', ...(error.field === undefined ? {} : { field: error.field }), reason: error.message };
}

/** Asked once for each key. */
function remembered<T>(find: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const found = new Map<string, Promise<T>>();
  return (key) => {
    const known = found.get(key) ?? find(key);
    found.set(key, known);
    return known;
  };
}

const inOrder = (attributes: Readonly<Record<string, readonly string[]>>): string =>
  JSON.stringify(
    Object.entries(attributes)
      .filter(([, values]) => values.length > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
const same = (a: Readonly<Record<string, readonly string[]>>, b: Readonly<Record<string, readonly string[]>>): boolean => inOrder(a) === inOrder(b);
