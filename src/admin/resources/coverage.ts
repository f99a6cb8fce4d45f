/** Who is protected, and how: the users of a realm by their best second factor, and those who are one loss from being locked out. */
import { secondFactors } from '../../factors/owned.ts';
import { type Level, reaches } from '../../policy/assurance.ts';
import { isPass, isRecovery } from '../../policy/proofs.ts';
import { type Coverage, countCoverage } from '../../store/coverage.ts';
import { type CoverageFilter, type CoveredUser, coveredUsers, type FactorsByWorth } from '../../store/coverage-lists.ts';
import type { RealmRow } from '../../store/realms.ts';
import { type FactorOperator, factorsIn } from './factor-operator.ts';

/** What the realm's factors are worth. Whatever stands in for a lost one protects nobody, and yet is a way in. */
function worthIn(operator: FactorOperator, realm: RealmRow): FactorsByWorth {
  const all = secondFactors(factorsIn(operator, realm)).map(({ id, levelIn }) => ({ factor: id, level: levelIn(realm.settings) }));
  const real = all.filter((one) => !isRecovery(one));
  const idsOf = (list: readonly { factor: string; level: Level }[]): string[] => list.map(({ factor }) => factor);
  return {
    aal2: idsOf(real.filter(({ level }) => level === 'aal2')),
    phr: idsOf(real.filter(({ level }) => reaches(level, 'phr'))),
    ways: idsOf(all.filter((one) => !isPass(one))),
  };
}

export const coveragePage = (
  operator: FactorOperator,
  realm: RealmRow,
  filter: CoverageFilter,
  page: { after?: string | undefined; first: number; limit: number },
): Promise<CoveredUser[]> => coveredUsers(operator.db.knex, realm.id, { worth: worthIn(operator, realm), filter }, page);

/** All of them, page by page. */
export async function* allCoverage(operator: FactorOperator, realm: RealmRow, filter: CoverageFilter): AsyncGenerator<CoveredUser> {
  const limit = 200;
  for (let after: string | undefined; ; ) {
    const page = await coveragePage(operator, realm, filter, { after, first: 0, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.place;
  }
}

/** How many of the realm's users there are of each kind. */
export const coverageCounts = (operator: FactorOperator, realm: RealmRow): Promise<Coverage> =>
  countCoverage(operator.db.knex, worthIn(operator, realm), realm.id);
