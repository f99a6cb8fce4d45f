/**
 * Letters: what a mail says, part by part, in one language, as text and as HTML. Values that somebody chose (names, labels)
 * are one line each wherever they stand, so that none begins a line of its own; the view escapes them for HTML.
 *
 * No letter holds a link that does anything by itself. Where there is one it leads to a page that asks to sign in, or, after
 * a forgotten password, to one with a button (login/recovery/link.ts).
 */
import { LANGUAGES, type Language } from '../languages/languages.ts';
import { inWords, say, translatorFor, type Values, type Words } from '../languages/messages.ts';
import { oneLine } from './channel.ts';

export type Part =
  | { kind: 'text'; words: Words }
  | { kind: 'facts'; facts: readonly (readonly [name: Words, value: Words])[] }
  /** Digits, by themselves on their line, so that they are easy to copy. */
  | { kind: 'code'; code: string }
  | { kind: 'link'; words: Words; href: string };

export interface Letter {
  language: Language;
  /** The realm's display name: who writes. */
  realm: string;
  /** Who is written to. */
  name: string;
  subject: Words;
  parts: readonly Part[];
}

/** What views/mail/letter.njk is given: words, in their language. */
export interface LetterModel {
  direction: 'ltr' | 'rtl';
  subject: string;
  realm: string;
  hello: string;
  parts: (
    | { kind: 'text'; text: string }
    | { kind: 'facts'; facts: { name: string; value: string }[] }
    | { kind: 'code'; code: string }
    | { kind: 'link'; text: string; href: string }
  )[];
}

/** Renders views/mail/letter.njk; the http room does. */
export type LetterHtml = (model: LetterModel, language: Language) => Promise<string>;

/** `say`, with values that are one line each. */
export const sayPlainly = (key: Parameters<typeof say>[0], values: Values): Words =>
  say(key, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? oneLine(value) : value])));

/** Puts a letter into words. */
export async function write(letter: Letter, html: LetterHtml): Promise<{ from: string; subject: string; text: string; html: string }> {
  const model = modelOf(letter);
  return { from: model.realm, subject: model.subject, text: textOf(model), html: (await html(model, letter.language)).trim() };
}

function modelOf(letter: Letter): LetterModel {
  const translate = translatorFor(letter.language);
  const words = (said: Words): string => oneLine(inWords(said, translate));
  return {
    direction: LANGUAGES[letter.language].direction,
    subject: words(letter.subject),
    realm: oneLine(letter.realm),
    hello: words(sayPlainly('mail.hello', { name: letter.name })),
    parts: letter.parts.map((part) => partOf(part, words)),
  };
}

function partOf(part: Part, words: (said: Words) => string): LetterModel['parts'][number] {
  switch (part.kind) {
    case 'text':
      return { kind: 'text', text: words(part.words) };
    case 'facts':
      return { kind: 'facts', facts: part.facts.map(([name, value]) => ({ name: words(name), value: words(value) })) };
    case 'code':
      return part;
    case 'link':
      return { kind: 'link', text: words(part.words), href: part.href };
  }
}

const textOf = ({ hello, realm, parts }: LetterModel): string => `${[hello, ...parts.map(paragraph), realm].join('\n\n')}\n`;

function paragraph(part: LetterModel['parts'][number]): string {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'facts':
      return part.facts.map(({ name, value }) => `${name}: ${value}`).join('\n');
    case 'code':
      return `    ${part.code}`;
    case 'link':
      return `${part.text}\n${part.href}`;
  }
}

/** A time as letters have it: the day in full, in UTC, for nobody knows where it is read. */
export function moment(at: number, language: Language): string {
  const format = new Intl.DateTimeFormat(LANGUAGES[language].intl, { dateStyle: 'full', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(at)} UTC`;
}
