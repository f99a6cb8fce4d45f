import test from 'ava';
import { isLanguage, LANGUAGES, lookUp } from '../../../src/languages/languages.ts';
import { inEnglish, inWords, say, sayOr, translatorFor } from '../../../src/languages/messages.ts';
import fc from '../../support/property.ts';

test('a tag finds its language, whatever its region, its script or its case', (t) => {
  for (const tag of ['de', 'DE', 'de-AT', 'de-Latn-CH', 'de-CH-1996', 'De-at-u-co-phonebk']) t.is(lookUp([tag]), 'de', tag);
  for (const tag of ['', '*', 'x', 'deu', 'd', 'de_AT', 'xx-de', 'en_GB', '-de', 'gsw']) t.is(lookUp([tag]), undefined, tag);
});

test('the first that there is wins', (t) => {
  t.is(lookUp(['xx', 'fr-CA', 'de']), 'fr');
  t.is(lookUp(['xx', 'yy']), undefined);
  t.is(lookUp([]), undefined);
});

test('whatever is asked for, what comes out is one of ours', (t) => {
  for (const tag of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '"><script>', 'de"', `de-${'x-'.repeat(5000)}`]) {
    const found = lookUp([tag]);
    t.true(found === undefined || isLanguage(found), tag);
  }
  fc.assert(
    fc.property(fc.array(fc.string()), (tags) => {
      const found = lookUp(tags);
      return found === undefined || Object.hasOwn(LANGUAGES, found);
    }),
  );
});

test('numbers and lengths of time are written as the language writes them', (t) => {
  const paused = (language: 'en' | 'de' | 'fr' | 'es' | 'it', wait: number) => inWords(say('error.paused', { wait }), translatorFor(language));
  t.is(paused('en', 30), 'Too many attempts. Try again in 30 seconds.');
  t.is(paused('en', 1), 'Too many attempts. Try again in 1 second.');
  t.is(paused('en', 89), 'Too many attempts. Try again in 89 seconds.');
  t.is(paused('en', 90), 'Too many attempts. Try again in 2 minutes.');
  t.is(paused('en', 2 * 3600), 'Too many attempts. Try again in 2 hours.');
  t.is(paused('de', 15 * 60), 'Zu viele Versuche. Versuchen Sie es in 15 Minuten noch einmal.');
  t.is(paused('fr', 15 * 60).replaceAll(/\s/g, ' '), 'Trop de tentatives. Réessayez dans 15 minutes.');
  t.is(paused('es', 24 * 3600), 'Demasiados intentos. Inténtelo de nuevo en 24 horas.');
  t.is(paused('it', 60), 'Troppi tentativi. Riprova tra 60 secondi.');
  const problems = (language: 'en' | 'de' | 'fr', count: number) => translatorFor(language)('page.problems', { count }).replaceAll(/\s/g, ' ');
  t.is(problems('en', 1), 'There is a problem');
  t.is(problems('en', 12_480), 'There are 12,480 problems');
  t.is(problems('de', 12_480), 'Es gibt 12.480 Probleme');
  t.is(problems('fr', 12_480), 'Il y a 12 480 problèmes');
  t.is(inEnglish(say('error.onlyMethods', { methods: ['GET', 'HEAD', 'POST'] })), 'This address takes requests by GET, HEAD, or POST only.');
  t.is(translatorFor('de')('error.onlyMethods', { methods: ['GET', 'POST'] }), 'Diese Adresse nimmt Anfragen nur mit GET oder POST an.');
});

test('a value is shown as it is: it names no other text, no placeholder and no option', (t) => {
  const translate = translatorFor('de');
  for (const application of [
    '$t(page.cancel)',
    '{{count}}',
    '{{application}}',
    "$& $1 $' $`",
    '{{- application}}',
    '<b>&amp;</b>',
    '\uE0000\uE001',
    '',
  ]) {
    t.is(translate('page.backTo', { application }), `Zurück zu ${application}`);
  }
  t.is(translate('page.backTo', { application: 'x', lng: 'en', defaultValue: 'no', context: 'male', ns: 'other' }), 'Zurück zu x');
});

test('a key made up from a name is a text only where there is one', (t) => {
  t.deepEqual(sayOr('error.title.404', 'else'), { key: 'error.title.404' });
  for (const key of ['error.title', 'error.title.999', 'error.title.constructor', 'error', '', 'factor.__proto__.name', 'page:cancel'])
    t.is(sayOr(key, 'else'), 'else', key);
});
