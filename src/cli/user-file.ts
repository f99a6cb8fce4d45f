/** A file of users that is read bit by bit, whatever it is written in. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { ImportEntry } from '../admin/resources/import-entry.ts';
import { badInput } from '../errors.ts';
import { reasonOf } from './files.ts';
import { csvUsers } from './user-csv.ts';
import { jsonUsers } from './user-json.ts';

/** What readers tell of a file besides its users. */
export interface UserFile {
  path: string;
  /** So many bytes more were read. */
  read(bytes: number): void;
  /** Something of this name is not taken over. */
  leaveOut(name: string): void;
}

/** Names that are told of at most: a file may have made them up. */
const MOST_NAMES = 100;

/** Opens a file of users. */
export function openUsers(path: string): { size: number; users: AsyncGenerator<ImportEntry>; done(): number; leftOut(): Record<string, number> } {
  let done = 0;
  const leftOut = new Map<string, number>();
  const file: UserFile = {
    path,
    read(bytes) {
      done += bytes;
    },
    leaveOut(name) {
      if (leftOut.has(name) || leftOut.size < MOST_NAMES) leftOut.set(name, (leftOut.get(name) ?? 0) + 1);
    },
  };
  const { size, start } = beginningOf(path);
  const isJson = /^\s*[[{]/.test(start);
  const [first = ''] = start.split(/\r?\n/, 1);
  const delimiter = [',', ';', '\t'].find((one) => first.includes(one)) ?? ',';
  return {
    size,
    users: isJson ? jsonUsers(file) : csvUsers(file, delimiter),
    done: () => done,
    leftOut: () => Object.fromEntries(leftOut),
  };
}

function beginningOf(path: string): { size: number; start: string } {
  try {
    const { size } = statSync(path);
    const handle = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(4096);
      const length = readSync(handle, bytes, 0, bytes.length, 0);
      return { size, start: bytes.toString('utf8', 0, length).replace(/^\ufeff/, '') };
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw badInput('file', `The file cannot be read: ${reasonOf(error)}.`);
  }
}
