import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { askLanguage, languageOf, setLanguage } from '../../../src/http/language.ts';
import { createRenderer } from '../../../src/http/render.ts';

/** What one request is answered. */
async function answered(t: ExecutionContext, handle: (ctx: Koa.Context) => void | Promise<void>, acceptLanguage?: string): Promise<Response> {
  const app = new Koa();
  app.use(handle);
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return fetch(`http://127.0.0.1:${address.port}/`, { headers: acceptLanguage === undefined ? {} : { 'accept-language': acceptLanguage } });
}

async function chosen(t: ExecutionContext, asked: Record<string, unknown> | undefined, acceptLanguage?: string): Promise<string> {
  const answer = await answered(
    t,
    (ctx) => {
      if (asked) askLanguage(ctx, asked);
      ctx.body = languageOf(ctx);
    },
    acceptLanguage,
  );
  return answer.text();
}

test('the browser’s languages count by their weight, and then by their order', async (t) => {
  const cases: [header: string | undefined, language: string][] = [
    [undefined, 'en'],
    ['*', 'en'],
    ['', 'en'],
    ['xx', 'en'],
    ['de-AT,de;q=0.9,en;q=0.8', 'de'],
    ['de-AT, en', 'de'],
    ['en;q=0.5, fr', 'fr'],
    ['xx, it;q=0.2', 'it'],
    ['de;q=0, es', 'es'],
    ['de;q=0', 'en'],
    ['; ,,q=1;;de"><script>', 'en'],
    [`${'xx,'.repeat(2000)}de`, 'de'],
  ];
  for (const [header, language] of cases) t.is(await chosen(t, undefined, header), language, header?.slice(0, 40));
});

test('what the application asks for comes before what the browser prefers', async (t) => {
  const cases: [asked: Record<string, unknown>, language: string][] = [
    [{ ui_locales: 'de' }, 'de'],
    [{ ui_locales: 'xx fr-CA de' }, 'fr'],
    [{ ui_locales: 'xx yy' }, 'es'],
    [{ ui_locales: '' }, 'es'],
    [{ ui_locales: ' de' }, 'de'],
    [{ ui_locales: 'de', kc_locale: 'it' }, 'it'],
    [{ ui_locales: 'de', kc_locale: 'xx' }, 'de'],
    [{ kc_locale: 'it' }, 'it'],
    [{ ui_locales: ['de', 'it'] }, 'es'],
    [{ ui_locales: { toString: 1 } }, 'es'],
    [{}, 'es'],
    [{ ui_locales: '__proto__ constructor' }, 'es'],
    [{ ui_locales: `${'xx '.repeat(49)}de` }, 'de'],
    [{ ui_locales: `${'xx '.repeat(100_000)}de` }, 'es'],
  ];
  for (const [asked, language] of cases) t.is(await chosen(t, asked, 'es'), language, JSON.stringify(asked).slice(0, 60));
});

async function page(
  t: ExecutionContext,
  view: string,
  language: 'en' | 'de' | 'fr',
  model: object = {},
): Promise<{ html: string; answer: Response }> {
  const viewsDir = mkdtempSync(join(tmpdir(), 'cardea-views-'));
  t.teardown(() => rmSync(viewsDir, { recursive: true }));
  writeFileSync(join(viewsDir, 'one.njk'), `{% import "ui.njk" as ui %}${view}`);
  const { render } = createRenderer({ production: false, viewsDir });
  const answer = await answered(t, (ctx) => {
    setLanguage(ctx, language);
    return render(ctx, 'one', model);
  });
  return { answer, html: (await answer.text()).trim() };
}

const name = '<b>&"\'{{count}}\uE0000\uE001$&';
const escaped = '&lt;b&gt;&amp;&quot;&#39;{{count}}\uE0000\uE001$&amp;';

test('a page says its language, and its texts, times and numbers are of it', async (t) => {
  const view = '{{ lang }} {{ dir }} {{ t("page.cancel") }}, {{ ui.instant(at) }}, {{ 12480 | grouped }}';
  const model = { at: '2026-02-03T09:14:00.000Z' };
  const time = (shown: string) => `<time datetime="2026-02-03T09:14:00.000Z">${shown} UTC</time>`;
  const english = await page(t, view, 'en', model);
  t.is(english.html, `en ltr Cancel, ${time('3 Feb 2026, 09:14')}, 12,480`);
  t.is(english.answer.headers.get('content-language'), 'en');
  const german = await page(t, view, 'de', model);
  t.is(german.html, `de ltr Abbrechen, ${time('03.02.2026, 09:14')}, 12.480`);
  t.is(german.answer.headers.get('content-language'), 'de');
  t.is((await page(t, view, 'fr', model)).html.replaceAll(/\s/g, ' '), `fr ltr Annuler, ${time('3 févr. 2026, 09:14')}, 12 480`);
});

test('values in texts are escaped, and only the markup that a macro made is markup', async (t) => {
  t.is((await page(t, '{{ t("page.backTo", { application: name }) }}', 'de', { name })).html, `Zurück zu ${escaped}`);
  t.is((await page(t, '{{ t("page.backTo", { application: ui.apart(name) }) }}', 'de', { name })).html, `Zurück zu <bdi>${escaped}</bdi>`);
  t.is(
    (await page(t, '{{ t("factor.totp.challenge.leadNamed", { app: ui.apart(name), digits: 6, realm: name }) }}', 'en', { name })).html,
    `Open <bdi>${escaped}</bdi> and type the 6 digits it shows for ${escaped}.`,
  );
  t.is((await page(t, '<p title="{{ t("page.backTo", { application: name }) }}">', 'de', { name })).html, `<p title="Zurück zu ${escaped}">`);
});

test('what a room has to say is put into the page’s words, and somebody else’s words stay as they are', async (t) => {
  const errors = [
    { field: 'code', message: { key: 'login.code.used' } },
    { field: null, message: { key: 'login.code.labelTooLong', values: { most: 60 } } },
    { field: null, message: '<i>raw</i>' },
  ];
  const { html } = await page(t, '{{ ui.summary(errors) }}{{ errors | about("code") }}|{{ errors | about("label") }}', 'de', { errors });
  t.regex(html, /Es gibt 3 Probleme/);
  t.regex(html, /<a href="#field-code">Dieser Code wurde schon verwendet\. Warten Sie auf den nächsten\.<\/a>/);
  t.regex(html, /<li>Ein Name darf höchstens 60 Zeichen haben\.<\/li>/);
  t.regex(html, /<li>&lt;i&gt;raw&lt;\/i&gt;<\/li>/);
  t.regex(html, /nächsten\.\|$/);
});

test('a renderer of one language shows that, whatever the request prefers', async (t) => {
  const { render } = createRenderer({ production: true, language: 'en' });
  const model = { title: { key: 'error.title.404' }, message: '', hint: null, reference: null, link: null };
  const html = await (await answered(t, (ctx) => render(ctx, 'message', model), 'de')).text();
  t.regex(html, /<html lang="en" dir="ltr">/);
  t.regex(html, /<h1>There is nothing here<\/h1>/);
});
