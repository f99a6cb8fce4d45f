import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import Provider from 'oidc-provider';
import { createRenderer } from '../../../src/http/render.ts';
import { exhibits } from '../../browser/gallery.ts';

const viewsDir = new URL('../../../views/', import.meta.url);
const viewFiles = readdirSync(viewsDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.njk'));
const sourceOf = (name: string) => readFileSync(new URL(name, viewsDir), 'utf8');

/** A Koa app, or a Provider, on a port of its own; answers with its origin. */
async function listen(t: ExecutionContext, app: { listen(port: number, host: string): ReturnType<Koa['listen']> }): Promise<string> {
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function folderWith(t: ExecutionContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-views-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** One page of the real views, rendered into an answer. */
async function page(t: ExecutionContext, view: string, model: object, status?: number) {
  const renderer = createRenderer({ production: false });
  const app = new Koa();
  app.use((ctx) => renderer.render(ctx, view, model, status));
  const response = await fetch(await listen(t, app));
  return { response, html: await response.text() };
}

for (const exhibit of exhibits) {
  test(`${exhibit.name}: one heading, one main part, forms that post, nothing inline`, async (t) => {
    const { response, html } = await page(t, exhibit.view, exhibit.model, exhibit.status);
    t.is(response.status, exhibit.status ?? 200);
    t.regex(html, /^\s*<!doctype html>\s*<html lang="en" dir="ltr">/);
    t.is(html.match(/<h1>/g)?.length, 1);
    t.is(html.match(/<main /g)?.length, 1);
    // Scripts from files of ours: public/once.js, on which nothing depends, and what asks for keys.
    t.notRegex(
      html,
      /<script(?! type="module" src="\/resources\/[0-9a-f]{16}\/(once|webauthn)\.js"><\/script>)|<style|<img(?! class="logo" src="\/)| style=| on[a-z]+="|javascript:/i,
    );
    for (const [form] of html.matchAll(/<form[^>]*>/g)) t.regex(form, / method="post"/);
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]);
    t.is(new Set(ids).size, ids.length, 'every id is there once');
  });
}

test('every view is in the gallery, so that every one is looked at', (t) => {
  const shown = new Set(exhibits.map((exhibit) => `${exhibit.view}.njk`));
  const frames = new Set([
    'layout.njk',
    'console.njk',
    'mark.njk',
    'ui.njk',
    'login/layout.njk',
    'account/layout.njk',
    ...['ceremony', 'challenge', 'enrol'].map((name) => `factors/webauthn/${name}.njk`),
    'factors/custom/asked.njk',
    // No page: test/unit/delivery looks at letters.
    'mail/letter.njk',
  ]);
  t.deepEqual(
    viewFiles.filter((name) => !shown.has(name) && !frames.has(name)),
    [],
  );
});

test('escaping is switched off once, for the QR code that we draw ourselves', (t) => {
  const unescaped = viewFiles.flatMap((name) => [...sourceOf(name).matchAll(/\{\{[^}]*\|\s*safe[^}]*\}\}/g)].map((match) => `${name}: ${match[0]}`));
  t.deepEqual(unescaped, ['factors/totp/enrol.njk: {{ qr | safe }}']);
  for (const name of viewFiles) t.notRegex(sourceOf(name), /autoescape|SafeString/, name);
});

test('a wrong field is marked, told in words beside it, linked from the summary and given the cursor', async (t) => {
  const errors = [{ field: 'password', message: 'Enter <your> password.' }];
  const { html } = await page(t, 'login/sign-in', { version: 3, username: 'ada', errors });
  t.regex(html, /<title>Error: /);
  t.regex(html, /role="alert"[\s\S]*<a href="#field-password">Enter &lt;your&gt; password\.<\/a>/);
  t.regex(html, /<p class="wrong" id="wrong-password">.*Enter &lt;your&gt; password\./);
  t.regex(html, /<input id="field-password"[^>]* aria-invalid="true" aria-describedby="wrong-password" autofocus>/);
  t.notRegex(html, /id="field-username"[^>]*(aria-invalid|autofocus)/);
  t.regex(html, /name="version" value="3"/);
});

test('the cursor starts in the first field that is empty', async (t) => {
  t.regex((await page(t, 'login/sign-in', { version: 1, username: '' })).html, /id="field-username"[^>]* autofocus>/);
  t.regex((await page(t, 'login/sign-in', { version: 1, username: 'ada' })).html, /id="field-password"[^>]* autofocus>/);
});

