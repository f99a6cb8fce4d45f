/** What factors are called on pages. */
import { say, sayOr, type Words } from '../languages/messages.ts';
import type { Level } from '../policy/assurance.ts';
import type { Factor } from './factor.ts';

export const nameOf = ({ id, name }: Factor): Words => sayOr(`factor.${id}.name`, name);
export const strengthOf = ({ id, strength }: Factor): Words => sayOr(`factor.${id}.strength`, strength);
/** How strong a level is, in words. */
export const levelName = (level: Level): Words => say(`login.level.${level}`);
/** The id under which the texts about it are. */
export const textsOf = ({ id, texts }: Factor): string => texts ?? id;
