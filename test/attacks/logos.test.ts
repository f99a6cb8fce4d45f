/** E09 · Logos of applications: whoever names an address has the server ask nobody but the internet, and not often. */
import { changeClient } from '../../src/admin/resources/client-changes.ts';
import { createClient } from '../../src/admin/resources/clients.ts';
import type { Operator } from '../../src/admin/resources/context.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { loadConfig } from '../../src/config.ts';
import { createGuardedClient, type Resolve } from '../../src/http/guarded-client.ts';
import { Pace } from '../../src/http/pace.ts';
import { type LogoCourierDeps, logoCourier } from '../../src/logos/courier.ts';
import { logosOf } from '../../src/logos/shown.ts';
import type { ClientRow } from '../../src/store/clients.ts';
import { forEachEngine } from '../support/databases.ts';
import { quickHasher } from '../support/factors.ts';
import { keyringOn } from '../support/keyring.ts';
import { type Answered, pictureOf, pictureServer } from '../support/logos.ts';

const MINUTE = 60_000;

forEachEngine((engine) => {
  /** A realm without a server, and workers whose clock is the test's. */
  async function scene(answers: Record<string, Answered> = {}) {
    const db = await engine.open();
    const clock = { now: Date.now() };
    const keyring = keyringOn(db);
    const pictures = await pictureServer(answers);
    const operator = (): Operator => ({ db, keyring, passwords: quickHasher(), actor: 'test', now: clock.now });
    const realmOf = (name: string) => createRealm(operator(), { name, mfa: 'off' });
    const realm = await realmOf('pictures');
    const log: string[] = [];
    const note = (details: object, message: string): void => void log.push(`${message} ${JSON.stringify(details)}`);
    const courier = (options: { allow?: string; resolve?: Resolve } & Partial<LogoCourierDeps> = {}) => {
      const { allow = `127.0.0.1:${pictures.port}`, resolve, ...deps } = options;
      const now = () => clock.now;
      const hosts = new Pace({ most: 60, withinMs: MINUTE, now });
      const fetch = createGuardedClient({ allow: loadConfig({ CARDEA_OUTBOUND_ALLOW: allow }).outboundAllow, ...(resolve ? { resolve } : {}) });
      return logoCourier({ db, fetch, mayAsk: (host) => hosts.take(host), now, log: { warn: note, error: note }, ...deps });
    };
    const client = async (logoUri: string, clientId: string, of = realm): Promise<ClientRow> =>
      (await createClient(operator(), of, { clientId, redirectUris: ['https://app.example/cb'], attributes: { logoUri } })).client;
    const row = (of: ClientRow) => db.knex('client_logos').where({ realm_id: of.realmId, id: of.id }).first();
    return { db, clock, operator, realm, realmOf, courier, client, row, log, pictures };
  }

  engine.test('E09 a logo is fetched from no address of ours, by address, by name, in disguise, or by way of another', async (t) => {
    const { courier, client, row, clock, pictures, log } = await scene();
    const inside = pictures.port;
    const outer = await pictureServer({
      '/to-us.png': { status: 302, headers: { location: `http://127.0.0.1:${inside}/secret.png` } },
      '/to-metadata.png': { status: 307, headers: { location: 'http://169.254.169.254/latest/meta-data/' } },
      '/to-file.png': { status: 301, headers: { location: 'file:///etc/passwd' } },
    });
    const names: Record<string, string> = { 'inner.example': '127.0.0.1', 'metadata.example': '169.254.169.254', 'outer.example': '127.0.0.1' };
    const resolve: Resolve = async (host) => [{ address: names[host] ?? '8.8.8.8', family: 4 }];
    const worker = courier({ allow: `outer.example:${outer.port}`, resolve });
    const addresses = [
      ...[`http://127.0.0.1:${inside}/a.png`, 'https://127.0.0.1/a.png', 'https://[::1]/a.png', 'https://169.254.169.254/a.png', 'https://10.0.0.1/'],
      ...['https://inner.example/a.png', 'https://metadata.example/a.png', 'https://2130706433/a.png', 'https://0x7f.1/a.png'],
      ...['https://user:secret@outer.example/a.png', `http://outer.example:${inside}/a.png`],
      ...['/to-us.png', '/to-metadata.png', '/to-file.png'].map((path) => `http://outer.example:${outer.port}${path}`),
    ];
    const clients = await Promise.all(addresses.map((address, index) => client(address, `app-${index}`)));
    for (let round = 0; round < 3; round += 1) {
      await worker.deliverDue();
      clock.now += MINUTE;
    }
    for (const [index, one] of clients.entries()) t.like(await row(one), { state: 'failed', picture: null, last_status: null }, addresses[index]);
    t.deepEqual([pictures.asked('/a.png'), pictures.asked('/secret.png')], [0, 0]);
    // What cannot be reached and what may not be reached look alike, to whoever reads the row.
    t.deepEqual([...new Set(await Promise.all(clients.slice(1, 5).map(async (one) => (await row(one)).last_error)))], ['cannot be reached']);
    t.false(log.some((line) => line.includes('secret@')));
  });

  engine.test('E09 two workers ask once, and a claim of one that was killed runs out', async (t) => {
    const { courier, client, row, pictures, clock, db } = await scene({ '/logo.png': { body: await pictureOf(20, 20) } });
    const one = await client(pictures.at('/logo.png'), 'wiki');
    await Promise.all([courier().deliverDue(), courier().deliverDue()]);
    t.like(await row(one), { state: 'delivered' });
    t.is(pictures.asked('/logo.png'), 1);
    await db.knex('client_logos').update({ state: 'waiting', claimed_until: clock.now + MINUTE });
    await courier().deliverDue();
    t.is(pictures.asked('/logo.png'), 1);
    clock.now += MINUTE;
    await courier().deliverDue();
    t.is(pictures.asked('/logo.png'), 2);
  });

  engine.test('E09 what was fetched for an address counts for nothing once the client names another', async (t) => {
    const { courier, client, row, pictures, operator, realm, db, clock } = await scene({ '/a.png': { body: await pictureOf(20, 20) } });
    const one = await client(pictures.at('/a.png'), 'wiki');
    const worker = courier({
      async fetch() {
        await changeClient(operator(), realm, one.id, { attributes: { logoUri: pictures.at('/b.png') } });
        return { status: 200, body: await pictureOf(20, 20) };
      },
    });
    await worker.deliverDue();
    t.like(await row(one), { state: 'waiting', picture: null, attempts: 0 });
    const now = { realmId: realm.id, id: one.id, attributes: { logoUri: pictures.at('/b.png') } };
    t.is((await logosOf(db.knex, 'pictures', [now], clock.now)).size, 0);
    // A row that another release left behind is not taken for the new address.
    await db.knex('client_logos').update({ picture: Buffer.from('x'), picture_hash: 'h', width: 1, height: 1 });
    t.is((await logosOf(db.knex, 'pictures', [{ ...now, attributes: { logoUri: pictures.at('/c.png') } }], clock.now)).size, 0);
  });

  engine.test('E09 however many clients name one host, it is asked sixty times a minute, and never twice at once', async (t) => {
    const { courier, client, clock, pictures, db } = await scene();
    for (let index = 0; index < 70; index += 1) await client(pictures.at(`/${index}.png`), `app-${index}`);
    let most = 0;
    let running = 0;
    let asked = 0;
    const worker = courier({
      async fetch() {
        asked += 1;
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return { status: 404, body: Buffer.alloc(0) };
      },
    });
    await worker.deliverDue();
    t.deepEqual([asked, most], [60, 1]);
    clock.now += MINUTE;
    await worker.deliverDue();
    t.is(asked, 70);
    t.is(await db.knex('client_logos').where({ state: 'waiting' }).first(), undefined);
  });

  engine.test('E09 a realm that names slow hosts keeps no other waiting', async (t) => {
    const { courier, client, realmOf, pictures, row } = await scene({ '/logo.png': { body: await pictureOf(20, 20) } });
    const slow = Promise.withResolvers<{ status: number; body: Buffer }>();
    for (let index = 0; index < 10; index += 1) await client(`https://slow-${index}.example/logo.png`, `slow-${index}`);
    const other = await client(pictures.at('/logo.png'), 'quick', await realmOf('others'));
    let waiting = 0;
    const worker = courier({
      async fetch(address) {
        if (address === pictures.at('/logo.png')) return { status: 200, body: await pictureOf(20, 20) };
        waiting += 1;
        return slow.promise;
      },
    });
    const done = worker.deliverDue();
    while ((await row(other)).state === 'waiting') await new Promise((resolve) => setTimeout(resolve, 20));
    t.like(await row(other), { state: 'delivered' });
    t.is(waiting, 2);
    slow.resolve({ status: 404, body: Buffer.alloc(0) });
    await done;
  });
});
