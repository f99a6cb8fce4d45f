/** Files that a command is given to read: bounded, whatever they are. */
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 64 * 1024;

/**
 * The bytes of a file, or of a pipe or device that stands for one.
 * @param most how many it may have
 * @throws Error whose message says why it cannot be read
 */
export function readBounded(file: string, most: number): Buffer {
  const handle = openSync(file, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let size = 0; ; ) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      const read = readSync(handle, chunk);
      if (read === 0) return Buffer.concat(chunks);
      size += read;
      if (size > most) throw new Error(`it is larger than ${most / 1024} KiB`);
      chunks.push(chunk.subarray(0, read));
    }
  } finally {
    closeSync(handle);
  }
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : 'unknown');
