/** What factors are called on pages. */
import { sayOr, type Words } from '../languages/messages.ts';
import type { Factor } from './factor.ts';

export const nameOf = ({ id, name }: Factor): Words => sayOr(`factor.${id}.name`, name);
export const strengthOf = ({ id, strength }: Factor): Words => sayOr(`factor.${id}.strength`, strength);
