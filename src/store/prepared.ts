/**
 * Statements of the hot paths, whose text is written once. For a query that every request asks, knex takes several times as
 * long to write the text as the database takes to answer it. So the text is kept, with marks where values stand, and it
 * runs as a statement that is prepared once a connection: by name on PostgreSQL, by its text on SQLite.
 *
 *     const emailOf = prepared<'realmId' | 'id'>((knex, { realmId, id }) => knex('users').where({ realm_id: realmId, id }).select('email'));
 *     const [row] = await emailOf(knex, { realmId, id });
 */
import { hash } from 'node:crypto';
import type { Knex } from 'knex';
import { LRUCache } from 'lru-cache';

type Value = string | number | boolean | null;

/** A statement as it is kept. */
interface Text {
  sql: string;
  /** For PostgreSQL, which knows a prepared statement by its name. */
  name: string;
  method: string;
  /** What stands at each place: the name of a value, or a constant. */
  places: readonly ({ value: string } | { constant: Value })[];
}

/** More than any statement has shapes: a mistake would be noticed by what it costs, and not by what it keeps. */
const KEPT_TEXTS = 100;
/** No value that is written into a statement begins so. */
const MARK = '\u0001';
/** Each name's mark. */
const MARKERS: Readonly<Record<string, string>> = new Proxy({}, { get: (_target, name) => `${MARK}${String(name)}` });

/**
 * A statement that is written once for each engine and shape.
 *
 * @param write is given marks to put where values stand; it names every column that it answers, because PostgreSQL refuses a
 *   prepared `*` once a migration has added a column
 * @returns runs it, on a connection or in a transaction, and answers its rows, also those of RETURNING
 */
export function prepared<Name extends string, Row, Shape = void>(
  write: (knex: Knex, marks: Readonly<Record<Name, string>>, shape: Shape) => Knex.QueryBuilder,
): (knex: Knex, values: Readonly<Record<Name, Value>>, shape: Shape) => Promise<Row[]> {
  const texts = new LRUCache<string, Text>({ max: KEPT_TEXTS });
  return (knex, values, shape) => {
    const key = `${knex.client.dialect} ${shape === undefined ? '' : JSON.stringify(shape)}`;
    let text = texts.get(key);
    if (!text) {
      text = textOf(write(knex, MARKERS, shape));
      texts.set(key, text);
    }
    return run(knex, text, boundTo(text, values));
  };
}

/**
 * As many as the next power of two, the last one again and again: for lists in which that changes nothing. A statement has few
 * shapes so, of which PostgreSQL keeps each, once a connection.
 */
export function rounded<T>(list: readonly T[]): T[] {
  const [last] = list.slice(-1);
  if (last === undefined) return [];
  const size = 2 ** Math.ceil(Math.log2(list.length));
  return Array.from({ length: size }, (_, index) => list[index] ?? last);
}

function textOf(query: Knex.QueryBuilder): Text {
  const { sql, bindings, method }: Knex.Sql = query.toSQL();
  if (/(?:^|[\s.,])\*(?:$|[\s,)])/.test(sql.replaceAll('count(*)', ''))) throw new Error('A prepared statement names its columns.');
  const places = bindings.map((bound) =>
    typeof bound === 'string' && bound.startsWith(MARK) ? { value: bound.slice(MARK.length) } : { constant: constantOf(bound) },
  );
  const native = query.toSQL().toNative().sql;
  return { sql: native, name: hash('sha256', native, 'hex').slice(0, 32), method, places };
}

function constantOf(bound: unknown): Value {
  if (bound === null || typeof bound === 'string' || typeof bound === 'number' || typeof bound === 'boolean') return bound;
  throw new Error('A prepared statement has a constant of a kind that it cannot have.');
}

function boundTo({ places }: Text, values: Readonly<Record<string, Value>>): Value[] {
  return places.map((place) => {
    if ('constant' in place) return place.constant;
    const value = values[place.value];
    if (value === undefined) throw new Error(`A prepared statement misses its value ${place.value}.`);
    return value;
  });
}

async function run<Row>(knex: Knex, { sql, name, method }: Text, bindings: Value[]): Promise<Row[]> {
  const { client } = knex;
  // A read that need not wait for a transaction needs no turn in the pool either.
  const rows: Row[] | undefined = method === 'select' ? client.readNow?.(sql, bindings) : undefined;
  if (rows) return rows;
  const connection = await client.acquireConnection();
  try {
    const { response } = await client.query(connection, { sql, bindings, method, options: { name } });
    return Array.isArray(response) ? response : response.rows;
  } finally {
    await client.releaseConnection(connection);
  }
}
