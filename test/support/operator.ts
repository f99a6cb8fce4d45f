/** Whoever administers users' factors, on a database of a test: with everything that such operations stand on. */
import { randomBytes } from 'node:crypto';
import type { FactorOperator } from '../../src/admin/resources/factor-operator.ts';
import { createRealm, type NewRealm } from '../../src/admin/resources/realms.ts';
import { createUser } from '../../src/admin/resources/users.ts';
import { createNotices } from '../../src/delivery/notices.ts';
import { createFactors } from '../../src/factors/index.ts';
import type { Database } from '../../src/store/database.ts';
import { letterHtml } from './delivery.ts';
import { quickHasher } from './factors.ts';
import { keyringOn } from './keyring.ts';

const ORIGIN = 'https://id.example.com';

/** An operator, a realm and its user erin, at a time. */
export async function operatorScene(db: Database, start: number, settings: NewRealm['settings'] = {}) {
  const keyring = keyringOn(db);
  const notices = createNotices({ db, keyring, html: letterHtml, origin: ORIGIN, channels: () => ({ mail: true, sms: false }) });
  const at = (now: number, some: Partial<FactorOperator> = {}): FactorOperator => ({
    db,
    keyring,
    passwords: quickHasher(),
    actor: 'test',
    now,
    factors: createFactors(),
    origin: ORIGIN,
    notices,
    ...some,
  });
  const realm = await createRealm(at(start), { name: `realm-${randomBytes(4).toString('hex')}`, settings });
  const person = (username: string) => createUser(at(start), realm, { username, email: `${username}@example.com` });
  const user = await person('erin');
  const audited = async (about: string | null = user.id): Promise<string[]> =>
    db.knex('audit_events').where({ realm_id: realm.id, subject: about }).orderBy('at').pluck('type');
  const messages = async (): Promise<number> => (await db.knex('outbox').where({ realm_id: realm.id })).length;
  return { at, realm, user, person, audited, messages };
}
