/**
 * Turns a view and a model into the page that is sent. The only importer of koa-views and nunjucks.
 *
 * Why nunjucks: it escapes every value by default; templates inherit (one layout, blocks, macros) and hold no code; it
 * can be told to throw on a value that is missing instead of printing nothing; it is Mozilla's, old, widely used and
 * changes little (which also means that few people work on it). `safe`, its way around escaping, is used
 * once in our views, for the QR code that we draw ourselves; a test counts.
 *
 * koa-views finds the view and sends the page. Two of its ways are avoided. Its stock engines come from consolidate,
 * which gives nunjucks each page as a string and so compiles it at every request, and takes orders from the model
 * (`settings`, `loader`); `engineSource` lets nunjucks load and keep the templates itself. And its function for
 * `app.context.render` keeps the current ctx in one variable across an await, so that of two requests at once one gets
 * the other's page; made for one ctx, as here, it does not.
 *
 * Each language has an environment of its own, made when a page is first asked for in it: `t`, `lang`, and the filters that
 * write times and numbers are the environment's, and so are at hand in every view and macro.
 */
import { fileURLToPath } from 'node:url';
import type Koa from 'koa';
import views from 'koa-views';
import nunjucks from 'nunjucks';
import { LANGUAGES, type Language } from '../languages/languages.ts';
import { inWords, type MessageKey, type Translate, translatorFor, type Values, type Words } from '../languages/messages.ts';
import { languageOf } from './language.ts';
import { createStatics, type Statics } from './statics.ts';

const VIEWS_DIR = fileURLToPath(new URL('../../views/', import.meta.url));

/** One thing that is wrong with a form: which field, if it is one, and what to do about it. */
export interface FormError {
  field: string | null;
  message: Words;
}

export interface Renderer {
  /**
   * Renders `view` (such as `login/sign-in`) into ctx.body. Works on any Koa ctx, oidc-provider's own included.
   * A `status` that is not given leaves the one already set, or 200.
   * @throws when the view does not exist or fails; nothing has been sent then.
   */
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
}

export interface RendererOptions {
  /** Keeps compiled views; otherwise an edited view shows at the next request, and a missing value throws. */
  production: boolean;
  statics?: Statics;
  /** Another folder of views whose layouts may come from ours, for the demo application. */
  viewsDir?: string;
  /** The one language of all pages; otherwise each page's own. */
  language?: Language;
}

/** Builds the renderer: once per process (or per folder of views). */
export function createRenderer(options: RendererOptions): Renderer {
  const statics = options.statics ?? createStatics();
  const folder = options.viewsDir ?? VIEWS_DIR;
  const environmentFor = environmentsOf(options.production, [...new Set([folder, VIEWS_DIR])]);
  const bind = views(folder, {
    extension: 'njk',
    map: { njk: 'nunjucks' },
    engineSource: { nunjucks: (file: string, model: Model) => renderFile(environmentFor(model.language), file, model) },
  });

  const common = {
    realm: null,
    client: null,
    errors: [],
    assets: { css: statics.url('cardea.css'), icon: statics.url('favicon.svg'), once: statics.url('once.js'), webauthn: statics.url('webauthn.js') },
  };

  return {
    async render(ctx, view, model, status) {
      const language = options.language ?? languageOf(ctx);
      await bind(ctx, nothingElse);
      // With its ending, the view is there at the first look.
      await ctx.render(`${view}.njk`, { ...common, ...model, language } satisfies Model);
      if (status !== undefined) ctx.status = status;
      ctx.type = 'text/html; charset=utf-8';
      ctx.set('Cache-Control', 'no-store');
      ctx.set('Content-Language', language);
    },
  };
}

/** Renders views that are no pages, such as `mail/letter`, in a language. */
export function createWriter(options: { production: boolean }): (view: string, model: object, language: Language) => Promise<string> {
  const environmentFor = environmentsOf(options.production, [VIEWS_DIR]);
  return (view, model, language) => renderFile(environmentFor(language), `${view}.njk`, model);
}

/** One for each language, made when it is first asked for. */
function environmentsOf(production: boolean, folders: string[]): (language: Language) => nunjucks.Environment {
  const environments = new Map<Language, nunjucks.Environment>();
  return (language) => {
    const environment = environments.get(language) ?? createEnvironment(language, production, folders);
    environments.set(language, environment);
    return environment;
  };
}

interface Model {
  language: Language;
}

const nothingElse = async (): Promise<void> => {};

function createEnvironment(language: Language, production: boolean, folders: string[]): nunjucks.Environment {
  const loader = new nunjucks.FileSystemLoader(folders, { noCache: !production });
  const environment = new nunjucks.Environment(loader, {
    autoescape: true,
    throwOnUndefined: !production,
    trimBlocks: true,
    lstripBlocks: true,
  });
  const translate = translatorFor(language);
  const { intl, direction } = LANGUAGES[language];
  const moments = new Intl.DateTimeFormat(intl, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  const counts = new Intl.NumberFormat(intl);
  environment.addGlobal('t', viewTranslator(environment, translate));
  environment.addGlobal('lang', language);
  environment.addGlobal('dir', direction);
  environment.addFilter('words', (words: Words) => inWords(words, translate));
  environment.addFilter('about', (errors: readonly FormError[], field: string) => messageAbout(errors, field, translate));
  environment.addFilter('focus', fieldToFocus);
  // In UTC, because a page without script does not know where its reader is.
  environment.addFilter('moment', (iso: string) => `${moments.format(new Date(iso))} UTC`);
  environment.addFilter('grouped', (count: number) => counts.format(count));
  return environment;
}

function renderFile(environment: nunjucks.Environment, file: string, model: object): Promise<string> {
  return new Promise((resolve, reject) => {
    environment.render(file, model, (error, html) => (error || html === null ? reject(error) : resolve(html)));
  });
}

const { SafeString } = nunjucks.runtime;

/**
 * `t("login.signIn.lead", { application: ui.name(client.name) })`. Among the values there may be markup that a macro made;
 * it stays markup, and all the rest is escaped.
 */
function viewTranslator(environment: nunjucks.Environment, translate: Translate) {
  // The filter leaves markup as it is.
  const escaped = (value: unknown): string => String(environment.getFilter('escape')(value));
  return (key: MessageKey, values: Readonly<Record<string, unknown>> = {}): unknown => {
    if (!Object.values(values).some((value) => value instanceof SafeString)) return translate(key, plain(values));
    // Only once the words are escaped do the values take their places, which no value can name.
    const parts: string[] = [];
    const places: Record<string, string | number> = {};
    for (const [name, value] of Object.entries(values))
      places[name] = typeof value === 'number' ? value : `\uE000${parts.push(escaped(value)) - 1}\uE001`;
    return new SafeString(escaped(translate(key, places)).replaceAll(/\uE000(\d+)\uE001/g, (_, index) => parts[Number(index)] ?? ''));
  };
}

const plain = (values: Readonly<Record<string, unknown>>): Values =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === 'number' ? value : String(value)]));

/** `errors | about('code')`: the first message about that field, or the empty string. */
function messageAbout(errors: readonly FormError[], field: string, translate: Translate): string {
  return inWords(errors.find((error) => error.field === field)?.message ?? '', translate);
}

/** `errors | focus('username')`: the field to put the cursor in, which is the first wrong one, or else the one named. */
function fieldToFocus(errors: readonly FormError[], otherwise: string): string {
  return errors.find((error) => error.field !== null)?.field ?? otherwise;
}
