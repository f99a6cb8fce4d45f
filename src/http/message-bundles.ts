/** The texts of pages as Keycloak's consoles read them: a list of keys with their words in one language. */
import type Koa from 'koa';
import { notFound } from '../errors.ts';
import { ENGLISH, lookUp } from '../languages/languages.ts';
import { say, textsOf } from '../languages/messages.ts';

/** Parts that Keycloak has themes for. All of ours have the same texts. */
const THEME_TYPES = new Set(['account', 'admin', 'common', 'email', 'login', 'welcome']);

/**
 * Answers with the texts that a realm's pages show; a language that there is none of is English.
 * @throws 404 for a part of no page
 */
export function answerMessageBundle(ctx: Koa.Context, themeType: string, locale: string): void {
  if (!THEME_TYPES.has(themeType)) throw notFound(say('error.noPage'));
  ctx.set('Cache-Control', 'no-cache');
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.body = textsOf(lookUp([locale]) ?? ENGLISH).map(([key, value]) => ({ key, value }));
}
