/**
 * Telephone numbers, by libphonenumber-js: which text is one, of which country and kind, and whether a realm sends there.
 * The same answer is asked for when a number is enrolled and each time that something is sent to it.
 */
import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/max';

export type ReadNumber =
  | { ok: true /** E.164. */; number: string /** ISO 3166-1 alpha-2. */; country: string }
  /** `malformed`: no number, or not whole; `country`: the realm does not send there; `kind`: no mobile number. */
  | { ok: false; reason: 'malformed' | 'country' | 'kind'; country?: string };

/** As people write them; letters of other scripts that count as digits somewhere are none here. */
const WRITTEN = /^\+?[0-9 ()./-]+$/;
const MAX_WRITTEN = 40;

/**
 * The kinds that a text message reaches and that cost what a mobile number costs. In North America the kinds cannot be
 * told apart. Not among them: premium-rate and shared-cost numbers, pagers, personal numbers, and those that forward.
 */
const SENT_TO = new Set(['MOBILE', 'FIXED_LINE_OR_MOBILE']);

/**
 * @param typed with a country code, `+49 …` or `0049 …`; without one only where the realm sends to a single country
 * @param countries where the realm sends
 */
export function readNumber(typed: unknown, countries: readonly string[]): ReadNumber {
  if (typeof typed !== 'string' || typed.length > MAX_WRITTEN) return { ok: false, reason: 'malformed' };
  const text = typed.replaceAll(/[\s\u2010-\u2015]+/g, ' ').trim();
  if (!WRITTEN.test(text)) return { ok: false, reason: 'malformed' };
  const parsed = parsePhoneNumberFromString(text.replace(/^00/, '+'), { extract: false, ...onlyCountry(countries) });
  if (!parsed || parsed.ext !== undefined) return { ok: false, reason: 'malformed' };
  const { country } = parsed;
  // Satellite telephones and worldwide services are of no country.
  if (country === undefined || !countries.includes(country)) {
    const known = parsed.isPossible();
    return known ? { ok: false, reason: 'country', ...(country ? { country } : {}) } : { ok: false, reason: 'malformed' };
  }
  if (!parsed.isValid()) return { ok: false, reason: 'malformed', country };
  if (!SENT_TO.has(parsed.getType() ?? '')) return { ok: false, reason: 'kind', country };
  return { ok: true, number: parsed.number, country };
}

function onlyCountry(countries: readonly string[]): { defaultCountry?: CountryCode } {
  const [only, ...others] = countries;
  return only !== undefined && others.length === 0 && isSupportedCountry(only) ? { defaultCountry: only } : {};
}

/** Its last two digits, for whoever knows the rest. */
export const maskedNumber = (number: string): string => `•••• ${number.slice(-2)}`;
