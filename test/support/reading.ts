/** Reads pages as a person would: what they say, what they complain about, and where the cursor is. */
import { type Page, unescapeHtml } from './agent.ts';

/** What a page says to whoever reads it. */
export const said = (page: Page): string =>
  unescapeHtml((/<main[\s\S]*<\/main>/.exec(page.html)?.[0] ?? page.html).replace(/<svg[\s\S]*?<\/svg>/g, ' ').replace(/<[^>]+>/g, ' ')).replace(
    /\s+/g,
    ' ',
  );

/** A page of ours, and neither JSON nor the bare words of a library. */
export const isPage = (page: Page): boolean => page.headers.get('content-type') === 'text/html; charset=utf-8' && page.html.includes('<main');

/** The error that a form shows next to a field. */
export const errorAt = (page: Page, field: string): string | undefined =>
  new RegExp(`id="wrong-${field}">(.*?)</p>`).exec(page.html)?.[1]?.replace(/<[^>]+>/g, '');

/** The field that the cursor is put in. */
export const focused = (page: Page): string | undefined => /<(?:input|button)\b[^>]*\bautofocus/.exec(page.html)?.[0].match(/name="([^"]*)"/)?.[1];

/** Where the page leads on. */
export const linkOf = (page: Page): string => unescapeHtml(/<a class="button primary" href="([^"]+)"/.exec(page.html)?.[1] ?? '');
