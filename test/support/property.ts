/**
 * fast-check, for everything that tests properties. What it tries is drawn from `PROPERTY_SEED`, which `npm test` chooses
 * anew each time and tells when something failed, and which `.ci/run` takes from the tree that it tests: properties are
 * tried on ever new values, and what a run found can be found again.
 */
import fc from 'fast-check';

const seed = process.env.PROPERTY_SEED;
if (seed) {
  if (!/^\d{1,10}$/.test(seed)) throw new Error('PROPERTY_SEED: give a whole number, not below zero');
  // fast-check's seeds are whole numbers of 32 bits.
  fc.configureGlobal({ seed: Number(seed) | 0 });
}

export { default } from 'fast-check';
