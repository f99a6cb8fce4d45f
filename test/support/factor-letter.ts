/** A custom factor that leaves everything to the server: its codes go to the user's mailbox. */
import type { CustomFactor } from '../../src/factors/custom/hooks.ts';

const letter: CustomFactor = { id: 'letter', kind: 'possession', amr: 'letter' };
export default letter;
