/**
 * What a new password has to be. Long rather than odd: no rule asks for a digit or a sign (NIST SP 800-63B-4 section 3.1.1.2
 * forbids such rules), and every character is allowed. Pure.
 */

/** What the hasher takes. */
export const MOST_BYTES = 1024;

export type PasswordProblem = 'too-short' | 'too-long' | 'name' | 'pattern' | 'not-text';

/** @param whose what it must not be: the names that everybody knows */
export function passwordProblem(password: string, least: number, whose: { username: string; email: string | null }): PasswordProblem | undefined {
  if (!password.isWellFormed()) return 'not-text';
  if ([...password].length < least) return 'too-short';
  if (Buffer.byteLength(password) > MOST_BYTES) return 'too-long';
  const plain = comparable(password);
  const names = [whose.username, whose.email ?? '', (whose.email ?? '').split('@', 1)[0] ?? ''].map(comparable);
  if (names.some((name) => name.length > 2 && isName(plain, name))) return 'name';
  return isPattern([...plain]) ? 'pattern' : undefined;
}

const comparable = (text: string): string => text.normalize('NFKC').trim().toLowerCase();

/** With a few digits or signs behind it, it is still the name. */
function isName(plain: string, name: string): boolean {
  const core = (text: string): string => text.replace(/[^\p{L}]+$/u, '');
  return plain === name || (core(name).length > 2 && core(plain) === core(name));
}

/** One or two characters over and over, or a run of the alphabet or of the digits. */
function isPattern(characters: readonly string[]): boolean {
  if (new Set(characters).size <= 2) return true;
  const points = characters.map((character) => character.codePointAt(0) ?? 0);
  const steps = new Set(points.slice(1).map((point, index) => point - (points[index] ?? 0)));
  return steps.size === 1;
}
