/**
 * The factors of this product: one line each. Pages, policy and the command line find them here and nowhere else, and
 * the contract suite (test/contracts/factor.test.ts) runs against every one.
 */
import type { Factor } from './factor.ts';
import { password } from './password/password.ts';
import { totp } from './totp/totp.ts';

// biome-ignore format: one line a factor
const all: readonly Factor[] = [
  password,
  totp,
];

/** By id, the database value. */
export const factors: ReadonlyMap<string, Factor> = new Map(all.map((factor) => [factor.id, factor]));
