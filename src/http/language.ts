/**
 * The language of a page. What the application asked for comes first, then what the browser prefers, then English. Nothing
 * that came in is kept or shown: what is asked for only chooses among ours.
 */
import type Koa from 'koa';
import { ENGLISH, isLanguage, type Language, lookUp } from '../languages/languages.ts';

/**
 * What an authorization or logout request asks for: Keycloak's `kc_locale`, which its applications set once their user has
 * chosen, and else `ui_locales` (OpenID Connect Core 1.0 section 3.1.2.1), tags in order of preference.
 */
export function askedLanguage(params: Readonly<Record<string, unknown>>): Language | undefined {
  return lookUp([params.kc_locale, params.ui_locales].flatMap((value) => (typeof value === 'string' ? value.split(' ', MOST_TAGS) : [])));
}

/** Notes what a request asks for. */
export function askLanguage(ctx: Koa.Context, params: Readonly<Record<string, unknown>>): void {
  const asked = askedLanguage(params);
  if (asked !== undefined) setLanguage(ctx, asked);
}

/** For pages that are in one language whatever is preferred. */
export function setLanguage(ctx: Koa.Context, language: Language): void {
  ctx.state.language = language;
}

/** The language of this answer: the one that was noted, or what the browser likes best of ours. */
export function languageOf(ctx: Koa.Context): Language {
  const noted: unknown = ctx.state.language;
  return isLanguage(noted) ? noted : (lookUp(ctx.acceptsLanguages()) ?? ENGLISH);
}

/** Who lists more than this has listed none of ours by mistake. */
const MOST_TAGS = 50;
