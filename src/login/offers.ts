/**
 * What somebody is offered between the last proof and the end of a sign-in, once each: recovery codes after the first
 * second factor, a passkey after a code. Each is an enrolment that `decide` does not ask for, and so may be declined.
 */
import { enrollableFactors } from '../factors/owned.ts';
import type { CredentialRow } from '../store/credentials.ts';
import { userNotes } from '../store/user-notes.ts';
import type { UserRow } from '../store/users.ts';
import type { LoginRequest } from './room.ts';
import type { LoginRules, Offer } from './state.ts';

/**
 * The factor, the proofs that it is offered after, and whether it needs a browser with scripts: a passkey is made by one,
 * and codes on a screen are for a person in front of it, not for a program that signs in. Without scripts the account
 * console has them.
 */
const OFFERED: readonly { factor: string; after: 'proved' | 'enrolled'; needsBrowser: boolean }[] = [
  { factor: 'recovery-codes', after: 'enrolled', needsBrowser: true },
  { factor: 'passkey', after: 'proved', needsBrowser: true },
];

/** Codes that one types: whoever signs in with one may be glad of a passkey. */
const TYPED_CODES = ['totp', 'hotp', 'email-otp', 'sms-otp'];

const PREFIX = 'offer:';

/** The factor that an action offers; undefined for one that is no offer. */
export const offeredFactor = (action: string | null): string | undefined => (action?.startsWith(PREFIX) ? action.slice(PREFIX.length) : undefined);

/** The note that a user was offered a factor, and what they said. */
export const offerNote = (factor: string): string => `offered:${factor}`;

/** What has to be done, and what a user may be offered after the proof or the enrolment at hand. */
export async function offersAfter(
  request: Pick<LoginRequest, 'db' | 'factors' | 'realm'>,
  who: { user: UserRow; rows: readonly CredentialRow[]; rules: LoginRules; capable: boolean },
): Promise<Offer[]> {
  const { settings, id: realmId } = request.realm.realm;
  const { user, rows, rules, capable } = who;
  const owned = new Set(rows.map((row) => row.factor));
  const enroller = { email: user.email, administrator: rules.facts.user?.administrator ?? false };
  const wanted = OFFERED.map(({ factor }) => factor);
  const possible = new Set(enrollableFactors(request.factors, settings, enroller, wanted).map(({ factor }) => factor));
  const wished = OFFERED.filter(({ factor }) => factor !== 'passkey' || settings.webauthn.passkey.offer);
  const offered = wished.filter(({ factor, needsBrowser }) => possible.has(factor) && !owned.has(factor) && (capable || !needsBrowser));
  if (offered.length === 0) return [...rules.offers];
  const notes = await userNotes(request.db.knex, realmId, user.id);
  const second = [...request.factors.in(settings).values()].filter(({ role, auxiliary }) => role === 'second' && auxiliary !== true);
  const free = offered
    .filter(({ factor }) => !notes.has(offerNote(factor)))
    .map(({ factor, after }) => ({
      action: `${PREFIX}${factor}`,
      after,
      factors: after === 'enrolled' ? second.map(({ id }) => id) : TYPED_CODES,
    }));
  return [...rules.offers, ...free];
}
