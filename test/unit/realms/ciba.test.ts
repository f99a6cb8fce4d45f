/** Keycloak's attributes of CIBA, read and refused. */
import test from 'ava';
import { CIBA_ENABLED, cibaLifetimes, cibaProblem, mayAskElsewhere } from '../../../src/realms/ciba.ts';

test('a realm that says nothing has ten minutes and five seconds', (t) => {
  t.deepEqual(cibaLifetimes({ attributes: {} }), { expiresIn: 600, interval: 5 });
});

test('what a realm says counts within bounds, and what does not fit is as if it were not there', (t) => {
  t.deepEqual(cibaLifetimes({ attributes: { cibaExpiresIn: '120', cibaInterval: '7' } }), { expiresIn: 120, interval: 7 });
  t.deepEqual(cibaLifetimes({ attributes: { cibaExpiresIn: '9', cibaInterval: '0' } }), { expiresIn: 600, interval: 1 });
  for (const wrong of ['', 'x', '-5', '1e3', '99999', '12.5', ' 60'])
    t.deepEqual(cibaLifetimes({ attributes: { cibaExpiresIn: wrong, cibaInterval: wrong } }), { expiresIn: 600, interval: 5 }, wrong);
});

test('the attribute that does not fit is named', (t) => {
  t.is(cibaProblem({ cibaExpiresIn: '600', cibaInterval: '0', other: 'x' }), undefined);
  t.is(cibaProblem({ cibaExpiresIn: '' }), undefined);
  t.is(cibaProblem({ cibaExpiresIn: '3601' })?.name, 'cibaExpiresIn');
  t.is(cibaProblem({ cibaInterval: 'often' })?.name, 'cibaInterval');
});

test('a client may ask when it is switched on and can show who it is', (t) => {
  const on = { [CIBA_ENABLED]: 'true' };
  t.true(mayAskElsewhere({ attributes: on, publicClient: false }));
  t.false(mayAskElsewhere({ attributes: on, publicClient: true }));
  t.false(mayAskElsewhere({ attributes: {}, publicClient: false }));
  t.false(mayAskElsewhere({ attributes: { [CIBA_ENABLED]: 'TRUE' }, publicClient: false }));
});
