/** Who is protected, and how, over REST: as a list, as numbers, and as a file for a spreadsheet. */
import { z } from 'zod';
import { COVERAGE_STATES, type CoveredUser } from '../../store/coverage-lists.ts';
import { allCoverage, coverageCounts, coveragePage } from '../resources/coverage.ts';
import { csvLine } from '../resources/csv.ts';
import { cursorOf, cursorPaging, next, pageOf, placeOf } from './cursor.ts';
import { flag, inRealm, type Operation } from './operation.ts';

const tag = 'Coverage';
const path = '/realms/{realm}/mfa/coverage';
const VIEW = ['view-users', 'manage-users'] as const;

const state = z.enum(COVERAGE_STATES);
const user = z.object({
  id: z.string(),
  username: z.string(),
  state,
  /** Those that can be used now. */
  factors: z.array(z.string()),
  /** Sign-ins that have put an enrolment off. */
  graceUsed: z.number().int(),
  /** One way in is left beside the password: whoever loses it is locked out. */
  oneLeft: z.boolean(),
});

const COLUMNS = ['id', 'username', 'state', 'factors', 'graceUsed', 'oneLeft'];

async function* csvOf(users: AsyncIterable<CoveredUser>): AsyncGenerator<string> {
  yield csvLine(COLUMNS);
  for await (const { id, username, state, factors, graceUsed, oneLeft } of users)
    yield csvLine([id, username, state, factors.join(' '), graceUsed, oneLeft]);
}

export const mfaCoverageOperations: readonly Operation[] = [
  inRealm({
    id: 'mfa.coverage.list',
    method: 'GET',
    path,
    tag,
    summary: 'Enabled users by name, with how they are protected; as CSV with format=csv or Accept: text/csv, then all of them',
    roles: VIEW,
    status: 200,
    query: {
      state: state.optional(),
      oneLeft: flag,
      group: z.string().max(2_000).optional(),
      role: z.string().max(520).optional(),
      format: z.enum(['json', 'csv']).optional(),
      first: z.coerce.number().int().min(0).max(10_000_000).default(0),
      ...cursorPaging,
    },
    answer: z.object({ users: z.array(user), next }),
    async run({ operator, realm, header }, { query }) {
      const { state, oneLeft, group, role, first, max } = query;
      const filter = { state, oneLeft, group, role };
      if (query.format === 'csv' || (query.format === undefined && /^\s*text\/csv\b/i.test(header('accept')))) {
        const headers = { 'Content-Disposition': 'attachment; filename="coverage.csv"' };
        return { type: 'text/csv; charset=utf-8', headers, stream: csvOf(allCoverage(operator, realm, filter)) };
      }
      const [after] = placeOf(z.tuple([z.string()]), query.after) ?? [];
      const found = await coveragePage(operator, realm, filter, { after, first, limit: max + 1 });
      const page = pageOf(found, max, ({ place }) => cursorOf(place));
      return { body: { users: page.rows.map(({ place: _place, ...shown }) => shown), next: page.next } };
    },
  }),
  inRealm({
    id: 'mfa.coverage.count',
    method: 'GET',
    path: `${path}/count`,
    tag,
    summary: 'How many users are protected, and how',
    roles: VIEW,
    status: 200,
    answer: z.object({ none: z.number().int(), grace: z.number().int(), aal2: z.number().int(), phr: z.number().int() }),
    run: async ({ operator, realm }) => ({ body: await coverageCounts(operator, realm) }),
  }),
];
