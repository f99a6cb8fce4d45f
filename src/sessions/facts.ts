/** Everything that `decide` has to know about a user, besides what the request and the session say. */
import type { Facts } from '../policy/policy.ts';

/** What nothing is known about: nobody, from nowhere, with nothing allowed. */
export const neutralFacts = (): Pick<Facts, 'user' | 'client' | 'risk' | 'device' | 'grace' | 'skipped' | 'exception'> => ({
  user: null,
  client: null,
  risk: [],
  device: null,
  grace: { used: 0 },
  skipped: false,
  exception: null,
});
