/** Where keycloak-js leads its user besides signing in: to the account console and back, and to register. */
import { arena, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, signIn } from '../support/sign-in.ts';

const SPA = 'https://spa.example';

forEachEngine((engine) => {
  const { scene } = arena(engine);
  const spa = () =>
    scene({ mfa: 'off' }, { publicClient: true, name: 'The "shop"', redirectUris: [`${SPA}/*`, 'com.example.app:/back'], webOrigins: ['+'] });
  const account = ({ server, realm }: Scene, query: Record<string, string>) =>
    `${server.origin}/realms/${realm.name}/account?${new URLSearchParams(query)}`;
  const backOf = (html: string): string | undefined => /<a class="button small quiet" href="([^"]*)">/.exec(html)?.[1];

  engine.test('the account console leads back to the application that sent its user, as far as that is one of its addresses', async (t) => {
    const stage = await spa();
    const { browser } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const referrer = stage.rp.client.clientId;
    const back = async (query: Record<string, string>) => {
      const page = await browser.visit(account(stage, query));
      t.is(page.status, 200);
      return backOf(page.html);
    };
    t.is(await back({ referrer, referrer_uri: `${SPA}/cart?x=1#/items/2` }), `${SPA}/cart?x=1#/items/2`);
    t.is(await back({ referrer, referrer_uri: 'com.example.app:/back' }), 'com.example.app:/back');
    t.regex(
      (await browser.visit(account(stage, { referrer, referrer_uri: `${SPA}/` }))).html,
      /Back to <bdi class="name">The &quot;shop&quot;<\/bdi>/,
    );
    const none: Record<string, string>[] = [
      {},
      { referrer },
      { referrer_uri: `${SPA}/` },
      { referrer: 'nobody', referrer_uri: `${SPA}/` },
      ...[
        'https://evil.example/',
        `${SPA}.evil.example/`,
        `${SPA}@evil.example/`,
        'javascript:alert(1)',
        '//evil.example/',
        `${SPA}/a/%2e%2e/b`,
        `${SPA}\\@evil.example`,
        '/realms',
        '',
        `${SPA}/${'a'.repeat(2_000)}`,
      ].map((referrer_uri) => ({ referrer, referrer_uri })),
    ];
    for (const query of none) t.is(await back(query), undefined, JSON.stringify(query).slice(0, 80));
    const twice = await browser.visit(`${account(stage, { referrer, referrer_uri: `${SPA}/` })}&referrer_uri=https://evil.example/`);
    t.is(backOf(twice.html), undefined);
  });

  engine.test('who is not signed in comes there by signing in, and still knows the way back', async (t) => {
    const stage = await spa();
    const user = await stage.server.user(stage.realm);
    const browser = new Browser(stage.server.origin);
    const asked = account(stage, { referrer: stage.rp.client.clientId, referrer_uri: `${SPA}/` });
    const page = await browser.send(await browser.visit(asked), { username: user.username, password: user.password });
    t.is(page.url, asked);
    t.is(backOf(page.html), `${SPA}/`);
  });

  engine.test('to register leads to a page that says that nobody does here, and on to the sign-in that was asked for', async (t) => {
    const stage = await spa();
    const request = await authorizationRequest(stage.rp, { ui_locales: 'de' });
    const asked = request.url.replace('/auth?', '/registrations?');
    const browser = new Browser(stage.server.origin);
    const page = await browser.visit(asked);
    t.is(page.status, 404);
    t.regex(page.html, /Hier registriert sich niemand selbst/);
    const link = /<a class="button primary" href="([^"]*)">Anmelden<\/a>/.exec(page.html)?.[1]?.replaceAll('&amp;', '&');
    t.is(new URL(link ?? '', page.url).href, request.url);
    t.is((await browser.visit(new URL(link ?? '', page.url).href)).status, 200);
    const bare = await browser.visit(asked.split('?')[0] ?? '');
    t.is(bare.status, 404);
    t.notRegex(bare.html, /button primary/);
  });
});
