/** What people type into the forms of factors: codes, and names of their own for what they set up. */
import { READABLE } from '../crypto/codes.ts';

/** Longer input is no code, however it is written. */
const MAX_INPUT = 64;
const MAX_LABEL = 64;

/**
 * A code as it was typed: exactly as many ASCII digits as asked, but for the spaces and hyphens that people put between them.
 * @returns undefined for what is no code of any of these lengths
 */
export function codeOf(typed: unknown, lengths: readonly number[]): string | undefined {
  if (typeof typed !== 'string' || typed.length > MAX_INPUT) return undefined;
  const code = typed.trim().replace(/(?<=[0-9])[\s-]+(?=[0-9])/g, '');
  return /^[0-9]+$/.test(code) && lengths.includes(code.length) ? code : undefined;
}

/**
 * A code of letters and digits that was read from paper or a screen: capital letters, and spaces or hyphens wherever
 * people put them.
 * @returns undefined for what is no code of that length
 */
export function readableCodeOf(typed: unknown, length: number): string | undefined {
  if (typeof typed !== 'string' || typed.length > MAX_INPUT) return undefined;
  const code = typed.replace(/[\s\u2010-\u2015-]/g, '').toLowerCase();
  return code.length === length && [...code].every((character) => READABLE.includes(character)) ? code : undefined;
}

/** The user's own name for something, without characters that are not seen and could turn a line around; empty when they gave none. */
export function labelOf(typed: unknown): string {
  if (typeof typed !== 'string') return '';
  const label = typed
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}]/gu, '')
    .trim();
  return [...label].slice(0, MAX_LABEL).join('');
}
