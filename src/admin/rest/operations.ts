/** Every operation of the REST API: one line a resource. */
import type { Operation } from './operation.ts';
import { realmOperations } from './realms.ts';
import { userOperations } from './users.ts';

export const operations: readonly Operation[] = [...realmOperations, ...userOperations];
