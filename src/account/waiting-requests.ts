/** What applications have asked the user for (CIBA), who answers at another page: for whom no mail arrives, or who is here anyway. */
import { z } from 'zod';
import { aboutClient } from '../realms/home.ts';
import { issuerOf } from '../realms/issuer.ts';
import { subjectsOf } from '../sessions/throttle.ts';
import { waitingCibaRequests } from '../store/ciba-requests.ts';
import { clientByClientId } from '../store/clients.ts';
import type { AccountRequest } from './room.ts';

interface WaitingRequest {
  /** The application. */
  name: string;
  /** ISO 8601. */
  at: string;
  href: string;
}

const stored = z.object({ clientId: z.string(), iat: z.number(), exp: z.number() });

export async function waitingRequests({ db, realm: { realm, rootSecret }, origin, at }: AccountRequest, userId: string): Promise<WaitingRequest[]> {
  const waitingFor = subjectsOf(rootSecret).ciba('waiting', userId);
  const rows = await waitingCibaRequests(db.knex, { realmId: realm.id, waitingFor, now: at });
  const shown = await Promise.all(
    rows.map(async ({ payload, userCode }): Promise<WaitingRequest[]> => {
      const { clientId, iat, exp } = stored.parse(JSON.parse(payload));
      const client = await clientByClientId(db.knex, realm.id, clientId);
      // A row is kept a little longer than its request is good.
      if (!client?.enabled || exp * 1000 <= at) return [];
      const href = `${issuerOf(origin, realm.name)}/device?request=${userCode ?? ''}`;
      return [{ name: aboutClient(client).name, at: new Date(iat * 1000).toISOString(), href }];
    }),
  );
  return shown.flat();
}
