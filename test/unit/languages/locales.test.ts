/** The texts of locales/ held against each other, against the views and against the code. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { texts as de } from '../../../locales/de/index.ts';
import { texts as en } from '../../../locales/en/index.ts';
import { texts as es } from '../../../locales/es/index.ts';
import { texts as fr } from '../../../locales/fr/index.ts';
import { texts as it } from '../../../locales/it/index.ts';
import { CLIENT_SCOPES } from '../../../src/admin/resources/realm-defaults.ts';
import { builtIn } from '../../../src/factors/index.ts';
import { LANGUAGES, type Language } from '../../../src/languages/languages.ts';

const factors = new Map(builtIn.map((factor) => [factor.id, factor]));
const TEXTS: Record<Language, object> = { en, de, es, fr, it };
const PLURAL = /_(zero|one|two|few|many|other)$/;

/** Every text with its key. */
function flat(texts: object, prefix = ''): [key: string, text: string][] {
  return Object.entries(texts).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' ? [[`${prefix}${name}`, value]] : flat(value, `${prefix}${name}.`),
  );
}
const textsOf = (language: Language): Map<string, string> => new Map(flat(TEXTS[language]));
const keysOf = (language: Language): string[] => [...new Set([...textsOf(language).keys()].map((key) => key.replace(PLURAL, '')))].sort();
/** With their formats: a number that is not formatted as one is a mistake too. */
const placeholders = (text: string): string[] => [...text.matchAll(/\{\{\s*(.+?)\s*\}\}/g)].map(([, inner = '']) => inner).sort();
const english = textsOf('en');
const others = (['de', 'es', 'fr', 'it'] as const).map((language) => ({ language, texts: textsOf(language) }));

test('the languages are those of the folders', (t) => {
  t.deepEqual(readdirSync(new URL('../../../locales/', import.meta.url)).sort(), Object.keys(LANGUAGES).sort());
  for (const language of Object.keys(LANGUAGES))
    t.deepEqual(
      readdirSync(new URL(`../../../locales/${language}/`, import.meta.url)).sort(),
      [...Object.keys(en).map((file) => `${file}.json`), 'index.ts'].sort(),
    );
});

for (const { language, texts } of others) {
  test(`${language} has exactly the texts of English, with the same placeholders`, (t) => {
    t.deepEqual(keysOf(language), keysOf('en'));
    for (const [key, text] of texts) {
      const model = english.get(key) ?? english.get(key.replace(PLURAL, '_other')) ?? '';
      t.deepEqual(placeholders(text), placeholders(model), key);
    }
  });

  test(`${language} is another language, and ends its sentences`, (t) => {
    // What holds nothing but places for words is the same everywhere.
    const hasWords = (text: string) => /\p{L}/u.test(text.replaceAll(/\{\{.*?\}\}/g, ''));
    const same = [...texts].filter(([key, text]) => text === english.get(key) && text.length > 12 && hasWords(text)).map(([key]) => key);
    t.deepEqual(same, []);
    for (const [key, text] of texts) {
      const model = english.get(key) ?? english.get(key.replace(PLURAL, '_other')) ?? '';
      for (const end of ['.', ':']) t.is(text.endsWith(end), model.endsWith(end), `${key}: ${text}`);
    }
  });
}

