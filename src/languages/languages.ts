/**
 * Languages: what a person is told, in the language that they read. English is the one that the texts are written in and
 * that everything falls back to.
 *
 *     a room ─ say('login.code.wrong') ─► the page's view ─ translatorFor('de') ─► locales/de/login.json
 *
 * Rooms do not know which language a page will have: they hand on what is to be said (messages.ts), and the renderer, which
 * knows the request, puts it into words. The texts stand in locales/<language>/, one file a part of the product.
 *
 * This file holds which languages there are, and which of them fits what somebody asks for.
 */

interface LanguageFacts {
  /** The name that Intl formats by. English dates are written as in Britain: 3 Feb 2026 is read in one way only. */
  intl: string;
  direction: 'ltr' | 'rtl';
}

export const LANGUAGES = {
  en: { intl: 'en-GB', direction: 'ltr' },
  de: { intl: 'de', direction: 'ltr' },
  es: { intl: 'es', direction: 'ltr' },
  fr: { intl: 'fr', direction: 'ltr' },
  it: { intl: 'it', direction: 'ltr' },
} as const satisfies Record<string, LanguageFacts>;

/** One of ours, as the `lang` attribute has it (BCP 47). */
export type Language = keyof typeof LANGUAGES;

export const ENGLISH: Language = 'en';

export const isLanguage = (value: unknown): value is Language => typeof value === 'string' && Object.hasOwn(LANGUAGES, value);

/**
 * The first of these language tags for which there is a language of ours, by lookup (RFC 4647 section 3.4): `de-AT` finds
 * `de`. Undefined when none does. What comes out is never what came in, but one of ours.
 *
 * @param wanted tags in order of preference, as somebody else wrote them
 */
export function lookUp(wanted: readonly string[]): Language | undefined {
  for (const tag of wanted) {
    const parts = tag.toLowerCase().split('-', MOST_PARTS);
    for (let length = parts.length; length > 0; length -= 1) {
      const range = parts.slice(0, length).join('-');
      if (isLanguage(range)) return range;
    }
  }
  return undefined;
}

/** More subtags than any real one has. */
const MOST_PARTS = 8;
