/** The metrics of a running server: who may read them, what they say after sign-ins, and what they never say. */
import { createConnection } from 'node:net';
import type { ExecutionContext } from 'ava';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine, onSqlite } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { authorizationRequest, Browser, relyingParty, signIn } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

const TOKEN = 'a-token-for-the-scraper';

/** Every sample by its name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

async function scrape(t: ExecutionContext, url: string, token = TOKEN): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  t.is(response.status, 200);
  t.regex(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  return samples(await response.text());
}

forEachEngine((engine) => {
  // One server a process: events are counted by the process.
  engine.serial('sign-ins, questions and requests are counted, without a word of who or where', async (t) => {
    const server = await startCardea(await engine.open(), { CARDEA_METRICS_TOKEN: TOKEN });
    const realm = await server.realm({ mfa: 'required' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const unprotected = await server.user(realm);
    const before = await scrape(t, server.url);

    const { totpSecret, browser } = await signIn(server, rp, user);
    const later = () => Math.floor(Date.now() / 1000) + 30;
    await signIn(server, rp, user, { totpSecret, clock: later });
    // Answered from the session, twice.
    for (let times = 0; times < 2; times += 1) await browser.visit((await authorizationRequest(rp)).url);
    const somebody = new Browser(server.origin);
    await somebody.send(await somebody.visit((await authorizationRequest(rp)).url), { username: user.username, password: 'not that one' });
    // Somebody moved a secret: an alarm, whatever becomes of the sign-in.
    await server.db.knex('credentials').where({ user_id: unprotected.id }).update({ secret: 'v1|moved' });
    const mistaken = new Browser(server.origin);
    await mistaken.send(await mistaken.visit((await authorizationRequest(rp)).url), {
      username: unprotected.username,
      password: unprotected.password,
    });

    let after = await scrape(t, server.url);
    const grew = (sample: string): number => (after.get(`cardea_${sample}`) ?? 0) - (before.get(`cardea_${sample}`) ?? 0);
    // Some is counted after the answer.
    await until(async () => {
      after = await scrape(t, server.url);
      return (
        grew('logins_total{result="sso",acr="aal2"}') >= 2 &&
        grew('http_request_duration_seconds_count{route="token",method="POST",status="2xx"}') >= 2
      );
    });
    t.is(grew('logins_total{result="ok",acr="aal2"}'), 2);
    t.is(grew('logins_total{result="sso",acr="aal2"}'), 2);
    t.is(grew('logins_total{result="credentials",acr="none"}'), 1);
    t.is(grew('alarms_total{what="unreadable"}'), 1);
    t.is(grew('factor_changes_total{factor="totp",change="enrolled"}'), 1);
    t.is(grew('challenges_total{factor="totp",purpose="sign-in",result="ok"}'), 1);
    t.is(grew('challenge_seconds_count{factor="totp"}'), 1);
    t.true(grew('challenge_seconds_sum{factor="totp"}') < 60);
    t.is(grew('http_request_duration_seconds_count{route="token",method="POST",status="2xx"}'), 2);
    t.true(grew('http_request_duration_seconds_count{route="sign-in",method="POST",status="3xx"}') >= 4);
    t.true(grew('password_hash_wait_seconds_count') >= 3);
    t.is(after.get('cardea_password_hashes{state="waiting"}'), 0);
    t.true((after.get('cardea_process_resident_memory_bytes') ?? 0) > 1_000_000);

    const text = [...after.keys()].join('\n');
    t.deepEqual(
      [...after.keys()].filter((name) => !name.startsWith('cardea_')),
      [],
    );
    const personal = [user.id, user.username, unprotected.username, realm.id, realm.name, rp.client.clientId, totpSecret ?? '-', '127.0.0.1'];
    t.deepEqual(
      personal.filter((word) => text.includes(word)),
      [],
    );
  });

  engine.serial('who is protected and how is counted, at most once a minute', async (t) => {
    const server = await startCardea(await engine.open(), { CARDEA_METRICS_TOKEN: TOKEN });
    const realm = await server.realm({ mfa: 'required' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const users = await Promise.all(Array.from({ length: 4 }, () => server.user(realm)));
    const [protectedUser, strong, postponing, off] = users;
    if (!protectedUser || !strong || !postponing || !off) throw new Error('There are four.');
    await signIn(server, rp, protectedUser);
    const { knex } = server.db;
    const credential = { realm_id: realm.id, label: '', secret: '', enabled: true, created_at: 1 };
    await knex('credentials').insert([
      { ...credential, id: 'a', user_id: strong.id, factor: 'passkey' },
      { ...credential, id: 'b', user_id: strong.id, factor: 'totp' },
      { ...credential, id: 'c', user_id: off.id, factor: 'totp' },
      { ...credential, id: 'd', user_id: postponing.id, factor: 'totp', enabled: false },
      { ...credential, id: 'e', user_id: postponing.id, factor: 'recovery-codes' },
    ]);
    await knex('mfa_grace').insert({ realm_id: realm.id, user_id: postponing.id, used: 1, updated_at: 1 });
    await knex('users').where({ id: off.id }).update({ enabled: false });
    await server.client(realm, { serviceAccount: true });
    const coverage = async () => {
      const all = await scrape(t, server.url);
      return Object.fromEntries(['none', 'grace', 'aal2', 'phr'].map((name) => [name, all.get(`cardea_users{coverage="${name}"}`)]));
    };
    t.deepEqual(await coverage(), { none: 0, grace: 1, aal2: 1, phr: 1 });
    await server.user(realm);
    t.deepEqual(await coverage(), { none: 0, grace: 1, aal2: 1, phr: 1 }, 'counting is expensive');
  });
});

const status = async (url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<number> =>
  (await fetch(url, { method, headers })).status;

onSqlite.serial('without a setting there are no metrics', async (t) => {
  const server = await startCardea(await onSqlite.database());
  t.is(await status(`${server.url}/metrics`), 404);
});

onSqlite.serial('behind a token nobody reads them without it', async (t) => {
  const server = await startCardea(await onSqlite.database(), { CARDEA_METRICS_TOKEN: TOKEN });
  const url = `${server.url}/metrics`;
  for (const authorization of ['', 'Bearer', 'Bearer x', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN, `Bearer ${TOKEN.toUpperCase()}`])
    t.is(await status(url, authorization === '' ? {} : { authorization }), 401, authorization);
  t.is(await status(url, { authorization: `bearer ${TOKEN}` }), 200);
  t.is(await status(url, { authorization: `Bearer ${TOKEN}` }, 'POST'), 405);
  t.is(await status(`${url}/`, { authorization: `Bearer ${TOKEN}` }), 404);
  t.false(server.log.join('\n').includes(TOKEN));
});

onSqlite.serial('at a port of their own there is nothing else, and nothing of them at the other', async (t) => {
  const port = await freePort();
  const server = await startCardea(await onSqlite.database(), { CARDEA_METRICS_PORT: String(port) });
  const url = `http://127.0.0.1:${port}`;
  t.is(await status(`${url}/metrics`), 200);
  t.is(await status(`${url}/metrics?x=1`), 200);
  t.is(await status(`${url}/metrics`, {}, 'POST'), 405);
  for (const path of ['/', '/realms/master', '/admin/', '/health/live', '/metrics/x']) t.is(await status(`${url}${path}`), 404, path);
  t.is(await status(`${server.url}/metrics`), 404);
  t.is(await status(`${server.url}/metrics`, { authorization: 'Bearer x' }), 404);
});

onSqlite.serial('both: a port of their own, and a token there', async (t) => {
  const port = await freePort();
  await startCardea(await onSqlite.database(), { CARDEA_METRICS_PORT: String(port), CARDEA_METRICS_TOKEN: TOKEN });
  t.is(await status(`http://127.0.0.1:${port}/metrics`), 401);
  t.is(await status(`http://127.0.0.1:${port}/metrics`, { authorization: `Bearer ${TOKEN}` }), 200);
});

onSqlite.serial('a port that is taken ends the start, with the setting to change', async (t) => {
  const first: Cardea = await startCardea(await onSqlite.database());
  await t.throwsAsync(startCardea(await onSqlite.database(), { CARDEA_METRICS_PORT: new URL(first.url).port }), {
    code: 'cannot_start',
    message: /CARDEA_METRICS_PORT/,
  });
});

onSqlite.serial('a request that is given up and one that is no HTTP do not stop the counting', async (t) => {
  const server = await startCardea(await onSqlite.database(), { CARDEA_METRICS_TOKEN: TOKEN });
  const { hostname, port } = new URL(server.url);
  for (const text of ['BREW /realms/x HTTP/1.1\r\nhost: x\r\n\r\n', 'nonsense\r\n\r\n', 'GET /realms/master HTTP/1.1\r\n']) {
    await new Promise<void>((resolve) => {
      const socket = createConnection({ host: hostname, port: Number(port) }, () => socket.end(text));
      socket.on('data', () => undefined).on('close', () => resolve());
    });
  }
  await t.notThrowsAsync(scrape(t, server.url));
});
