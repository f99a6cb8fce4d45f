/**
 * Which path a request is for, as every program behind a gate may understand it. Pure.
 *
 * The proxy has decoded and normalised the path once. What could still be read in two ways is refused: a second encoding,
 * a backslash, an empty or dotted segment. What programs commonly leave out or fold (case, `;parameters`, dots and blanks
 * at the end of a segment, compatibility forms of letters) gives a second reading, and rules hold for both: a spelling of
 * a protected path that one of them would serve never gets by with less.
 */

const MAX_LENGTH = 4_096;
/** Control characters, line ends, a backslash, another encoding, and what begins a query or a fragment. */
const AMBIGUOUS = /[\p{Cc}\p{Zl}\p{Zp}\ufffd\\%?#]/u;

/** The path with what it may mean; undefined for one that no rule can be asked about. */
export interface GatePath {
  /** As it came. */
  plain: string;
  /** As a program that folds would read it. */
  folded: string;
}

/** @param text decoded and normalised by the proxy, without a query */
export function readGatePath(text: string): GatePath | undefined {
  if (text.length > MAX_LENGTH || !isPlain(text)) return undefined;
  const folded = foldPath(text);
  return isPlain(folded) ? { plain: text, folded } : undefined;
}

/** One reading for all spellings that some program takes for the same path. Of a pattern of a rule, too. */
export function foldPath(path: string): string {
  return path.normalize('NFKC').toLowerCase().split('/').map(foldSegment).join('/');
}

/** A path that is fetched, as a request names it: percent-encoded, perhaps with a query. Undefined for one that has no reading. */
export function pathOfTarget(target: string): string | undefined {
  const [path = ''] = target.split(/[?#]/, 1);
  if (/%(?:2f|5c)/i.test(path)) return undefined;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** What follows a `;` is a parameter to some servers; others drop dots and blanks at the end of a name. */
function foldSegment(segment: string): string {
  const [name = ''] = segment.split(';', 1);
  // Looked at from where a run of them begins, and not from each of them: there may be thousands.
  const folded = name.replace(/(?<![.\s])[.\s]+$/u, '');
  // Nothing is left of `..;` or `. `: what it stands for is anybody's guess.
  return folded === '' && segment !== '' ? '.' : folded;
}

function isPlain(path: string): boolean {
  if (!path.startsWith('/') || AMBIGUOUS.test(path)) return false;
  const segments = path.slice(1).split('/');
  return segments.every((segment, index) => segment !== '.' && segment !== '..' && (segment !== '' || index === segments.length - 1));
}
