/** The audit over REST: looked for, exported so that it can be checked without us, and checked. */
import { createHash, createHmac } from 'node:crypto';
import { record } from '../../src/audit/record.ts';
import { adminWorld, callAdmin } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { limitedClient } from '../support/keycloak.ts';

interface Exported {
  realm: string;
  id: string;
  at: string;
  type: string;
  actor: string | null;
  subject: string | null;
  client: string | null;
  transaction: string | null;
  ip: string | null;
  userAgent: string | null;
  factor: string | null;
  details: Record<string, unknown>;
  row: number | null;
  hash: string | null;
  chain: { prev: string; digests: Record<string, string | null>; personal: string[]; actorSalt: string | null; subjectSalt: string | null } | null;
}

// Written from docs/operations.md, not with the product's own functions.
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(Object.entries(value).find(([key]) => key === name)?.[1])}`).join(',')}}`;
}

function hashOf({ chain, details, ...row }: Exported): string {
  if (!chain) throw new Error('Not in the chain.');
  const open = Object.fromEntries(Object.entries(details).filter(([name]) => !chain.personal.includes(name)));
  const { actor, ip, userAgent, subject, details: personal } = chain.digests;
  const content = [row.realm, row.id, Date.parse(row.at), row.type, row.client, row.transaction, row.factor, canonical(open)];
  const parts = ['cardea-audit-1', chain.prev, ...content, actor, ip, userAgent, subject, personal];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

function digestOf(salt: string | null, column: string, value: string | null): string | null {
  if (salt === null || value === null) return null;
  return createHmac('sha256', Buffer.from(salt, 'base64url'))
    .update(JSON.stringify([column, value]))
    .digest('base64url');
}

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const call = (rest: string, token = admin.token) => callAdmin(server, 'GET', `/realms/${realm.name}/audit${rest}`, { token });
    return { server, admin, realm, call };
  };
  const linesOf = (body: unknown): Exported[] =>
    String(typeof body === 'string' ? body : JSON.stringify(body))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));

  engine.test('events are looked for by type, subject, actor, client and time, a page at a time', async (t) => {
    const { server, realm, call } = await realmOf();
    const user = await server.user(realm, { username: 'erin' });
    for (let at = 1; at <= 5; at += 1) {
      const origin = { realmId: realm.id, at: at * 1000, subject: user.id, actor: at === 5 ? user.id : null, clientId: at % 2 === 0 ? 'wiki' : null };
      await record(server.db.knex, origin, { type: 'mfa.challenge.failed', details: { factor: 'totp' } });
    }
    const times = async (query: string): Promise<number[]> => (await call(query)).body.events.map(({ at }: { at: string }) => Date.parse(at));
    t.deepEqual(await times('?type=mfa.challenge.failed'), [5000, 4000, 3000, 2000, 1000]);
    t.deepEqual(await times('?type=mfa.*&client=wiki'), [4000, 2000]);
    t.deepEqual(await times('?subject=erin&from=2000&to=1970-01-01T00:00:04Z'), [3000, 2000]);
    t.deepEqual(await times('?actor=erin'), [5000]);
    const first = await call('?type=mfa.*&max=2');
    t.deepEqual(
      first.body.events.map(({ at }: { at: string }) => Date.parse(at)),
      [5000, 4000],
    );
    t.deepEqual(await times(`?type=mfa.*&max=2&after=${first.body.next}`), [3000, 2000]);
    t.is((await call('?max=1000')).body.next, null);
    t.like(first.body.events[1], {
      type: 'mfa.challenge.failed',
      subject: user.id,
      client: 'wiki',
      factor: 'totp',
      details: { factor: 'totp' },
      row: null,
    });
    t.is((await call('?from=yesterday')).body.field, 'from');
    t.is((await call('?after=AAAA')).body.field, 'after');
  });

  engine.test('whoever manages users does not read it, and nobody reads another realm’s', async (t) => {
    const { server, realm, call } = await realmOf();
    const other = await realmOf();
    const [viewer, users] = [await limitedClient(server, realm, ['view-events']), await limitedClient(server, realm, ['manage-users'])];
    for (const rest of ['', '/export', '/verify']) {
      t.is((await call(rest, viewer.token)).status, 200, rest);
      t.is((await call(rest, users.token)).status, 403, rest);
      t.is((await other.call(rest, viewer.token)).status, 404, rest);
    }
  });

  engine.test('an export of the chain is checked without Cardea, row by row up to its end', async (t) => {
    const { server, realm, call } = await realmOf();
    for (let made = 0; made < 3; made += 1) await server.user(realm);
    const answer = await call('/export?chained=true');
    t.regex(answer.headers.get('content-type') ?? '', /^application\/x-ndjson/);
    const lines = linesOf(answer.body);
    const rows = lines.slice(0, -1);
    t.true(rows.length >= 3);
    let prev = '';
    for (const [index, row] of rows.entries()) {
      t.is(row.row, index + 1);
      t.is(row.chain?.prev, prev);
      t.is(hashOf(row), row.hash ?? '');
      t.is(digestOf(row.chain?.actorSalt ?? null, 'actor', row.actor), row.chain?.digests.actor ?? null);
      t.is(digestOf(row.chain?.subjectSalt ?? null, 'subject', row.subject), row.chain?.digests.subject ?? null);
      prev = row.hash ?? '';
    }
    t.deepEqual(Object(lines.at(-1)).end, { row: rows.length, hash: prev });
    const verdict = await call('/verify');
    t.like(verdict.body, { ok: true, rows: rows.length, end: `${rows.length}:${prev}`, breaks: [] });
    t.true((await call(`/verify?known=${verdict.body.end}`)).body.ok);
    t.is((await call('/verify?known=3')).body.field, 'known');

    await server.db.knex('audit_events').where({ realm_id: realm.id, seq: 2 }).update({ type: 'user.deleted' });
    const [, tampered] = linesOf((await call('/export?chained=true')).body);
    t.not(tampered && hashOf(tampered), tampered?.hash);
    t.like((await call('/verify')).body, { ok: false, breaks: [{ row: 2, kind: 'changed' }] });
  });

  engine.test('an export of everything is written while it is read, the oldest first', async (t) => {
    const { server, realm, call } = await realmOf();
    const user = await server.user(realm, { username: 'erin' });
    for (let at = 1; at <= 450; at += 1)
      await record(server.db.knex, { realmId: realm.id, at, subject: user.id }, { type: 'login.cancelled', details: {} });
    const rows = linesOf((await call('/export?type=login.cancelled')).body);
    t.is(rows.length, 450);
    t.deepEqual(
      rows.map(({ at }) => Date.parse(at)),
      Array.from({ length: 450 }, (_, index) => index + 1),
    );
    t.is(rows[0]?.chain, null);
    t.is((await call('/export?type=nothing')).body, '');
  });
});
