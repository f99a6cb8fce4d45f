/** OpenID Connect RP-Initiated Logout 1.0, point by point: what an application may send, and what the user is asked; on both engines. */
import { decodeJwt, decodeProtectedHeader, importJWK, type JWK, SignJWT } from 'jose';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { signingKeySeal, signingKeys } from '../../src/store/signing-keys.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { type Cardea, REDIRECT_URI, type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, relyingParty, signIn, text } from '../support/sign-in.ts';

const BYE = 'https://app.example/bye';

forEachEngine((engine) => {
  let shared: Promise<Cardea> | undefined;
  const server = () => {
    shared ??= engine.database().then((db) => startCardea(db));
    return shared;
  };

  /** A user who is signed in, and what the application does to sign them out. */
  async function scene(settings: RealmInput = {}) {
    const on = await server();
    const realm = await on.realm({ mfa: 'off', ...settings });
    const [user, client] = [await on.user(realm), await on.client(realm, { postLogoutRedirectUris: [BYE] })];
    const rp = await relyingParty(on, realm, client);
    const signedIn = await signIn(on, rp, user);
    const endpoint = `${on.origin}/realms/${realm.name}/protocol/openid-connect/logout`;
    const addressOf = (parameters: Record<string, string>): string => `${endpoint}?${new URLSearchParams(parameters)}`;
    const isSignedIn = async (): Promise<boolean> =>
      (await on.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at').first('id')) !== undefined;
    return {
      ...{ on, realm, user, rp, signedIn, endpoint, isSignedIn },
      hint: String(signedIn.tokens.id_token),
      clientId: client.clientId,
      signOut: (parameters: Record<string, string>, browser = signedIn.browser): Promise<Page> => browser.visit(addressOf(parameters)),
    };
  }

  const asks = (page: Page): boolean => page.status === 200 && (formsOf(page)[0]?.action ?? '').includes('/logout/confirm');
  const locationOf = (page: Page): string | null => page.headers.get('location');

  engine.test('with an ID token of this session there is no question, and the browser comes back with its state', async (t) => {
    const { signOut, hint, isSignedIn } = await scene();
    const back = await signOut({ id_token_hint: hint, post_logout_redirect_uri: BYE, state: 'a b&c' });
    t.is(back.status, 303);
    t.is(locationOf(back), `${BYE}?state=a+b%26c`);
    t.false(await isSignedIn());
  });

  engine.test('without a state there is none, and without an address the page of Cardea says that it is done', async (t) => {
    const one = await scene();
    t.is(locationOf(await one.signOut({ id_token_hint: one.hint, post_logout_redirect_uri: BYE })), BYE);
    const two = await scene();
    const page = await two.signOut({ id_token_hint: two.hint });
    t.is(page.status, 200);
    t.true(page.url.includes('/logout/success'));
    t.false(await two.isSignedIn());
  });

  engine.test('GET and POST do the same', async (t) => {
    const { signedIn, endpoint, hint, isSignedIn } = await scene();
    const back = await signedIn.browser.post(endpoint, { id_token_hint: hint, post_logout_redirect_uri: BYE, state: 's' });
    t.is(locationOf(back), `${BYE}?state=s`);
    t.false(await isSignedIn());
  });

  engine.test('a POST from another site, as a form of the application sends it, does so too', async (t) => {
    const { on, endpoint, hint, isSignedIn, signedIn } = await scene();
    // Cookies that are SameSite=Lax do not come along: the answer is a way for the browser to come again with them.
    const foreign = await new Browser(on.origin).request(endpoint, {
      method: 'POST',
      body: new URLSearchParams({ id_token_hint: hint, post_logout_redirect_uri: BYE }),
      headers: { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' },
    });
    t.is(foreign.status, 303);
    t.is(locationOf(await signedIn.browser.visit(String(locationOf(foreign)))), BYE);
    t.false(await isSignedIn());
  });

  engine.test('without a hint the user is asked, also when the client says who it is; then the browser comes back', async (t) => {
    const { signOut, clientId, isSignedIn, signedIn, rp } = await scene();
    const page = await signOut({ client_id: clientId, post_logout_redirect_uri: BYE, state: 'x' });
    t.true(asks(page), text(page));
    t.true(await isSignedIn());
    t.is(locationOf(await signedIn.browser.send(page, { logout: 'yes' })), `${BYE}?state=x`);
    t.false(await isSignedIn());
    t.is(rp.client.clientId, clientId);
  });

  engine.test('without a client nobody is sent anywhere: there is a page, and the address is not on it', async (t) => {
    const { signOut, signedIn, isSignedIn } = await scene();
    const page = await signOut({ post_logout_redirect_uri: BYE, state: 'x' });
    t.true(asks(page));
    t.false(page.html.includes('app.example'));
    const done = await signedIn.browser.send(page, { logout: 'yes' });
    t.is(done.status, 200);
    t.true(done.url.includes('/logout/success'));
    t.false(done.html.includes('app.example'));
    t.false(await isSignedIn());
  });

  engine.test('whoever stays signed in stays so', async (t) => {
    const { signOut, clientId, signedIn, isSignedIn, rp } = await scene();
    const page = await signOut({ client_id: clientId });
    await signedIn.browser.send(page, {});
    t.true(await isSignedIn());
    t.truthy((await signIn(await server(), rp, { username: 'nobody', password: 'is asked' }, { browser: signedIn.browser })).tokens.id_token);
  });

  engine.test('a client that is another one than that of the hint is an error, and so is one that there is not', async (t) => {
    const stage = await scene();
    const { signOut, hint, clientId, isSignedIn, on, realm } = stage;
    const other = await on.client(realm, { postLogoutRedirectUris: [BYE] });
    const bad: Record<string, string>[] = [
      { id_token_hint: hint, client_id: other.clientId, post_logout_redirect_uri: BYE },
      { client_id: 'nobody', post_logout_redirect_uri: BYE },
      { id_token_hint: 'not.a.token', post_logout_redirect_uri: BYE },
      { id_token_hint: hint, post_logout_redirect_uri: `${BYE}/elsewhere` },
      { client_id: clientId, post_logout_redirect_uri: 'https://evil.example/' },
    ];
    for (const parameters of bad) {
      const page = await signOut(parameters);
      t.is(page.status, 400, JSON.stringify(parameters));
      t.is(locationOf(page), null);
    }
    t.regex((await signOut(bad[0] ?? {})).html, /client_id does not match the provided id_token_hint/);
    t.true(await isSignedIn());
    t.is(locationOf(await signOut({ id_token_hint: hint, client_id: clientId, post_logout_redirect_uri: BYE })), BYE);
  });

  engine.test('an ID token that has expired is a hint as good as any', async (t) => {
    const { on, realm, hint, signOut, isSignedIn } = await scene();
    const { kid, alg = '' } = decodeProtectedHeader(hint);
    const row = (await signingKeys(on.db.knex, realm.id)).find(({ id }) => id === kid);
    if (!row) return t.fail();
    const jwk: JWK = JSON.parse(await on.keyring.openText(signingKeySeal(row), row.privateJwk));
    const { iat = 0, exp = 0, ...claims } = decodeJwt(hint);
    const old = await new SignJWT({ ...claims, iat: iat - 864_000, exp: exp - 864_000 })
      .setProtectedHeader({ alg, kid: row.id })
      .sign(await importJWK(jwk, alg));
    t.is(locationOf(await signOut({ id_token_hint: old, post_logout_redirect_uri: BYE })), BYE);
    t.false(await isSignedIn());
  });

  engine.test('a hint that a retired key has signed is taken as long as that key is published', async (t) => {
    const retired = await scene();
    await rotateKeys(retired.on.operator(), retired.realm, { publishAheadMs: 0 });
    t.is(locationOf(await retired.signOut({ id_token_hint: retired.hint, post_logout_redirect_uri: BYE })), BYE);
    const gone = await scene();
    await rotateKeys(gone.on.operator(), gone.realm, { publishAheadMs: 0, keepMs: 0 });
    t.is((await gone.signOut({ id_token_hint: gone.hint, post_logout_redirect_uri: BYE })).status, 400);
    t.true(await gone.isSignedIn());
  });

  engine.test('a hint of another session, of another user, or of another client’s sid asks first', async (t) => {
    const { on, realm, rp, user, signOut, hint, isSignedIn, clientId } = await scene();
    const elsewhere = await signIn(on, rp, user);
    const bob = await signIn(on, rp, await on.user(realm));
    for (const { tokens } of [elsewhere, bob]) {
      const page = await signOut({ id_token_hint: String(tokens.id_token), post_logout_redirect_uri: BYE });
      t.true(asks(page), text(page));
    }
    t.true(await isSignedIn());
    // In a browser where nobody is signed in, there is nothing to ask about.
    const fresh = new Browser(on.origin);
    const page = await signOut({ id_token_hint: hint, post_logout_redirect_uri: BYE, client_id: clientId }, fresh);
    t.is(locationOf(page), BYE);
    t.true(await isSignedIn(), 'a hint signs nobody out of another browser');
  });

  engine.test('a hint is used once: the session of before is over, and the next one has another sid', async (t) => {
    const { on, rp, user, signedIn, signOut, hint, isSignedIn } = await scene();
    await signOut({ id_token_hint: hint });
    await signIn(on, rp, user, { browser: signedIn.browser });
    t.true(asks(await signOut({ id_token_hint: hint })), 'an old hint is of no session that there is');
    t.true(await isSignedIn());
  });

  engine.test('logout_hint and what is not known are passed over; ui_locales chooses the language', async (t) => {
    const { signOut, clientId, signedIn } = await scene();
    const page = await signOut({ client_id: clientId, logout_hint: 'erin@example.com', ui_locales: 'xx de', something: 'else' });
    t.true(asks(page));
    t.regex(page.html, /<html lang="de"/);
    t.false(page.html.includes('erin@example.com'));
    t.regex((await signedIn.browser.send(page, { logout: 'yes' })).html, /<html lang="de"/);
  });

  engine.test('a parameter that is there twice is refused', async (t) => {
    const { signedIn, endpoint, hint, isSignedIn } = await scene();
    const twice = new URLSearchParams([
      ['id_token_hint', hint],
      ['post_logout_redirect_uri', BYE],
      ['post_logout_redirect_uri', 'https://evil.example/'],
    ]);
    const page = await signedIn.browser.visit(`${endpoint}?${twice}`);
    t.is(page.status, 400);
    t.is(locationOf(page), null);
    t.true(await isSignedIn());
  });

  engine.test('Keycloak’s redirect_uri of old is refused in so many words, by GET and POST, and goes nowhere', async (t) => {
    const { signOut, signedIn, endpoint, hint, isSignedIn } = await scene();
    for (const page of [
      await signOut({ redirect_uri: REDIRECT_URI }),
      await signOut({ redirect_uri: REDIRECT_URI, id_token_hint: hint }),
      await signedIn.browser.post(endpoint, { redirect_uri: REDIRECT_URI }),
    ]) {
      t.is(page.status, 400);
      t.is(locationOf(page), null);
      t.regex(page.html, /post_logout_redirect_uri/);
      t.false(page.html.includes(REDIRECT_URI));
    }
    t.true(await isSignedIn());
  });

  engine.test('whoever is signed in no longer is sent back at once, in whatever language and without a script', async (t) => {
    const { signOut, endpoint, hint, clientId, on } = await scene();
    await signOut({ id_token_hint: hint });
    const requests: Record<string, string>[] = [{ id_token_hint: hint }, { client_id: clientId }, { id_token_hint: hint, client_id: clientId }];
    for (const parameters of requests) {
      const browser = new Browser(on.origin);
      const back = await signOut({ ...parameters, post_logout_redirect_uri: BYE, state: 'a b&c' }, browser);
      t.is(back.status, 303);
      t.is(locationOf(back), `${BYE}?state=a+b%26c`);
      t.false(back.html.includes('<script'));
      t.deepEqual(browser.jar, [], 'no session is begun for nobody');
    }
    const page = await signOut({ ui_locales: 'de', post_logout_redirect_uri: BYE }, new Browser(on.origin));
    t.is(page.status, 200);
    t.true(page.url.startsWith(`${endpoint}/success`));
    t.regex(page.html, /<html lang="de"/);
    t.false(page.html.includes('app.example'));
    const refused = await signOut({ client_id: clientId, post_logout_redirect_uri: 'https://evil.example/' }, new Browser(on.origin));
    t.is(refused.status, 400, 'and only to where the client may be left for');
    t.is(locationOf(refused), null);
  });
});
