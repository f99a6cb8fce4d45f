/**
 * The chain of administrators' rows: what is hashed, and how the end is kept.
 *
 *     hash = SHA-256(hash of the row before, content)      content: every column; of personal ones a salted digest
 *     end  = HMAC(key, number of rows, hash of the last)   the key is wrapped by the master key, outside of the table
 *
 * Whoever can write to the database can change a row and compute every hash after it anew, but not the end. A personal
 * column stands in the content as HMAC(salt, column and value): the salt stands in the row and is deleted together with
 * the person, after which the digest tells nothing and the hash still holds.
 */
import { z } from 'zod';
import { hmac, randomToken, sha256 } from '../crypto/codes.ts';
import { corrupted } from '../errors.ts';
import type { AuditRow, ChainedRow, ChainHead, ChainLink } from '../store/audit.ts';
import { fromJson } from '../store/rows.ts';
import { PERSONAL_DETAILS } from './event.ts';

/** Part of every hash, so that another way of hashing can come one day. */
const VERSION = 'cardea-audit-1';
/** 128 bits, so that nobody finds a name by trying all names. */
const SALT_BYTES = 16;

const digest = z.string().nullable();
const digestsSchema = z.object({ actor: digest, ip: digest, userAgent: digest, subject: digest, details: digest });
export type Digests = z.infer<typeof digestsSchema>;
export const digestsOf = (row: ChainLink): Digests => fromJson(digestsSchema, row.digests, 'an audit row');

/** Details as they are hashed, and those that name a person. */
export function splitDetails(row: Pick<AuditRow, 'type' | 'details'>): { open: Record<string, unknown>; personal: Record<string, unknown> } {
  const details: unknown = JSON.parse(row.details);
  if (typeof details !== 'object' || details === null || Array.isArray(details)) throw corrupted('The details of an audit row are no object.');
  const named = personalDetailsOf(row.type);
  const entries = Object.entries(details);
  return {
    open: Object.fromEntries(entries.filter(([name]) => !named.includes(name))),
    personal: Object.fromEntries(entries.filter(([name]) => named.includes(name))),
  };
}

const byType: Readonly<Record<string, readonly string[] | undefined>> = PERSONAL_DETAILS;
const personalDetailsOf = (type: string): readonly string[] => byType[type] ?? [];

/** Gives a row its place after the row with hash `prev`. */
export function linked(row: AuditRow, seq: number, prev: string): ChainedRow {
  const names = row.actor !== null || row.ip !== null || row.userAgent !== null;
  const { personal } = splitDetails(row);
  const isAbout = row.subject !== null || Object.keys(personal).length > 0;
  const salted = { ...row, actorSalt: names ? randomToken(SALT_BYTES) : null, subjectSalt: isAbout ? randomToken(SALT_BYTES) : null };
  const chained = { ...salted, seq, prev, digests: JSON.stringify(digestsFrom(salted)) };
  return { ...chained, hash: hashOf(chained) };
}

/** The digests of a row's personal columns, as far as their salts are there. */
export function digestsFrom(row: AuditRow & Pick<ChainLink, 'actorSalt' | 'subjectSalt'>): Digests {
  const { personal } = splitDetails(row);
  const salted = (salt: string | null, column: string, value: string | null): string | null =>
    salt === null || value === null ? null : hmac(Buffer.from(salt, 'base64url'), column, value);
  return {
    actor: salted(row.actorSalt, 'actor', row.actor),
    ip: salted(row.actorSalt, 'ip', row.ip),
    userAgent: salted(row.actorSalt, 'user_agent', row.userAgent),
    subject: salted(row.subjectSalt, 'subject', row.subject),
    details: salted(row.subjectSalt, 'details', Object.keys(personal).length === 0 ? null : canonical(personal)),
  };
}

/** The hash of a row, from the row before it and its own content. */
export function hashOf(row: AuditRow & Pick<ChainLink, 'prev' | 'digests'>): string {
  const { actor, ip, userAgent, subject, details } = fromJson(digestsSchema, row.digests, 'an audit row');
  const content = [row.realmId, row.id, row.at, row.type, row.clientId, row.transactionId, row.factor, canonical(splitDetails(row).open)];
  return sha256(JSON.stringify([VERSION, row.prev, ...content, actor, ip, userAgent, subject, details]));
}

/** The end of a chain with that many rows and that last hash. */
export function headOf(key: Buffer, realmId: string, count: number, hash: string): ChainHead {
  return { count, hash, mac: hmac(key, 'audit-chain', realmId, String(count), hash) };
}

/** JSON with the names of every object in order, so that the same content is always written alike. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${canonical(item)}`).join(',')}}`;
}

/** Numbers of rows as text: `1-3,7`. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range && number <= range[1] + 1) range[1] = Math.max(range[1], number);
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',');
}

/** What `rangesOf` wrote; nothing for a text that is none. */
export function numbersIn(ranges: string): number[] {
  if (!/^\d{1,15}(-\d{1,15})?(,\d{1,15}(-\d{1,15})?)*$/.test(ranges)) return [];
  return ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: Math.min(Math.max(last - first + 1, 0), MOST_IN_RANGE) }, (_, index) => first + index);
  });
}
/** A person is erased a batch of rows at a time, far below this. */
const MOST_IN_RANGE = 10_000;
