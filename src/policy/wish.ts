/** What an application asks its user to do, as it says so (Keycloak's application-initiated actions, `kc_action`). Pure. */
import { askedEnrolment } from './request.ts';

export interface Wish {
  /** As it is named in the answer: without what it is about, as Keycloak leaves that out. */
  name: string;
  /** The realm's required action that it is; null for what no realm lists. */
  alias: string | null;
  /** The factor that is to be enrolled. */
  enrols?: string;
  /** It is done already for whoever has one of that factor. */
  unlessOwned?: boolean;
  /** The id of the credential that is to be removed. */
  removes?: string;
}

/** Those that are pages of their own. */
const PAGES: ReadonlySet<string> = new Set(['TERMS_AND_CONDITIONS', 'UPDATE_PASSWORD', 'UPDATE_PROFILE', 'UPDATE_EMAIL', 'VERIFY_EMAIL']);

/** As Keycloak has it in the list of a realm, and before the id of the credential. */
export const DELETE_CREDENTIAL = 'delete_credential';
const REMOVAL = /^delete_credential:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Keycloak's names for enrolments are required actions too; ours are of factors that it has no name for. */
const isListed = (action: string): boolean => !action.startsWith('enrol:');

/** Undefined where it asks for nothing, or for what nobody here knows. */
export function wishOf(action: unknown): Wish | undefined {
  if (typeof action !== 'string') return undefined;
  const enrolment = askedEnrolment(action);
  if (enrolment !== undefined) {
    const { action: name, factor, unlessOwned } = enrolment;
    return { name, alias: isListed(name) ? name : null, enrols: factor, unlessOwned };
  }
  const removes = REMOVAL.exec(action)?.[1];
  if (removes !== undefined) return { name: DELETE_CREDENTIAL, alias: DELETE_CREDENTIAL, removes };
  return PAGES.has(action) ? { name: action, alias: action } : undefined;
}
