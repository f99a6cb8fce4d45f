/**
 * What Keycloak's representation of a client holds that no column has: kept as it came, so that whatever was written is
 * read again. `bearerOnly`, `notBefore`, `implicitFlowEnabled` and `clientAuthenticatorType` have an effect, the rest has none here.
 */
import { z } from 'zod';

const atMost = (most: number) => (entries: object) => Object.keys(entries).length <= most;

export const keptFields = {
  /** An API that only receives tokens: nobody signs in to it, and it gets none. */
  bearerOnly: z.boolean(),
  /** Seconds since the epoch: access and refresh tokens of before are void. */
  notBefore: z.number().int().min(0).max(100_000_000_000),
  surrogateAuthRequired: z.boolean(),
  frontchannelLogout: z.boolean(),
  alwaysDisplayInConsole: z.boolean(),
  /** Tokens may come with the answer to an authorization request. */
  implicitFlowEnabled: z.boolean(),
  authorizationServicesEnabled: z.boolean(),
  clientAuthenticatorType: z.string().min(1).max(255),
  nodeReRegistrationTimeout: z.number().int().min(-1).max(2_147_483_647),
  adminUrl: z.string().max(2_000).nullable(),
  authenticationFlowBindingOverrides: z.record(z.string().max(255), z.string().max(255)).refine(atMost(20), 'must not have more than 20 entries'),
  /** Hosts that an application runs on, and when each said so, in seconds since the epoch. */
  registeredNodes: z.record(z.string().max(255), z.number().int()).refine(atMost(100), 'must not have more than 100 entries'),
};

export const keptOfClient = z.object({
  bearerOnly: keptFields.bearerOnly.default(false),
  notBefore: keptFields.notBefore.default(0),
  surrogateAuthRequired: keptFields.surrogateAuthRequired.default(false),
  frontchannelLogout: keptFields.frontchannelLogout.default(false),
  alwaysDisplayInConsole: keptFields.alwaysDisplayInConsole.default(false),
  implicitFlowEnabled: keptFields.implicitFlowEnabled.default(false),
  authorizationServicesEnabled: keptFields.authorizationServicesEnabled.default(false),
  clientAuthenticatorType: keptFields.clientAuthenticatorType.default('client-secret'),
  nodeReRegistrationTimeout: keptFields.nodeReRegistrationTimeout.default(-1),
  adminUrl: keptFields.adminUrl.default(null),
  authenticationFlowBindingOverrides: keptFields.authenticationFlowBindingOverrides.default({}),
  registeredNodes: keptFields.registeredNodes.default({}),
});
export type KeptOfClient = z.output<typeof keptOfClient>;
