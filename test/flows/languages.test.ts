/** The languages of what a user meets, over real HTTP: what the application asks for, else what the browser prefers, else English. */
import { allowInsecureRequests, buildAuthorizationUrlWithPAR } from 'openid-client';
import { LANGUAGES } from '../../src/languages/languages.ts';
import { Person, patient } from '../support/account.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, exchange, keyOf, type RelyingParty, relyingParty, signIn } from '../support/sign-in.ts';

/** What a page says, without its markup; spaces that do not break are spaces. */
const said = (page: Page): string =>
  unescapeHtml(
    page.html
      .replace(/^[\s\S]*<body/, '<body')
      .replaceAll(/<[^>]+>/g, ' ')
      .replaceAll(/\s+/g, ' '),
  );
const heading = (page: Page): string | undefined =>
  /<h1>([\s\S]*?)<\/h1>/
    .exec(page.html)?.[1]
    ?.replaceAll(/<[^>]+>/g, '')
    .trim();
const languageOf = (page: Page): string | undefined => /<html lang="([^"]*)" dir="ltr">/.exec(page.html)?.[1];

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;
  async function world(mfa: 'off' | 'required', options: { firstParty?: boolean; described?: { scope: string; description: string } } = {}) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm(patient({ mfa, rememberMe: true }));
    const { scope, description } = options.described ?? {};
    if (scope !== undefined) await server.db.knex('client_scopes').where({ realm_id: realm.id, name: scope }).update({ description });
    const rp = await relyingParty(server, realm, await server.client(realm, { firstParty: options.firstParty ?? true, name: 'Parts' }));
    return { server, realm, rp, user: await server.user(realm) };
  }
  /** The first page that a browser is shown. */
  async function firstPage(rp: RelyingParty, browser: Browser, parameters: Record<string, string>): Promise<Page> {
    return browser.visit((await authorizationRequest(rp, parameters)).url);
  }

  engine.test('ui_locales=de: every page of a sign-in is German, and so is what it says of mistakes', async (t) => {
    const { server, rp, user } = await world('required');
    const browser = new Browser(server.origin, { 'accept-language': 'it' });
    const request = await authorizationRequest(rp, { ui_locales: 'de' });

    let page = await browser.visit(request.url);
    t.is(languageOf(page), 'de');
    t.is(page.headers.get('content-language'), 'de');
    t.is(heading(page), 'Anmelden');
    t.regex(
      said(page),
      /weiter zu Parts Benutzername oder E-Mail-Adresse Passwort Auf diesem Gerät angemeldet bleiben Anmelden Passwort vergessen\? Zurück zu Parts Gesichert durch Cardea/,
    );

    page = await browser.send(page, { username: user.username, password: 'nonsense' });
    t.is(page.status, 400);
    t.regex(page.html, /<title>Fehler: Anmelden/);
    t.regex(said(page), /Es gibt ein Problem Dieser Benutzername und dieses Passwort gehören nicht zusammen\./);

    page = await browser.send(page, { username: user.username, password: user.password });
    t.is(heading(page), 'Authentifizierungs-App einrichten');
    t.is(languageOf(page), 'de');
    page = await browser.send(page, { code: '000000' });
    t.regex(said(page), /Wird keiner angenommen, prüfen Sie, ob die Uhr Ihres Telefons richtig geht\./);
    page = await browser.send(page, { code: codeOf(keyOf(page)) });
    t.is((await exchange(rp, request, page)).claims()?.acr, 'aal2');
  });

  engine.test('an app that was given no name is called what the language calls it', async (t) => {
    const { server, realm, rp, user } = await world('required');
    const { totpSecret } = await signIn(server, rp, user);
    t.truthy(totpSecret);
    const browser = new Browser(server.origin);
    let page = await firstPage(rp, browser, { ui_locales: 'fr' });
    page = await browser.send(page, { username: user.username, password: user.password });
    t.is(heading(page), 'Saisissez le code de votre application');
    t.regex(
      said(page),
      new RegExp(`Ouvrez votre application d’authentification et saisissez les 6 chiffres qu’elle affiche pour ${realm.displayName}`),
    );
    for (let attempts = 0; attempts < 5; attempts += 1) page = await browser.send(page, { code: '000000' });
    t.is(heading(page), 'Trop de codes incorrects');
    t.is(languageOf(page), 'fr');
  });

  engine.test('the first language that there is counts; none of them, and the browser is asked; then it is English', async (t) => {
    const { server, rp } = await world('off');
    const cases: [parameters: Record<string, string>, accepted: string | undefined, language: string, heading: string][] = [
      [{ ui_locales: 'xx fr-CA de' }, undefined, 'fr', 'Se connecter'],
      [{ ui_locales: 'xx' }, 'es-MX,es;q=0.9', 'es', 'Iniciar sesión'],
      [{ ui_locales: 'xx' }, undefined, 'en', 'Sign in'],
      [{}, 'de-AT,de;q=0.9,en;q=0.8', 'de', 'Anmelden'],
      [{}, 'it', 'it', 'Accedi'],
      [{}, 'xx, yy;q=0.5', 'en', 'Sign in'],
      [{}, undefined, 'en', 'Sign in'],
      [{ kc_locale: 'it' }, 'de', 'it', 'Accedi'],
      [{ kc_locale: 'it', ui_locales: 'de' }, undefined, 'it', 'Accedi'],
      [{ ui_locales: '"><script>alert(1)</script> __proto__ constructor' }, undefined, 'en', 'Sign in'],
    ];
    for (const [parameters, accepted, language, title] of cases) {
      const page = await firstPage(rp, new Browser(server.origin, accepted === undefined ? {} : { 'accept-language': accepted }), parameters);
      t.is(languageOf(page), language, JSON.stringify({ parameters, accepted }));
      t.is(heading(page), title);
      t.false(page.html.includes('<script>'));
    }
  });

  engine.test('a request that was pushed asks for its language too', async (t) => {
    const { server, rp } = await world('off');
    allowInsecureRequests(rp.configuration);
    const pushed = await buildAuthorizationUrlWithPAR(rp.configuration, {
      redirect_uri: rp.client.redirectUri,
      scope: 'openid',
      ui_locales: 'es',
      state: 's',
    });
    t.is(heading(await new Browser(server.origin).visit(pushed.href)), 'Iniciar sesión');
  });

  engine.test('how long to wait is said in the page’s language', async (t) => {
    const { server, rp, user } = await world('off');
    const browser = new Browser(server.origin);
    let page = await firstPage(rp, browser, { ui_locales: 'de' });
    for (let attempts = 0; attempts < 11; attempts += 1) page = await browser.send(page, { username: user.username, password: 'nonsense' });
    t.is(page.status, 429);
    t.regex(said(page), /Zu viele Versuche\. Versuchen Sie es in 15 Minuten noch einmal\./);
  });

  engine.test('errors are told in the language of the request, and to programs in English', async (t) => {
    const { server, realm, rp } = await world('off');
    const connect = `${server.origin}/realms/${realm.name}/protocol/openid-connect`;
    const browser = new Browser(server.origin, { 'accept-language': 'it' });

    const unknown = await browser.visit(`${connect}/auth?client_id=nobody&response_type=code&ui_locales=fr`);
    t.is(heading(unknown), 'Cette application n’est pas connue ici');
    t.is(languageOf(unknown), 'fr');
    // The words of the protocol are English wherever they stand.
    t.regex(unknown.html, /Pour les responsables de l’application\s:\s<code lang="en" translate="no">invalid_client/);

    const elsewhere = await firstPage(rp, browser, { ui_locales: 'de', redirect_uri: 'https://evil.example/' });
    t.is(heading(elsewhere), 'Sie können nicht zu dieser Anwendung zurückgeleitet werden');

    for (const [path, title] of [
      ['/nowhere', 'Qui non c’è nulla'],
      [`/realms/${realm.name}/login/abc`, 'Questo accesso è terminato'],
      ['/realms/no-such-realm/account', 'Qui non c’è nulla'],
    ]) {
      const page = await browser.visit(`${server.origin}${path}`);
      t.is(heading(page), title);
      t.is(languageOf(page), 'it');
    }
    const program = await fetch(`${server.origin}/nowhere`, { headers: { accept: 'application/json', 'accept-language': 'it' } });
    t.deepEqual(await program.json(), { error: 'not_found', error_description: 'There is no such page.' });

    // Another browser comes to a sign-in that was begun in German.
    const begun = await firstPage(rp, browser, { ui_locales: 'de' });
    const foreign = await new Browser(server.origin).request(begun.url, {
      method: 'POST',
      body: new URLSearchParams({ username: 'x' }),
      headers: { origin: 'https://evil.example', 'accept-language': 'es' },
    });
    t.is(foreign.status, 403);
    t.is(heading(foreign), 'Esto no está permitido');
    const odd = await browser.visit(begun.url, { method: 'POST', body: '{}', headers: { origin: server.origin, 'content-type': 'text/plain' } });
    t.is(odd.status, 415);
    t.regex(said(odd), /Senden Sie dieses Formular als application\/x-www-form-urlencoded\./);
  });

  engine.test('consent names what is asked for in the page’s language, and what an administrator wrote as it was written', async (t) => {
    const { server, rp, user } = await world('off', { firstParty: false, described: { scope: 'email', description: 'Company mail' } });
    const browser = new Browser(server.origin);
    let page = await firstPage(rp, browser, { ui_locales: 'de' });
    page = await browser.send(page, { username: user.username, password: user.password });
    t.is(heading(page), 'Parts zulassen?');
    t.regex(said(page), new RegExp(`Sie sind als ${user.username} angemeldet\\.`));
    t.regex(said(page), /die Bestätigung, dass Sie es sind/);
    t.regex(said(page), /Ihren Namen und Ihren Benutzernamen/);
    t.regex(said(page), /Company mail/);
    t.regex(page.html, /value="deny">Nicht zulassen</);
  });

  engine.test('signing out keeps the language that it was asked for in, to its last page', async (t) => {
    const { server, realm, rp, user } = await world('off');
    const logout = `${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`;
    const { browser } = await signIn(server, rp, user);
    let page = await browser.visit(`${logout}?client_id=${rp.client.clientId}&ui_locales=${encodeURIComponent('xx es-AR')}`);
    t.is(heading(page), '¿Cerrar sesión?');
    t.is(languageOf(page), 'es');
    t.regex(said(page), /Parts ha solicitado cerrar su sesión\. Se cerrará su sesión en /);
    const [form] = formsOf(page);
    t.is(new URL(form?.action ?? '').search, '?ui_locales=es', 'what goes on is one of ours');
    page = await browser.send(page, { logout: 'yes' });
    t.is(page.status, 200);
    t.is(heading(page), 'Ha cerrado la sesión');
    t.is(languageOf(page), 'es');

    const again = new Browser(server.origin, { 'accept-language': 'fr' });
    await signIn(server, rp, user, { browser: again });
    page = await again.visit(logout);
    t.is(heading(page)?.replaceAll(/\s/g, ' '), 'Se déconnecter ?');
    t.is(new URL(formsOf(page)[0]?.action ?? '').search, '', 'nothing was asked for');
    // To stay is an answer too.
    page = await again.send(page, {});
    t.is(languageOf(page), 'fr');

    const { browser: third } = await signIn(server, rp, user);
    const hostile = await third.visit(`${logout}?ui_locales=${encodeURIComponent('"><script>')}&ui_locales=de`);
    t.false(hostile.html.includes('<script>'));
    t.is(hostile.status, 400, 'a parameter that is there twice');
  });

  engine.test('the account console is in the browser’s language, with its dates and its notices', async (t) => {
    const { server, realm, user } = await world('required');
    const base = `${server.origin}/realms/${realm.name}/account`;
    const person = new Person(server.origin, user, [], new Browser(server.origin, { 'accept-language': 'de-CH,de;q=0.9' }));
    let page = await person.open(base);
    t.is(languageOf(page), 'de');
    t.is(heading(page), 'Anmeldemethoden');
    const made = new Intl.DateTimeFormat('de', { dateStyle: 'medium', timeZone: 'UTC' }).format(user.createdAt);
    t.regex(said(page), new RegExp(`Passwort Festgelegt am ${made}, \\d\\d:\\d\\d UTC`));
    t.regex(said(page), /Authentifizierungs-App · Hinzugefügt am /);
    t.regex(said(page), new RegExp(`${realm.displayName} verlangt ein Anmeldeverfahren wie dieses, und Sie haben kein anderes, das genügt\\.`));
    page = await person.press(page, '/rename', { label: 'Diensthandy' });
    t.regex(page.html, /role="status">Der neue Name wurde gespeichert\.</);
    page = await person.press(page, '/rename', { label: ' ' });
    t.regex(said(page), /Geben Sie einen Namen mit 1 bis 60 Zeichen ein\./);
  });

  engine.test('discovery says which languages there are, and what is for administrators and developers is English', async (t) => {
    const { server, realm, rp } = await world('off');
    t.deepEqual(rp.configuration.serverMetadata().ui_locales_supported, Object.keys(LANGUAGES));
    const browser = new Browser(server.origin, { 'accept-language': 'de' });
    t.is(languageOf(await browser.visit(`${server.origin}/inbox`)), 'en');
    const lost = await browser.visit(`${server.origin}/realms/${realm.name}/account/nowhere`);
    t.is(languageOf(lost), 'de');
  });
});
