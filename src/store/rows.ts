/**
 * What every aggregate's file needs to turn rows into values and back: JSON columns read through zod, and booleans,
 * which SQLite stores as 0 and 1.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { corrupted } from '../errors.ts';

/** A connection or a transaction: what other rooms hand from one store function to the next without knowing knex. */
export type Queries = Knex;
export type Transaction = Knex.Transaction;

/** Reads a JSON text column; a value that does not fit its schema is a fault, never a default. */
export function fromJson<T>(schema: z.ZodType<T>, text: string, where: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw corrupted(`The stored value of ${where} cannot be read.`, cause);
  }
}

/** A boolean column of either engine. */
export const bool = (value: boolean | number): boolean => value === true || value === 1;

export const stringList = z.array(z.string());
export const stringLists = z.record(z.string(), z.array(z.string()));
export const stringMap = z.record(z.string(), z.string());

/** What names are compared by: NFKC, trimmed, lower-case. */
export const normalise = (name: string): string => name.normalize('NFKC').trim().toLowerCase();
