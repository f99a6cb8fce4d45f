/** What was recorded, over REST: looked for, exported line by line, and its chain checked. */
import { z } from 'zod';
import { type AuditFilter, auditEvents } from '../../store/audit.ts';
import { userByUsername } from '../../store/users.ts';
import { auditDocument, exportedAudit, verifyAudit } from '../resources/audit.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { flag, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'Audit';
const path = '/realms/{realm}/audit';
const VIEW = ['view-events', 'manage-events'] as const;

/** ISO 8601, or milliseconds since the epoch. */
const moment = z
  .string()
  .max(40)
  .refine((text) => !Number.isNaN(momentOf(text)), 'must be a time, such as 2030-01-15, 2030-01-15T12:00:00Z, or milliseconds since 1970')
  .optional();

function momentOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : Number.NaN;
}

const filters = {
  /** One type, such as `login.failed`, or the beginning of several, such as `mfa.*`. */
  type: z.string().min(1).max(100).optional(),
  /** A username, or the id of a user who may be gone. */
  subject: z.string().min(1).max(255).optional(),
  actor: z.string().min(1).max(255).optional(),
  client: z.string().min(1).max(255).optional(),
  from: moment,
  to: moment,
};
type Filters = z.output<z.ZodObject<typeof filters>>;

async function filterOf({ operator, realm }: RealmCall, { type, subject, actor, client, from, to }: Filters): Promise<AuditFilter> {
  const idOf = async (name: string | undefined): Promise<string | undefined> =>
    name === undefined ? undefined : ((await userByUsername(operator.db.knex, realm.id, name))?.id ?? name);
  return {
    type,
    subject: await idOf(subject),
    actor: await idOf(actor),
    clientId: client,
    since: from === undefined ? undefined : momentOf(from),
    until: to === undefined ? undefined : momentOf(to),
  };
}

const text = z.string().nullable();
const event = z.object({
  at: z.iso.datetime(),
  id: z.string(),
  type: z.string(),
  actor: text,
  subject: text,
  client: text,
  transaction: text,
  ip: text,
  userAgent: text,
  factor: text,
  details: z.unknown(),
  /** Of administrators' rows: their number in the chain, and their hash. */
  row: z.number().int().nullable(),
  hash: text,
});

const END = /^(\d{1,15}):([A-Za-z0-9_-]{43})$/;

export const auditOperations: readonly Operation[] = [
  inRealm({
    id: 'audit.list',
    method: 'GET',
    path,
    tag,
    summary: 'What was recorded, the newest first',
    roles: VIEW,
    status: 200,
    query: { ...filters, ...cursorPaging },
    answer: z.object({ events: z.array(event), next }),
    async run(call, { query }) {
      const [at = 0, last] = placeOf(z.tuple([z.number(), z.string()]), query.after) ?? [];
      const after = last === undefined ? undefined : { at, id: last };
      const asked = { ...(await filterOf(call, query)), after, limit: query.max + 1 };
      const page = pageOf(await auditEvents(call.operator.db.knex, call.realm.id, asked), query.max, (row) => cursorOf(row.at, row.id));
      return { body: { events: page.rows.map(auditDocument), next: page.next } };
    },
  }),
  inRealm({
    id: 'audit.export',
    method: 'GET',
    path: `${path}/export`,
    tag,
    summary: 'All of it as lines of JSON, the oldest first; with chained=true the chain of administrators’ rows, in its order, and its end',
    roles: VIEW,
    status: 200,
    query: { ...filters, chained: flag },
    async run(call, { query }) {
      const filter = { ...(await filterOf(call, query)), chained: query.chained === true };
      const headers = { 'Content-Disposition': 'attachment; filename="audit.ndjson"' };
      return { type: 'application/x-ndjson', headers, stream: exportedAudit(call.operator, call.realm, filter) };
    },
  }),
  inRealm({
    id: 'audit.verify',
    method: 'GET',
    path: `${path}/verify`,
    tag,
    summary: 'Whether nobody has changed, removed, put in or moved an administrator’s row; `known` is an end that was written down before',
    roles: VIEW,
    status: 200,
    query: { known: z.string().regex(END, 'must be the end of a chain, as this answered it').optional() },
    answer: z.object({
      ok: z.boolean(),
      rows: z.number().int(),
      erased: z.number().int(),
      end: text,
      breaks: z.array(z.object({ row: z.number().int(), kind: z.string(), message: z.string() })),
    }),
    async run({ operator, realm }, { query }) {
      const [, count = '', hash = ''] = END.exec(query.known ?? '') ?? [];
      const known = hash === '' ? undefined : { count: Number(count), hash };
      const { ok, rows, erased, head, breaks } = await verifyAudit(operator, realm, { known });
      return { body: { ok, rows, erased, end: head === null ? null : `${head.count}:${head.hash}`, breaks } };
    },
  }),
];
