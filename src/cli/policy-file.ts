/** Policies that are handed to a command, in a file or on standard input. */
import { badInput } from '../errors.ts';
import { readBounded, reasonOf } from './files.ts';
import { readDocument } from './input.ts';
import type { Terminal } from './terminal.ts';

/** No policy is longer. */
const MAX_BYTES = 1024 * 1024;

/** A document from a file or from standard input, with the version that it was made from if it says so. */
export async function readPolicyFile(terminal: Terminal, file: string | undefined): Promise<{ document: unknown; version: number | undefined }> {
  let read: unknown;
  try {
    read = JSON.parse(file === undefined ? await readDocument(terminal, MAX_BYTES) : readBounded(file, MAX_BYTES).toString('utf8'));
  } catch (cause) {
    if (file === undefined && !(cause instanceof SyntaxError)) throw cause;
    throw badInput(
      file === undefined ? '' : 'file',
      `The policy cannot be read: ${cause instanceof SyntaxError ? 'it is not JSON' : reasonOf(cause)}.`,
    );
  }
  // The whole of `policy get --json`, too.
  const whole = typeof read === 'object' && read !== null && 'document' in read ? read : undefined;
  if (!whole) return { document: read, version: undefined };
  return { document: whole.document, version: 'version' in whole && typeof whole.version === 'number' ? whole.version : undefined };
}
