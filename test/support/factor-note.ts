/** A custom factor that has a code of its own mailed. */
import type { CustomFactor } from '../../src/factors/custom/hooks.ts';

const note: CustomFactor = { id: 'note', kind: 'possession', amr: 'note', initMFA: () => ({ code: '271828', deliver: 'mail' }) };
export default note;
