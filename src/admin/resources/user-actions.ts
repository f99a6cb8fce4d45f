/** A user is asked by mail to do something: the link is good once, for a while, and signs nobody in. */
import { badInput } from '../../errors.ts';
import { redirectUriAllowed } from '../../realms/redirect-uris.ts';
import { clientByClientId } from '../../store/clients.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import type { UserRow } from '../../store/users.ts';
import { audit } from './context.ts';
import { type FactorOperator, throttleOf } from './factor-operator.ts';
import { REQUIRED_ACTIONS } from './users.ts';

/** Makes the link and its mail; what it returns stores both. The login room does, which reads the link. */
export type Invite = (
  realm: RealmRow,
  user: UserRow & { email: string },
  invitation: { actions: string[]; back: string | null; lifetimeMs: number; now: number },
) => Promise<(trx: Queries) => Promise<void>>;

export interface AskedByMail {
  actions: readonly string[];
  clientId?: string | undefined;
  redirectUri?: string | undefined;
  /** Seconds. */
  lifetime?: number | undefined;
}

/** @throws AppError 400 in Keycloak's words, 429 when the user was written to too often */
export async function askByMail(operator: FactorOperator, realm: RealmRow, user: UserRow, asked: AskedByMail, invite: Invite): Promise<void> {
  const { db, factors, now } = operator;
  if (user.email === null) throw badInput('email', 'User email missing');
  if (!user.enabled) throw badInput('enabled', 'User is disabled');
  if (user.serviceAccountOf !== null) throw badInput('id', 'A service account reads no mail.');
  const known = REQUIRED_ACTIONS.filter((action) => asked.actions.includes(action));
  if (known.length === 0 || asked.actions.some((action) => !known.some((one) => one === action)))
    throw badInput('actions', 'Provided invalid required actions');
  const back = await backOf(operator, realm, asked);
  if (!factors.channels(realm.settings).mail) throw badInput('smtpServer', 'Failed to send execute actions email: this realm cannot send mail');
  await (await throttleOf({ ...operator, from: { ip: null, userAgent: null } }, realm)).asking(user.id, realm.id, now);
  const store = await invite(
    realm,
    { ...user, email: user.email },
    { actions: [...known], back, lifetimeMs: (asked.lifetime ?? realm.settings.actionTokenGeneratedByAdminLifespan) * 1_000, now },
  );
  await db.transaction(async (trx) => {
    await store(trx);
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.actions-sent', details: { actions: [...known] } }, trx);
  });
}

/** Where the user goes afterwards: an address that the client may send its users to. */
async function backOf({ db, origin }: FactorOperator, realm: RealmRow, { clientId, redirectUri }: AskedByMail): Promise<string | null> {
  if (clientId === undefined) {
    if (redirectUri !== undefined) throw badInput('client_id', 'Client id missing');
    return null;
  }
  const client = await clientByClientId(db.knex, realm.id, clientId);
  if (!client) throw badInput('client_id', "Client doesn't exist");
  if (!client.enabled) throw badInput('client_id', 'Client is not enabled');
  if (redirectUri === undefined) return client.baseUrl;
  const { redirectUris, rootUrl, publicClient } = client;
  if (!redirectUriAllowed(redirectUris, redirectUri, { rootUrl: rootUrl ?? origin, anyLoopbackPort: publicClient }))
    throw badInput('redirect_uri', 'Invalid redirect uri.');
  return redirectUri;
}
