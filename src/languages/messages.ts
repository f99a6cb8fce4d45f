/** What is to be said, apart from the language that it is said in; and the words for it, by i18next. */
import { createInstance } from 'i18next';
import { texts as de } from '../../locales/de/index.ts';
import { texts as en } from '../../locales/en/index.ts';
import { texts as es } from '../../locales/es/index.ts';
import { texts as fr } from '../../locales/fr/index.ts';
import { texts as it } from '../../locales/it/index.ts';
import { ENGLISH, LANGUAGES, type Language } from './languages.ts';

/** The keys of English texts, such as `login.signIn.title`; forms of a plural are one key. */
export type MessageKey = KeyOf<typeof en>;
type KeyOf<Texts> = { [Key in keyof Texts & string]: Texts[Key] extends string ? WithoutPlural<Key> : `${Key}.${KeyOf<Texts[Key]>}` }[keyof Texts &
  string];
type WithoutPlural<Key extends string> = Key extends `${infer Base}_${'one' | 'other'}` ? Base : Key;

/** What stands in a text's placeholders. */
export type Values = Readonly<Record<string, string | number | readonly string[]>>;

/** Something of ours to be said. */
export interface Saying {
  readonly key: MessageKey;
  readonly values?: Values;
}

/** What can be shown: something of ours to be said, or somebody else's words as they are. */
export type Words = Saying | string;

/** `say('error.paused', { wait: 30 })`: what to say, for whoever knows in which language. */
export const say = (key: MessageKey, values?: Values): Saying => (values === undefined ? { key } : { key, values });

export type Translate = (key: MessageKey, values?: Values) => string;

const TEXTS = { en, de, es, fr, it };

const i18n = createInstance();
// Nothing is loaded, so that this is done when it returns. The views escape; a value never is looked into for further keys.
i18n.init({
  initAsync: false,
  lng: ENGLISH,
  fallbackLng: ENGLISH,
  supportedLngs: Object.keys(LANGUAGES),
  resources: Object.fromEntries(Object.entries(TEXTS).map(([language, translation]) => [language, { translation }])),
  interpolation: { escapeValue: false, skipOnVariables: true },
});
i18n.services.formatter?.add('alternatives', (names: readonly string[], language) =>
  new Intl.ListFormat(language, { type: 'disjunction' }).format(names),
);
i18n.services.formatter?.add('duration', (seconds: number, language) => duration(seconds, language ?? ENGLISH));
i18n.services.formatter?.add('number', (count: number, language) => new Intl.NumberFormat(language).format(count));

/** The words of a language. A text that it lacks is English. */
export function translatorFor(language: Language): Translate {
  const translate = i18n.getFixedT(language);
  // `replace`, so that no value is taken for one of i18next's own options; but `count` chooses the plural.
  return (key, values = {}) => translate(key, { replace: values, nest: false, ...('count' in values ? { count: Number(values.count) } : {}) });
}

/** Every text of a language as it was written, by its key. */
export function textsOf(language: Language): [key: string, text: string][] {
  const within = (at: string, node: object): [string, string][] =>
    Object.entries(node).flatMap(([key, value]) => (typeof value === 'string' ? [[`${at}${key}`, value]] : within(`${at}${key}.`, value)));
  return within('', TEXTS[language]);
}

/** In words. */
export const inWords = (words: Words, translate: Translate): string => (typeof words === 'string' ? words : translate(words.key, words.values));

/** For logs, programs and the command line. */
export const inEnglish = (words: Words): string => inWords(words, translatorFor(ENGLISH));

const isMessageKey = (key: string): key is MessageKey => i18n.exists(key, { lng: ENGLISH, returnObjects: false });

/** The text of that key where there is one, for keys that are made up from the name of something; else these words. */
export const sayOr = (key: string, otherwise: Words): Words => (isMessageKey(key) ? say(key) : otherwise);

function amountOf(seconds: number): [amount: number, unit: 'second' | 'minute' | 'hour' | 'day'] {
  if (seconds < 90) return [seconds, 'second'];
  if (seconds < 90 * 60) return [Math.ceil(seconds / 60), 'minute'];
  return seconds < 48 * 3600 ? [Math.ceil(seconds / 3600), 'hour'] : [Math.ceil(seconds / 86_400), 'day'];
}

/** Seconds, for people: exact below a minute and a half, and rounded up to minutes, hours or days above. */
function duration(seconds: number, language: string): string {
  const [amount, unit] = amountOf(seconds);
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(amount);
}
