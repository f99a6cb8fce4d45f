/**
 * Keycloak's `acr.loa.map`, an attribute of the realm: names of levels of the realm's own, each with a number. Here the
 * policy names them, and levels are called by their names; a number stands for one of them.
 */
import { badInput } from '../../errors.ts';
import { isLevel, LEVELS, type Level } from '../../policy/assurance.ts';
import type { PolicyDocument } from '../../policy/document.ts';
import { sameJson } from './realm-fields.ts';

export const LEVELS_ATTRIBUTE = 'acr.loa.map';
const FIELD = `attributes.${LEVELS_ATTRIBUTE}`;

type Acr = PolicyDocument['acr'];

/** @param kept the attribute as it was given, which is shown for as long as it says the same */
export function shownLevels(acr: Acr, kept: string | undefined): string | undefined {
  if (kept !== undefined && meansSame(kept, acr)) return kept;
  if (Object.keys(acr).length === 0) return undefined;
  return JSON.stringify(Object.fromEntries(Object.entries(acr).map(([name, level]) => [name, LEVELS.indexOf(level) + 1])));
}

function meansSame(kept: string, acr: Acr): boolean {
  try {
    return sameJson(sorted(levelsFrom(kept)), sorted(acr));
  } catch {
    return false;
  }
}

const sorted = (acr: Acr): [string, Level][] => Object.entries(acr).sort(([a], [b]) => (a < b ? -1 : 1));

/**
 * Levels by the realm's own names of them. 0 and 1 are the weakest, and there are as many numbers as levels; their names
 * are taken, too.
 * @throws AppError 400
 */
export function levelsFrom(text: string): Acr {
  const acr: Acr = {};
  for (const [name, value] of Object.entries(mapOf(text))) {
    const level = levelOf(value);
    if (level === undefined)
      throw badInput(FIELD, `${FIELD}: "${name}" has to be one of ${LEVELS.map((one, at) => `${at + 1} (${one})`).join(', ')}`);
    if (name === level) continue;
    if (isLevel(name)) throw badInput(FIELD, `${FIELD}: "${name}" is the name of a level, and cannot be given another meaning`);
    acr[name] = level;
  }
  return acr;
}

function mapOf(text: string): object {
  if (text.trim() === '') return {};
  let map: unknown;
  try {
    map = JSON.parse(text);
  } catch {
    map = undefined;
  }
  if (typeof map === 'object' && map !== null && !Array.isArray(map)) return map;
  throw badInput(FIELD, `${FIELD}: must be a JSON object of names and numbers`);
}

function levelOf(value: unknown): Level | undefined {
  const named = LEVELS.find((level) => level === value);
  if (named) return named;
  const number = typeof value === 'string' && /^\d$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 ? LEVELS[Math.max(number, 1) - 1] : undefined;
}
