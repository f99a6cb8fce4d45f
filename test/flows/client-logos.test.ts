/** Logos of applications: fetched once, drawn anew, shown from our own origin; on both engines. */
import { changeClient, removeClient } from '../../src/admin/resources/client-changes.ts';
import { adminOf } from '../support/admin.ts';
import { type Page, unescapeHtml } from '../support/agent.ts';
import { type Cardea, REDIRECT_URI, startCardea, type TestClient } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { type Answered, pictureOf, pictureServer, settledLogo } from '../support/logos.ts';
import { authorizationRequest, Browser, relyingParty, signIn } from '../support/sign-in.ts';

const HOUR = 3_600_000;

/** The logo on a page, as its tag says it. */
function logoOn({ html }: Page): Record<string, string> | undefined {
  const [tag] = /<img class="logo"[^>]*>/.exec(html) ?? [];
  if (tag === undefined) return undefined;
  return Object.fromEntries([...tag.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescapeHtml(value)]));
}

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; answers: Record<string, Answered>; pictures: Awaited<ReturnType<typeof pictureServer>> }> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const answers: Record<string, Answered> = {};
      const pictures = await pictureServer(answers);
      return { server: await startCardea(db, { CARDEA_OUTBOUND_ALLOW: `127.0.0.1:${pictures.port}` }), answers, pictures };
    });
    return shared;
  };
  /** A realm with a client, whose logo is at a path of its own. */
  async function scene(path: string, answer: Answered | undefined, input: Parameters<Cardea['client']>[1] = {}) {
    const { server, answers, pictures } = await world();
    if (answer) answers[path] = answer;
    const realm = await server.realm({ mfa: 'off' });
    const client = await server.client(realm, { name: 'Parts', attributes: { logoUri: pictures.at(path) }, ...input });
    const rp = await relyingParty(server, realm, client);
    const browser = new Browser(server.origin);
    const begin = async (parameters: Record<string, string> = {}): Promise<Page> =>
      new Browser(server.origin).visit((await authorizationRequest(rp, parameters)).url);
    const settled = () => settledLogo(server.db, client.row.id);
    /** Time goes by for what is stored of the logo. */
    const age = (ms: number) =>
      server.db
        .knex('client_logos')
        .where({ id: client.row.id })
        .update({ finished_at: Date.now() - ms, due_at: Date.now() - ms });
    return { server, realm, client, rp, browser, begin, settled, age, answers, pictures };
  }
  const get = (server: Cardea, path: string, init: RequestInit = {}) => fetch(`${server.url}${path}`, init);

  engine.test('the logo is fetched when the client is saved, and shown at the sign-in with the name and the host beside it', async (t) => {
    const { server, begin, settled, pictures } = await scene('/one.png', { body: await pictureOf(1000, 400) });
    t.like(await settled(), { state: 'delivered', last_status: 200 });
    const page = await begin();
    const logo = logoOn(page) ?? t.fail('no logo');
    t.like(logo, { alt: 'Logo of Parts', width: '120', height: '48' });
    t.regex(String(logo.src), /^\/realms\/[^/]+\/logos\/[0-9a-f-]{36}\/[0-9a-f]{64}$/);
    t.true(page.html.includes(`>${new URL(REDIRECT_URI).host}</p>`));
    t.false(page.html.includes(`${pictures.port}`), 'nobody is sent to the application’s address');
    t.regex(page.headers.get('content-security-policy') ?? '', /img-src 'self';/);

    const answer = await get(server, String(logo.src));
    t.is(answer.status, 200);
    t.deepEqual(
      ['content-type', 'cache-control', 'x-content-type-options', 'cross-origin-resource-policy', 'set-cookie'].map((name) =>
        answer.headers.get(name),
      ),
      ['image/png', 'public, max-age=31536000, immutable', 'nosniff', 'same-origin', null],
    );
    t.regex(answer.headers.get('content-security-policy') ?? '', /default-src 'none'.*sandbox/);
    const bytes = Buffer.from(await answer.arrayBuffer());
    t.is(bytes.toString('latin1', 1, 4), 'PNG');
    const head = await get(server, String(logo.src), { method: 'HEAD' });
    t.deepEqual([head.status, head.headers.get('content-length')], [200, String(bytes.length)]);
    t.is(pictures.asked('/one.png'), 1, 'once, however many look');
  });

  engine.test('it is shown where consent is asked and in the account console, too', async (t) => {
    const { server, realm, rp, settled, begin } = await scene('/two.png', { body: await pictureOf(20, 20) }, { firstParty: false });
    await settled();
    const user = await server.user(realm);
    const browser = new Browser(server.origin);
    const first = await browser.visit((await authorizationRequest(rp)).url);
    const consent = await browser.send(first, { username: user.username, password: user.password });
    t.true(consent.html.includes('value="allow"'));
    t.like(logoOn(consent), { alt: 'Logo of Parts', width: '20' });
    t.true(consent.html.includes(`>${new URL(REDIRECT_URI).host}</p>`));
    const { browser: in_ } = await signIn(server, rp, user);
    const account = await in_.visit(`${server.origin}/realms/${realm.name}/account/applications`);
    t.like(logoOn(account), { alt: 'Logo of Parts' });
    t.like(logoOn(await begin()), { alt: 'Logo of Parts' });
  });

  engine.test('without a picture there is the name, whatever the address answers', async (t) => {
    const { server, answers, pictures } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const bodies: Record<string, Answered> = {
      '/html.png': { headers: { 'content-type': 'image/png' }, body: '<!doctype html><script>alert(1)</script>' },
      '/svg.svg': { headers: { 'content-type': 'image/svg+xml' }, body: '<svg xmlns="http://www.w3.org/2000/svg"/>' },
      '/large.png': { body: Buffer.alloc(1024 * 1024 + 1, 0x41) },
      '/away.png': { status: 302, headers: { location: 'http://localhost:1/logo.png' } },
      '/error.png': { status: 500, body: await pictureOf(10, 10) },
      '/unauthorized.png': { status: 403, body: await pictureOf(10, 10) },
    };
    Object.assign(answers, bodies);
    for (const path of [...Object.keys(bodies), '/none.png']) {
      const client = await server.client(realm, { name: 'Parts', attributes: { logoUri: pictures.at(path) } });
      t.like(await settledLogo(server.db, client.row.id), { state: 'failed', picture: null, picture_hash: null }, path);
      const page = await new Browser(server.origin).visit((await authorizationRequest(await relyingParty(server, realm, client))).url);
      t.is(page.status, 200, path);
      t.is(logoOn(page), undefined, path);
      t.true(page.html.includes('Parts'), path);
    }
    t.true(pictures.asked('/error.png') <= 2, 'and it is not asked again and again');
  });

  engine.test('another address, or none, takes the picture away at once, and comes by its own a little later', async (t) => {
    const { server, realm, client, settled, begin, answers, pictures } = await scene('/old.png', { body: await pictureOf(30, 30) });
    await settled();
    const before = logoOn(await begin());
    answers['/new.png'] = { body: await pictureOf(40, 20, 'webp', 'green') };
    const change = (logoUri: string | null) => changeClient(server.operator(), realm, client.row.id, { attributes: { logoUri } });
    await change(pictures.at('/new.png'));
    t.is(logoOn(await begin()), undefined);
    t.is((await get(server, String(before?.src))).status, 404, 'nor is the old one there for whoever remembers where it was');
    // One client is asked for once a minute.
    const row = await server.db.knex('client_logos').where({ id: client.row.id }).first();
    t.like(row, { state: 'waiting', attempts: 0 });
    t.true(row.due_at > Date.now() + 30_000);
    for (const path of ['/new.png?1', '/new.png?2', null, '/new.png?3', null, '/new.png'] as const)
      await change(path === null ? null : pictures.at(path));
    const again = await server.db.knex('client_logos').where({ id: client.row.id }).first();
    t.is(again.due_at, row.due_at, 'and whoever keeps changing it waits no longer, and has it asked for no more often');
    await server.db.knex('client_logos').where({ id: client.row.id }).update({ due_at: Date.now() });
    t.like(await settled(), { state: 'delivered' });
    t.like(logoOn(await begin()), { width: '40', height: '20' });
    t.is(pictures.asked('/new.png'), 1);

    await change(null);
    t.is(logoOn(await begin()), undefined);
    t.like(await server.db.knex('client_logos').where({ id: client.row.id }).first(), { picture: null, state: 'failed' });
    await removeClient(server.operator(), realm, client.row.id);
    t.is(await server.db.knex('client_logos').where({ id: client.row.id }).first(), undefined);
  });

  engine.test('what is a day old is fetched again when somebody looks, and the old one is shown meanwhile and while nobody answers', async (t) => {
    const { settled, begin, age, answers, pictures } = await scene('/daily.png', { body: await pictureOf(30, 30) });
    await settled();
    await begin();
    await age(23 * HOUR);
    await begin();
    t.is((await settled()).state, 'delivered');
    t.is(pictures.asked('/daily.png'), 1);
    answers['/daily.png'] = { status: 503 };
    await age(25 * HOUR);
    t.like(logoOn(await begin()), { width: '30' });
    t.like(await settled(), { state: 'failed', last_status: 503 });
    t.like(logoOn(await begin()), { width: '30' }, 'it is known until somebody says otherwise');
    const asked = pictures.asked('/daily.png');
    await begin();
    t.is(pictures.asked('/daily.png'), asked, 'and not asked for at every look');
    answers['/daily.png'] = { body: await pictureOf(24, 24, 'gif', 'green') };
    await age(2 * HOUR);
    await begin();
    t.like(await settled(), { state: 'delivered' });
    t.like(logoOn(await begin()), { width: '24' });
    answers['/daily.png'] = { status: 410 };
    await age(25 * HOUR);
    await begin();
    t.like(await settled(), { state: 'failed', picture: null });
    t.is(logoOn(await begin()), undefined, 'an address that says that it has none has none');
  });

  engine.test('a client that was stored before there were logos gets its own when somebody looks', async (t) => {
    const { server, client, settled, begin } = await scene('/before.png', { body: await pictureOf(30, 30) });
    await settled();
    await server.db.knex('client_logos').where({ id: client.row.id }).delete();
    t.is(logoOn(await begin()), undefined);
    await settled();
    t.like(logoOn(await begin()), { width: '30' });
  });

  engine.test('a picture is that of one client of one realm: any other address is not found, and says nothing', async (t) => {
    const { server, realm, client, settled, begin } = await scene('/mine.png', { body: await pictureOf(30, 30) });
    const other = await scene('/other.png', { body: await pictureOf(31, 31) });
    const bare = await server.client(realm);
    await settled();
    await other.settled();
    const src = String(logoOn(await begin())?.src);
    const theirs = String(logoOn(await other.begin())?.src);
    const hash = src.slice(-64);
    const answers = await Promise.all(
      [
        `/realms/${other.realm.name}/logos/${client.row.id}/${hash}`,
        `/realms/${realm.name}/logos/${other.client.row.id}/${theirs.slice(-64)}`,
        `/realms/${realm.name}/logos/${client.row.id}/${theirs.slice(-64)}`,
        `/realms/${realm.name}/logos/${bare.row.id}/${hash}`,
        `/realms/${realm.name}/logos/${realm.id}/${hash}`,
      ].map(async (path) => {
        const answer = await get(server, path, { headers: { accept: 'application/json' } });
        return { status: answer.status, cache: answer.headers.get('cache-control'), body: await answer.text() };
      }),
    );
    t.deepEqual([...new Set(answers.map(({ status, cache }) => `${status} ${cache}`))], ['404 no-store']);
    t.is(new Set(answers.map(({ body }) => body.replace(/"reference":"[^"]*"/, ''))).size, 1, JSON.stringify(answers));
    for (const path of [`${src}0`, src.replace('/logos/', '/logos/x'), `${src}/`, `${src}.svg`]) t.is((await get(server, path)).status, 404, path);
    t.is((await get(server, src, { method: 'POST' })).status, 405);
  });

  engine.test('an application of others that comes back to no host is shown by its name alone', async (t) => {
    const picture = await pictureOf(30, 30);
    const redirects = { scheme: 'com.example.bank:/callback', own: 'http://127.0.0.1/callback' };
    for (const [name, redirectUri] of Object.entries(redirects)) {
      const others = await scene(`/${name}.png`, { body: picture }, { firstParty: false, publicClient: true, redirectUris: [redirectUri] });
      await others.settled();
      t.is(logoOn(await others.begin()), undefined, name);
      const house = await scene(`/${name}.png`, { body: picture }, { firstParty: true, publicClient: true, redirectUris: [redirectUri] });
      await house.settled();
      t.like(logoOn(await house.begin()), { width: '30' }, name);
    }
  });

  engine.test('oidcc-registration-logo-uri: who registers with a logo finds it at the sign-in', async (t) => {
    const { server, answers, pictures } = await world();
    answers['/registered.png'] = { body: await pictureOf(64, 64) };
    const admin = await adminOf(server);
    const realm = await server.realm({ mfa: 'off' });
    const { body: access } = await admin.call('POST', `/realms/${realm.name}/clients-initial-access`, { body: { count: 2 } });
    const register = (logo_uri: string) =>
      fetch(`${server.origin}/realms/${realm.name}/clients-registrations/openid-connect`, {
        method: 'POST',
        headers: { authorization: `Bearer ${access.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: [REDIRECT_URI], client_name: 'Suite', logo_uri }),
      });
    const refused = await register('javascript:alert(1)');
    t.is(refused.status, 400);
    t.regex(await refused.text(), /logo_uri/);
    const made = await register(pictures.at('/registered.png'));
    t.is(made.status, 201);
    const { client_id: clientId, client_secret: secret }: Record<string, string> = Object(await made.json());
    const row = await server.db.knex('clients').where({ realm_id: realm.id, client_id: clientId }).first();
    await settledLogo(server.db, row.id);
    const client: TestClient = { row, clientId: String(clientId), secret: secret ?? null, redirectUri: REDIRECT_URI };
    const page = await new Browser(server.origin).visit((await authorizationRequest(await relyingParty(server, realm, client))).url);
    t.like(logoOn(page), { alt: 'Logo of Suite', width: '48', height: '48' });
    t.true(page.html.includes('>app.example</p>'));
    const wrong = await admin.call('PUT', `/realms/${realm.name}/clients/${row.id}`, { body: { attributes: { logoUri: 'data:image/png,x' } } });
    t.is(wrong.status, 400);
    t.regex(JSON.stringify(wrong.body), /attributes\.logoUri/);
  });
});
