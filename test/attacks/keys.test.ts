/** F03: the data key and the master key are replaced in the middle of sign-ins, by real processes, some of which are killed. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createClient } from '../../src/admin/resources/clients.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createUser } from '../../src/admin/resources/users.ts';
import { loadConfig } from '../../src/config.ts';
import { keyIdOf } from '../../src/crypto/seal.ts';
import { type Installation, openInstallation, operatorOf } from '../../src/installation.ts';
import { credentialSeal } from '../../src/store/credentials.ts';
import { dataKeys } from '../../src/store/data-keys.ts';
import type { DatabaseConfig } from '../../src/store/database.ts';
import { type RealmRow, realmById } from '../../src/store/realms.ts';
import { SEALED_COLUMNS } from '../../src/store/sealed-columns.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { codeAt, giveApp } from '../support/attack.ts';
import { type Balancer, startBalancer } from '../support/balancer.ts';
import { REDIRECT_URI } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Ended, runCardea, settingsFor, startCommand } from '../support/command.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { authorizationRequest, Browser, exchange, type RelyingParty, relyingParty, text } from '../support/sign-in.ts';

const newKey = (id: string): string => `${id}:${randomBytes(32).toString('base64url')}`;
const [OLD, NEW] = [newKey('k1'), newKey('k2')];
/** Enough that a rotation takes a while and is killed in the middle. */
const ROWS = 6_000;
const REALMS = 1_500;

interface User {
  id: string;
  username: string;
  password: string;
  secret: string;
}

/** An installation that was made with the old master key, and servers that have the new one too. */
interface World {
  settings: DatabaseConfig;
  installation: Installation;
  realm: RealmRow;
  users: User[];
  balancer: Balancer<{ url: string }>;
  rp: RelyingParty;
}

const cli = (world: Pick<World, 'settings'>, keys: string, ...args: string[]) =>
  startCommand(args, settingsFor(world.settings, { CARDEA_MASTER_KEY: keys }), '');
const run = (world: Pick<World, 'settings'>, keys: string, ...args: string[]): Promise<Ended> =>
  runCardea(args, settingsFor(world.settings, { CARDEA_MASTER_KEY: keys }));

async function world(engine: EngineUnderTest): Promise<World> {
  const settings = await engine.settings();
  const log = createLog({ level: 'silent', production: true });
  const installation = await openInstallation(loadConfig(settingsFor(settings, { CARDEA_MASTER_KEY: OLD })), log);
  atEnd(() => installation.close());
  const operator = operatorOf(installation, 'test', Date.now());
  const realm = await createRealm(operator, { name: `r-${randomBytes(4).toString('hex')}`, mfa: 'optional' });
  const users: User[] = [];
  for (let n = 0; n < 8; n += 1) {
    const password = `a long password ${n}`;
    const row = await createUser(operator, realm, { username: `erin-${n}`, password });
    const { secret } = await giveApp(installation, row);
    users.push({ id: row.id, username: row.username, password, secret });
  }
  await fill(installation, realm, users[0]?.id ?? '');
  const made = { settings, installation, realm, users, balancer: await startBalancer<{ url: string }>() };
  const { client, secret } = await createClient(operator, realm, { clientId: 'app', redirectUris: [REDIRECT_URI], firstParty: true });
  await startNode(made, `${NEW},${OLD}`);
  // Where the engine is made for it, each request goes to another process than the one before.
  if (engine.engine === 'postgres') await startNode(made, `${NEW},${OLD}`);
  const rp = await relyingParty(made.balancer, realm, { row: client, clientId: 'app', secret, redirectUri: REDIRECT_URI });
  return { ...made, rp };
}

/** Credentials of somebody who is not used, so that there is something to do. */
async function fill({ db, keyring }: Installation, realm: RealmRow, userId: string): Promise<void> {
  for (let done = 0; done < ROWS; done += 500) {
    const rows = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const key = { realmId: realm.id, userId, id: randomUUID() };
        const secret = await keyring.seal(credentialSeal(key), '{}');
        return { realm_id: realm.id, user_id: userId, id: key.id, factor: 'gone', label: '', secret, enabled: true, created_at: 1 };
      }),
    );
    await db.knex('credentials').insert(rows);
  }
}

