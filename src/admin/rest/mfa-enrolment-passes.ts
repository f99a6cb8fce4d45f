/**
 * Enrolment passes over REST. The code comes back once: to whoever asked, where one administrator is enough, and else to
 * whoever approved; to nobody for a user who manages more than they do.
 */
import { z } from 'zod';
import { type EnrolmentPassRow, listEnrolmentPasses } from '../../store/enrolment-passes.ts';
import { usernamesOf } from '../../store/users.ts';
import { approvePass, issuePass, passOfRealm, revokePass, standingOf } from '../resources/enrolment-passes.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { requireNoMore } from './grantable.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { userNamed } from './user-named.ts';

const tag = 'Enrolment passes';
const path = '/realms/{realm}/mfa/enrolment-passes';

const time = z.iso.datetime();
const pass = z.object({
  id: z.string(),
  userId: z.string(),
  /** Null for a user who is gone. */
  username: z.string().nullable(),
  standing: z.enum(['waiting', 'ready', 'used', 'revoked', 'replaced', 'expired']),
  reason: z.string(),
  needsApproval: z.boolean(),
  requestedBy: z.string(),
  requestedAt: time,
  approvedBy: z.string().nullable(),
  approvedAt: time.nullable(),
  expiresAt: time,
});
const issued = pass.extend({
  /** What the user types; null where somebody else has to approve it first. */
  code: z.string().nullable(),
});

const timeOf = (at: number): string => new Date(at).toISOString();

const represented = (row: EnrolmentPassRow, username: string | null, now: number): z.output<typeof pass> => ({
  id: row.id,
  userId: row.userId,
  username,
  standing: standingOf(row, now),
  reason: row.reason,
  needsApproval: row.dual,
  requestedBy: row.requestedBy,
  requestedAt: timeOf(row.requestedAt),
  approvedBy: row.approvedBy,
  approvedAt: row.approvedAt === null ? null : timeOf(row.approvedAt),
  expiresAt: timeOf(row.expiresAt),
});

/** The pass of this id, whose user is the caller's to change. */
async function requireOwnPass(call: RealmCall, passId: string): Promise<EnrolmentPassRow> {
  const row = await passOfRealm(call.operator, call.realm, passId);
  await requireNoMore(call, { id: row.userId });
  return row;
}

export const mfaEnrolmentPassOperations: readonly Operation[] = [
  inRealm({
    id: 'mfa.enrolment-passes.list',
    method: 'GET',
    path,
    tag,
    summary: 'Passes of the realm or of one user, the newest first; never the codes',
    roles: ['view-users', 'manage-users'],
    status: 200,
    query: { user: z.string().max(255).optional(), ...cursorPaging },
    answer: z.object({ passes: z.array(pass), next }),
    async run({ operator, realm }, { query }) {
      const user = query.user === undefined ? undefined : await userNamed(operator, realm, query.user);
      const [requestedAt = 0, after] = placeOf(z.tuple([z.number(), z.string()]), query.after) ?? [];
      const asked = { userId: user?.id, after: after === undefined ? undefined : { id: after, requestedAt }, limit: query.max + 1 };
      const found = await listEnrolmentPasses(operator.db.knex, realm.id, asked);
      const page = pageOf(found, query.max, (row) => cursorOf(row.requestedAt, row.id));
      const names = await usernamesOf(
        operator.db.knex,
        realm.id,
        page.rows.map((row) => row.userId),
      );
      return { body: { passes: page.rows.map((row) => represented(row, names.get(row.userId) ?? null, operator.now)), next: page.next } };
    },
  }),
  inRealm({
    id: 'mfa.enrolment-passes.create',
    method: 'POST',
    path,
    tag,
    summary: 'Let a user, by name or id, set up a new second factor in the place of all that are lost, or ask for that',
    roles: ['manage-users'],
    status: 201,
    body: z.object({
      user: z.string().min(1).max(255),
      reason: z.string().min(1).max(500),
      hours: z.number().int().min(1).max(72).optional(),
    }),
    answer: issued,
    async run(call, { body: { user: named, ...asked } }) {
      const { operator, realm } = call;
      const user = await userNamed(operator, realm, named);
      await requireNoMore(call, user);
      const made = await issuePass(operator, realm, user, asked);
      return { created: made.pass.id, body: { ...represented(made.pass, user.username, operator.now), code: made.code } };
    },
  }),
  inRealm({
    id: 'mfa.enrolment-passes.approve',
    method: 'POST',
    path: `${path}/{id}/approve`,
    tag,
    summary: 'Approve what another administrator has asked for, and get the code',
    roles: ['manage-users'],
    status: 200,
    params: { id },
    answer: issued,
    async run(call, { params }) {
      const { operator, realm } = call;
      await requireOwnPass(call, params.id);
      const made = await approvePass(operator, realm, params.id);
      return { body: { ...represented(made.pass, made.user.username, operator.now), code: made.code } };
    },
  }),
  inRealm({
    id: 'mfa.enrolment-passes.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One pass, without its code',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    answer: pass,
    async run({ operator, realm }, { params }) {
      const row = await passOfRealm(operator, realm, params.id);
      const names = await usernamesOf(operator.db.knex, realm.id, [row.userId]);
      return { body: represented(row, names.get(row.userId) ?? null, operator.now) };
    },
  }),
  inRealm({
    id: 'mfa.enrolment-passes.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Take back a request, or a pass that was not used yet',
    roles: ['manage-users'],
    status: 204,
    params: { id },
    async run(call, { params }) {
      await requireOwnPass(call, params.id);
      await revokePass(call.operator, call.realm, params.id);
      return {};
    },
  }),
];