test('the key that Enter presses is never the way back', async (t) => {
  for (const exhibit of exhibits) {
    const { html } = await page(t, exhibit.view, exhibit.model);
    for (const [form] of html.matchAll(/<form[\s\S]*?<\/form>/g)) {
      if (!/<input (?!type="hidden")/.test(form)) continue;
      t.notRegex(/<button[^>]*>/.exec(form)?.[0] ?? '', /name="do"/, exhibit.name);
    }
  }
});

test('a page is never stored, and keeps the status that it is given or finds', async (t) => {
  const renderer = createRenderer({ production: true });
  const app = new Koa();
  app.use(async (ctx) => {
    if (ctx.path === '/found') ctx.status = 418;
    await renderer.render(ctx, 'login/signed-out', {}, ctx.path === '/given' ? 410 : undefined);
  });
  const origin = await listen(t, app);
  const response = await fetch(origin);
  t.is(response.status, 200);
  t.is(response.headers.get('cache-control'), 'no-store');
  t.is(response.headers.get('content-type'), 'text/html; charset=utf-8');
  t.is((await fetch(`${origin}/found`)).status, 418);
  t.is((await fetch(`${origin}/given`)).status, 410);
});

test('a value that the model lacks is a fault, not a gap', async (t) => {
  const viewsDir = folderWith(t, { 'page.njk': 'Hello {{ nobody }}', 'other.njk': '{{ user.nothing }}' });
  const renderer = createRenderer({ production: false, viewsDir });
  const app = new Koa();
  app.silent = true;
  app.use((ctx) => renderer.render(ctx, ctx.path.slice(1), { user: {} }));
  const origin = await listen(t, app);
  t.is((await fetch(`${origin}/page`)).status, 500);
  t.is((await fetch(`${origin}/other`)).status, 500);
  t.is((await fetch(`${origin}/absent`)).status, 500);
});

test('views of another folder use our layouts', async (t) => {
  const viewsDir = folderWith(t, { 'own.njk': '{% extends "login/layout.njk" %}{% block heading %}{{ greeting }}{% endblock %}' });
  const renderer = createRenderer({ production: true, viewsDir });
  const app = new Koa();
  app.use((ctx) => renderer.render(ctx, 'own', { greeting: '<Salve>' }));
  t.regex(await (await fetch(await listen(t, app))).text(), /<h1>&lt;Salve&gt;<\/h1>/);
});

test('of many pages at once, each goes to who asked for it', async (t) => {
  const viewsDir = folderWith(t, { 'page.njk': '{{ who }}' });
  const renderer = createRenderer({ production: false, viewsDir });
  const app = new Koa();
  app.use((ctx) => renderer.render(ctx, 'page', { who: ctx.path.slice(1) }));
  const origin = await listen(t, app);
  const names = Array.from({ length: 50 }, (_, index) => `visitor-${index}`);
  t.deepEqual(await Promise.all(names.map(async (name) => (await fetch(`${origin}/${name}`)).text())), names);
});

test('a model cannot hand the engine orders', async (t) => {
  const viewsDir = folderWith(t, { 'page.njk': '{{ settings.views }}' });
  const renderer = createRenderer({ production: true, viewsDir });
  const app = new Koa();
  app.use((ctx) => renderer.render(ctx, 'page', { settings: { views: '<b>' }, loader: 'x', nunjucks: { loader: '/etc' } }));
  t.is(await (await fetch(await listen(t, app))).text(), '&lt;b&gt;');
});

test('it renders on the ctx of oidc-provider, which is an app of its own', async (t) => {
  const renderer = createRenderer({ production: false });
  const provider = new Provider('http://127.0.0.1', {
    features: { devInteractions: { enabled: false } },
    async renderError(ctx, out) {
      await renderer.render(ctx, 'message', { title: 'Not a known application', message: out.error, hint: null, reference: null, link: null });
    },
  });
  const response = await fetch(`${await listen(t, provider)}/auth?client_id=<b>`);
  t.is(response.status, 400);
  t.is(response.headers.get('content-type'), 'text/html; charset=utf-8');
  t.regex(await response.text(), /<h1>Not a known application<\/h1>[\s\S]*invalid_client/);
});
