/** What a user has still to do before a sign-in is complete. */
import type { KnownUser } from '../sessions/facts.ts';

/** By Keycloak's names, in the order in which they were asked for. */
export const pendingActions = ({ requiredActions }: Pick<KnownUser, 'requiredActions'>): readonly string[] => requiredActions;