/** A server behind the balancer. */
async function startNode(world: Pick<World, 'settings' | 'balancer'>, keys: string): Promise<() => Promise<void>> {
  const port = await freePort();
  const more = { CARDEA_MASTER_KEY: keys, PORT: String(port), CARDEA_ORIGIN: world.balancer.origin };
  const server = startCommand(['serve'], settingsFor(world.settings, more), '');
  const node = { url: `http://127.0.0.1:${port}` };
  for (let tries = 0; ; tries += 1) {
    if (
      await fetch(`${node.url}/health/ready`).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      break;
    if (tries > 900) throw new Error(`The server does not start: ${JSON.stringify(await Promise.race([server.ended, pause(1)]))}`);
    await pause(100);
  }
  world.balancer.nodes.push(node);
  const stop = async (): Promise<void> => {
    world.balancer.nodes.splice(world.balancer.nodes.indexOf(node), 1);
    server.process.kill('SIGTERM');
    await server.ended;
  };
  atEnd(async () => {
    server.process.kill('SIGKILL');
    await server.ended;
  });
  return stop;
}

/** A sign-in whose password was accepted; `finish` brings the code and exchanges what comes of it. */
async function underway({ balancer, rp }: World, user: User): Promise<{ finish(t: ExecutionContext, step?: number): Promise<void> }> {
  const browser = new Browser(balancer.origin);
  const request = await authorizationRequest(rp);
  const first = await browser.visit(request.url);
  const page = await browser.send(first, { username: user.username, password: user.password });
  if (!page.html.includes('name="code"')) throw new Error(`No code is asked: ${page.status} ${text(page)}`);
  return {
    async finish(t, step = 0) {
      const { tokens } = { tokens: await exchange(rp, request, await browser.send(page, { code: codeAt(user.secret, step) })) };
      t.deepEqual(tokens.claims()?.amr, ['pwd', 'otp', 'mfa']);
      t.is(tokens.claims()?.sub, user.id);
    },
  };
}

/** Until it is so, looking at short intervals: what comes about is to be caught in the middle. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries += 1) {
    if (tries > 10_000) throw new Error('It does not come to be.');
    await pause(5);
  }
}

/** Which data keys are used, by the column that uses them. */
async function keysUsed({ installation: { db }, realm }: World): Promise<Set<string>> {
  const used = new Set<string>();
  for (const { table, column, realm: owner = 'realm_id' } of SEALED_COLUMNS)
    for (const sealed of await db.knex(table).where(owner, realm.id).where(column, 'like', 'v1|%').pluck(column)) used.add(keyIdOf(sealed));
  return used;
}

const wrappedBy = async ({ installation: { db, keys } }: World): Promise<Map<string, number>> => {
  const counts = new Map<string, number>();
  for (const wrapped of await db.knex('data_keys').pluck('wrapped'))
    counts.set(keys.wrappedBy(wrapped), (counts.get(keys.wrappedBy(wrapped)) ?? 0) + 1);
  return counts;
};

forEachEngine((engine) => {
  engine.serial('F03 both keys are replaced in the middle of sign-ins and the jobs killed: nobody is turned away, and the jobs go on', async (t) => {
    t.timeout(180_000);
    const made = await world(engine);
    const { installation, realm, users } = made;
    const { knex } = installation.db;
    const [before, amid, after, masterBefore, ...others] = users;
    if (!before || !amid || !after || !masterBefore) throw new Error('There are eight users.');
    const [oldKey = ''] = (await dataKeys(knex, realm.id)).map(({ id }) => id);
    const begunBefore = await underway(made, before);

    // People sign in all the time.
    const stop = false;
    let finished = 0;
    const busy = others.map(async (user) => {
      // Every code is good once: one step forward. A step back would be two by the time that a busy machine looks at it.
      for (let step = 0; step <= 1 && !stop; step += 1) {
        await (await underway(made, user)).finish(t, step);
        finished += 1;
      }
    });

    const resealed = async () =>
      Number((await knex('credentials').where({ realm_id: realm.id }).whereNot('secret', 'like', `v1|${oldKey}|%`).count({ n: '*' }))[0]?.n);
    const first = cli(made, `${NEW},${OLD}`, 'keys', 'rotate-data', '--realm', realm.name);
    await until(async () => (await resealed()) > 200);
    first.process.kill('SIGKILL');
    t.is((await first.ended).signal, 'SIGKILL');
    const left = ROWS - (await resealed());
    t.true(left > 100, `it was killed in the middle: ${left} left`);
    const begunAmid = await underway(made, amid);
    await begunBefore.finish(t);

    const [one, two] = await Promise.all([1, 2].map(() => run(made, `${NEW},${OLD}`, 'keys', 'rotate-data', '--realm', realm.name, '--json')));
    for (const ended of [one, two]) {
      t.is(ended?.status, 0, ended?.stderr);
      t.like(JSON.parse(ended?.stdout ?? '')[0], { resumed: true, left: 0, unreadable: [], retired: [] });
    }
    await begunAmid.finish(t);
    await (await underway(made, after)).finish(t);
    await Promise.all(busy);
    t.true(finished >= others.length, `${finished} signed in meanwhile`);
    const keys = await dataKeys(knex, realm.id);
    t.is(keys.length, 2, 'no third key was made, and the old one waits');
    t.deepEqual(await keysUsed(made), new Set([keys.find(({ id }) => id !== oldKey)?.id]));
    const deleting = await run(made, `${NEW},${OLD}`, 'keys', 'rotate-data', '--realm', realm.name, '--grace', '0', '--json');
    t.true(JSON.parse(deleting.stdout)[0].retired.includes(oldKey));

    // The master key, with many realms' keys to wrap.
    const wrapped = (await knex('data_keys').where({ realm_id: realm.id }).first('wrapped')).wrapped;
    for (let n = 0; n < REALMS; n += 500) {
      const ids = Array.from({ length: 500 }, () => randomUUID());
      const row = { display_name: 'x', settings: '{}', root_secret: 'none', enabled: false, created_at: 1, updated_at: 1 };
      await knex('realms').insert(ids.map((id) => ({ ...row, id, name: id })));
      const rows = await Promise.all(ids.map(async (id) => (await installation.keyring.mint(id, 1)).row));
      await knex('data_keys').insert(rows.map((key) => ({ realm_id: key.realmId, id: key.id, wrapped: key.wrapped, created_at: 1 })));
    }
    t.regex(wrapped, /^v1\|k2\|/, 'what is made now is wrapped by the new one');
    const begunUnderOld = await underway(made, masterBefore);
    const rewrapping = cli(made, `${NEW},${OLD}`, 'keys', 'rotate-master');
    await until(async () => ((await wrappedBy(made)).get('k2') ?? 0) > 100);
    rewrapping.process.kill('SIGKILL');
    t.is((await rewrapping.ended).signal, 'SIGKILL');
    t.true(((await wrappedBy(made)).get('k1') ?? 0) > 100, 'it was killed in the middle');
    t.not((await run(made, NEW, 'realm', 'list')).status, 0, 'the old one is needed yet');
    const again = await run(made, `${NEW},${OLD}`, 'keys', 'rotate-master', '--json');
    t.like(JSON.parse(again.stdout), { key: 'k2', unreadable: {}, removable: ['k1'] });
    t.deepEqual([...(await wrappedBy(made)).keys()], ['k2']);

    // Servers that have the new one alone take over in the middle.
    const stops = made.balancer.nodes.length;
    const old = [...made.balancer.nodes];
    for (let n = 0; n < stops; n += 1) await startNode(made, NEW);
    for (const node of old) made.balancer.nodes.splice(made.balancer.nodes.indexOf(node), 1);
    await begunUnderOld.finish(t);
    t.is((await run(made, OLD, 'realm', 'list')).status, 1, 'the old one opens nothing any more');
    t.truthy(await realmById(knex, realm.id));
    const verified = await run(made, NEW, 'audit', 'verify', '--realm', realm.name, '--json');
    t.like(JSON.parse(verified.stdout)[0], { ok: true });
    t.deepEqual(await knex('audit_events').whereIn('type', ['crypto.unreadable', 'login.failed', 'flow.refused']), []);
  });
});
