/** Where a command reads and writes. Tests hand it streams of their own. */
import type { Readable, Writable } from 'node:stream';
import type { Config } from '../config.ts';

export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** @throws ConfigError */
  settings(): Config;
}
