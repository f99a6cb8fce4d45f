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
 */
import { fileURLToPath } from 'node:url';
import type Koa from 'koa';
import views from 'koa-views';
import nunjucks from 'nunjucks';
import { createStatics, type Statics } from './statics.ts';

const VIEWS_DIR = fileURLToPath(new URL('../../views/', import.meta.url));

/** One thing that is wrong with a form: which field, if it is one, and what to do about it. */
export interface FormError {
  field: string | null;
  message: string;
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
}

/** Builds the renderer: once per process (or per folder of views). */
export function createRenderer(options: RendererOptions): Renderer {
  const statics = options.statics ?? createStatics();
  const folder = options.viewsDir ?? VIEWS_DIR;
  const environment = createEnvironment(options.production, [...new Set([folder, VIEWS_DIR])]);
  const bind = views(folder, {
    extension: 'njk',
    map: { njk: 'nunjucks' },
    engineSource: { nunjucks: (file: string, model: object) => renderFile(environment, file, model) },
  });

  const common = {
    lang: 'en',
    realm: null,
    client: null,
    errors: [],
    assets: { css: statics.url('cardea.css'), icon: statics.url('favicon.svg') },
  };

  return {
    async render(ctx, view, model, status) {
      await bind(ctx, nothingElse);
      await ctx.render(view, { ...common, ...model });
      if (status !== undefined) ctx.status = status;
      ctx.type = 'text/html; charset=utf-8';
      ctx.set('Cache-Control', 'no-store');
    },
  };
}

const nothingElse = async (): Promise<void> => {};

function createEnvironment(production: boolean, folders: string[]): nunjucks.Environment {
  const loader = new nunjucks.FileSystemLoader(folders, { noCache: !production });
  const environment = new nunjucks.Environment(loader, {
    autoescape: true,
    throwOnUndefined: !production,
    trimBlocks: true,
    lstripBlocks: true,
  });
  environment.addFilter('about', messageAbout);
  environment.addFilter('focus', fieldToFocus);
  environment.addFilter('moment', moment);
  environment.addFilter('grouped', (count: number) => countFormat.format(count));
  return environment;
}

function renderFile(environment: nunjucks.Environment, file: string, model: object): Promise<string> {
  return new Promise((resolve, reject) => {
    environment.render(file, model, (error, html) => (error || html === null ? reject(error) : resolve(html)));
  });
}

/** `errors | about('code')`: the first message about that field, or the empty string. */
function messageAbout(errors: readonly FormError[], field: string): string {
  return errors.find((error) => error.field === field)?.message ?? '';
}

/** `errors | focus('username')`: the field to put the cursor in, which is the first wrong one, or else the one named. */
function fieldToFocus(errors: readonly FormError[], otherwise: string): string {
  return errors.find((error) => error.field !== null)?.field ?? otherwise;
}

const momentFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });

/** `count | grouped`: 12,480. */
const countFormat = new Intl.NumberFormat('en');

/** `iso | moment`: a time for people, in UTC because a page without script does not know where its reader is. */
function moment(iso: string): string {
  return `${momentFormat.format(new Date(iso))} UTC`;
}
