/** A realm's terms, as its administrators write them: plain text in attributes of the realm, one for all languages and one for each. */
import type { RealmSettings } from './settings.ts';

export const TERMS_TEXT = 'cardea.terms';

/** A paragraph: its lines, or an address that stands alone in it. */
export type TermsParagraph = { lines: string[] } | { address: string };

/**
 * In the language of the page, or else as they stand for all; none where nobody has written any.
 * @param language such as `de`
 */
export function termsOf({ attributes }: Pick<RealmSettings, 'attributes'>, language: string): TermsParagraph[] {
  const own = `${TERMS_TEXT}.${language}`;
  const name = Object.hasOwn(attributes, own) ? own : TERMS_TEXT;
  const text = Object.hasOwn(attributes, name) ? (attributes[name] ?? '') : '';
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== '')
    .map((paragraph) => (isAddress(paragraph) ? { address: paragraph } : { lines: paragraph.split('\n').map((line) => line.trim()) }));
}

const isAddress = (paragraph: string): boolean => !/\s/.test(paragraph) && URL.parse(paragraph)?.protocol === 'https:';
