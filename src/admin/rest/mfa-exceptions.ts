/** Exceptions over REST: less is asked of one user, for a time and with a reason. */
import { z } from 'zod';
import { forbidden } from '../../errors.ts';
import { LEVELS } from '../../policy/assurance.ts';
import { type ExceptionRow, listExceptions } from '../../store/policies.ts';
import { addException, removeException } from '../resources/policy-exceptions.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { requireNoMore } from './grantable.ts';
import { id, inRealm, type Operation } from './operation.ts';
import { userNamed } from './user-named.ts';

const tag = 'Exceptions';
const path = '/realms/{realm}/mfa/exceptions';

const exception = z.object({
  id: z.string(),
  userId: z.string(),
  username: z.string(),
  level: z.enum(LEVELS),
  reason: z.string(),
  /** Who granted it. */
  actor: z.string(),
  createdAt: z.iso.datetime(),
  until: z.iso.datetime(),
});

const represented = ({ realmId: _realm, createdAt, until, ...row }: ExceptionRow & { username: string }): z.output<typeof exception> => ({
  ...row,
  createdAt: new Date(createdAt).toISOString(),
  until: new Date(until).toISOString(),
});

export const mfaExceptionOperations: readonly Operation[] = [
  inRealm({
    id: 'mfa.exceptions.list',
    method: 'GET',
    path,
    tag,
    summary: 'The exceptions that have not run out',
    roles: ['view-users', 'manage-users'],
    status: 200,
    query: cursorPaging,
    answer: z.object({ exceptions: z.array(exception), next }),
    async run({ operator, realm }, { query }) {
      const [after] = placeOf(z.tuple([z.string()]), query.after) ?? [];
      const asked = { now: operator.now, limit: query.max + 1, ...(after === undefined ? {} : { after }) };
      const page = pageOf(await listExceptions(operator.db.knex, realm.id, asked), query.max, (row) => cursorOf(row.userId));
      return { body: { exceptions: page.rows.map(represented), next: page.next } };
    },
  }),
  inRealm({
    id: 'mfa.exceptions.create',
    method: 'POST',
    path,
    tag,
    summary: 'Ask less of a user, never less than an application or being an administrator asks',
    roles: ['manage-users'],
    status: 201,
    body: z.object({
      /** A username, or an id. */
      user: z.string().min(1).max(255),
      level: z.enum(LEVELS).exclude(['phrh']),
      days: z.number().int().min(1).max(90),
      reason: z.string().min(1).max(300),
    }),
    answer: exception,
    async run(call, { body: { user: named, ...asked } }) {
      const { operator, realm, access } = call;
      const user = await userNamed(operator, realm, named);
      // Somebody else looks at the reason, or it is none.
      if (user.id === access.caller.userId) throw forbidden('You cannot except yourself.');
      await requireNoMore(call, user);
      const made = await addException(operator, user, asked);
      return { created: user.id, body: represented({ ...made, username: user.username }) };
    },
  }),
  inRealm({
    id: 'mfa.exceptions.delete',
    method: 'DELETE',
    path: `${path}/{user}`,
    tag,
    summary: 'End the exception of a user, named by id or username, at once',
    roles: ['manage-users'],
    status: 204,
    params: { user: id },
    async run(call, { params }) {
      const user = await userNamed(call.operator, call.realm, params.user);
      await requireNoMore(call, user);
      await removeException(call.operator, user);
      return {};
    },
  }),
];
