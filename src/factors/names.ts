/** What factors are called on pages. */
import { sayOr, type Words } from '../languages/messages.ts';
import type { Factor } from './factor.ts';

export const nameOf = ({ id, name }: Factor): Words => sayOr(`factor.${id}.name`, name);
export const strengthOf = ({ id, strength }: Factor): Words => sayOr(`factor.${id}.strength`, strength);
/** The id under which the texts about it are. */
export const textsOf = ({ id, texts }: Factor): string => texts ?? id;