for (const language of Object.keys(TEXTS) as Language[]) {
  test(`${language}: plurals are there in every form that the language has`, (t) => {
    const keys = new Set(textsOf(language).keys());
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const base of new Set([...keys].filter((key) => PLURAL.test(key)).map((key) => key.replace(PLURAL, ''))))
      t.deepEqual([...keys].filter((key) => key.replace(PLURAL, '') === base).sort(), forms.map((form) => `${base}_${form}`).sort());
  });

  test(`${language}: texts are plain, composed, trimmed, and written with the language's own marks`, (t) => {
    for (const [key, text] of textsOf(language)) {
      const said = `${language} ${key}: ${text}`;
      t.notRegex(text, /[<>`\\]|&\w*;|\$t\(|\{\{-/, said);
      t.is(text, text.normalize('NFC').trim(), said);
      t.not(text, '', said);
      t.notRegex(text, / {2}|\.\.|\p{Cc}|\p{Co}|[\u202a-\u202e\u2066-\u2069]/u, said);
      t.notRegex(text, language === 'en' ? /'/ : /['"]/, said);
      // A space before these that can break would leave the mark alone on the next line.
      if (language === 'fr') t.notRegex(text, /[^\u202f][?!;]|[^\u00a0]:|«[^\u00a0]|[^\u00a0]»/u, said);
    }
  });
}

test('English is what factors and scopes call themselves', (t) => {
  for (const factor of factors.values()) {
    t.is(english.get(`factor.${factor.id}.name`), factor.name);
    t.is(english.get(`factor.${factor.id}.strength`), factor.strength);
  }
  for (const { name, description } of CLIENT_SCOPES) t.is(english.get(`login.scope.${name}`), description);
});

const sources = (folder: string, extension: string): { name: string; code: string }[] => {
  const root = new URL(`../../../${folder}/`, import.meta.url);
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => ({ name: `${folder}/${name}`, code: readFileSync(new URL(name, root), 'utf8') }));
};
const views = sources('views', '.njk');
const everything = [...views, ...sources('src', '.ts')];

/** Keys that are made up from the name of something. */
const MADE_UP = [
  /^error\.(title|hint)\.(\d{3}|[a-z_]+)$/,
  /^factor\.[\w-]+\.(name|strength)$/,
  /^factor\.[\w-]+(\.enrol)?\.refused\.[\w-]+$/,
  /^login\.(scope|level)\.[\w-]+$/,
  // By what is unusual about a sign-in (src/admin/resources/policy-words.ts).
  /^policy\.risk\.[\w-]+$/,
  // By what there is to tell (src/delivery/notices.ts).
  /^mail\.(method|number|password|email|recovery|newDevice|signIns|pass)\w*\.(subject|said|fine|notYou)$/,
];

test('every text is used', (t) => {
  const all = everything.map(({ code }) => code).join('\n');
  const unused = keysOf('en').filter(
    (key) => !MADE_UP.some((pattern) => pattern.test(key)) && !new RegExp(`['"]${key.replaceAll('.', '\\.')}['"]`).test(all),
  );
  t.deepEqual(unused, []);
  const scopes = new Set(['openid', ...CLIENT_SCOPES.map(({ name }) => name)]);
  for (const key of keysOf('en')) {
    const [, scope] = /^login\.scope\.(.+)$/.exec(key) ?? [];
    if (scope !== undefined) t.true(scopes.has(scope), key);
    const [, code] = /^error\.(?:title|hint)\.([a-z_]+)$/.exec(key) ?? [];
    if (code !== undefined) t.true(all.includes(`code: '${code}'`) || all.includes(`'${key}'`), key);
    const [, factor] = /^factor\.([^.]+)\./.exec(key) ?? [];
    // Custom factors share their texts.
    if (factor !== undefined) t.true(factor === 'custom' || factors.has(factor), key);
  }
});

test('every text that a view asks for is there', (t) => {
  const keys = new Set(keysOf('en'));
  const asked = views.flatMap(({ name, code }) => [...code.matchAll(/\bt\(\s*([^,)]*)/g)].map(([, key = '']) => ({ name, key })));
  t.true(asked.length > 60);
  for (const { name, key } of asked) {
    t.regex(key, /^"[\w.-]+"\s*$/, `${name}: ${key}`);
    t.true(keys.has(JSON.parse(key)), `${name}: ${key}`);
  }
});

test('whoever uses a text with placeholders gives what stands in them, and nothing else', (t) => {
  for (const key of keysOf('en')) {
    const model = english.get(key) ?? english.get(`${key}_other`) ?? '';
    const wanted = placeholders(model).map((placeholder) => placeholder.split(',')[0] ?? '');
    for (const { name, code } of everything) {
      for (const match of code.matchAll(new RegExp(`(\\w*)\\(?\\s*['"]${key.replaceAll('.', '\\.')}['"](,\\s*\\{)?`, 'g'))) {
        const given = match[2] === undefined ? [] : namesOf(code.slice(match.index + match[0].length));
        t.deepEqual(given.sort(), wanted, `${name}: ${match[0]}`);
      }
    }
  }
});

/** The names in what follows the opening brace of an object. */
function namesOf(code: string): string[] {
  let depth = 0;
  let inner = '';
  for (const character of code) {
    if (/[)\]}]/.test(character)) depth -= 1;
    if (depth < 0) break;
    if (depth === 0) inner += character;
    if (/[([{]/.test(character)) depth += 1;
  }
  return inner
    .split(',')
    .map((entry) => entry.split(':')[0]?.trim() ?? '')
    .filter((entry) => entry !== '');
}

test('views hold no words of their own, but for the pages that are English', (t) => {
  const inEnglish = /^views\/(admin\/|inbox\.njk)/;
  for (const { name, code } of views.filter((view) => !inEnglish.test(view.name))) {
    const words = code
      .replaceAll(/\{#[\s\S]*?#\}/g, '')
      .replaceAll(/\{%[\s\S]*?%\}/g, '')
      .replaceAll(/\{\{[\s\S]*?\}\}/g, '')
      .replaceAll(/<[^>]*>/g, '')
      .match(/\p{L}{2,}/gu);
    t.is(words, null, name);
    t.notRegex(code, /(aria-label|title|placeholder|alt)="[^"{]/, name);
  }
});
