import test from 'ava';
import { Argon2Hasher } from '../../../src/crypto/passwords.ts';
import { busy } from '../../../src/errors.ts';
import { password } from '../../../src/factors/password/password.ts';
import { CountingHasher, credentialOf, factorContext, quickHasher } from '../../support/factors.ts';

const held = async (text: string) => credentialOf('password', { phc: await quickHasher().hash(text) });

test('one argon2 verification is done in every case (D01)', async (t) => {
  const known = await held('correct horse');
  for (const [form, credentials] of [
    [{ password: 'correct horse' }, [known]],
    [{ password: 'wrong' }, [known]],
    [{ password: 'wrong' }, []],
    [{ password: '' }, [known]],
    [{}, []],
    [{ password: 'x'.repeat(1025) }, [known]],
    [{ password: '\ud800' }, [known]],
  ] as const) {
    const passwords = new CountingHasher();
    await password.verify(factorContext({ passwords }), null, form, [...credentials]);
    t.is(passwords.verifications, 1, JSON.stringify(form).slice(0, 40));
    t.is(passwords.hashes, 0);
  }
});

test('a password is taken as it was typed: never trimmed, never cut', async (t) => {
  const known = await held(' spaces count ');
  const verify = async (typed: string) => (await password.verify(factorContext(), null, { password: typed }, [known])).ok;
  t.true(await verify(' spaces count '));
  t.false(await verify('spaces count'));
  const long = 'x'.repeat(1024);
  const cx = factorContext();
  t.true((await password.verify(cx, null, { password: long }, [await held(long)])).ok);
  t.deepEqual(await password.verify(cx, null, { password: `${long}y` }, [await held(long)]), { ok: false, reason: 'malformed' });
});

test('the limit is in bytes', async (t) => {
  t.deepEqual(await password.verify(factorContext(), null, { password: 'é'.repeat(513) }, []), { ok: false, reason: 'malformed' });
  t.deepEqual(await password.verify(factorContext(), null, { password: 'é'.repeat(512) }, []), { ok: false, reason: 'wrong' });
});

test('a hash of other parameters is renewed by a right password, and only by one', async (t) => {
  const known = credentialOf('password', { phc: await new Argon2Hasher({ memoryKiB: 16, passes: 1, parallelism: 1 }).hash('correct horse') });
  const cx = factorContext();
  const verdict = await password.verify(cx, null, { password: 'correct horse' }, [known]);
  if (!verdict.ok || verdict.renewed === undefined) return t.fail('it is renewed');
  t.true(await cx.passwords.verify(verdict.renewed.phc, 'correct horse'));
  t.false(cx.passwords.needsRehash(verdict.renewed.phc));
  const passwords = new CountingHasher();
  await password.verify(factorContext({ passwords }), null, { password: 'wrong' }, [known]);
  t.is(passwords.hashes, 0);
});

test('a full queue puts off the renewal, not the sign-in', async (t) => {
  const passwords = new CountingHasher();
  const known = credentialOf('password', { phc: await new Argon2Hasher({ memoryKiB: 16, passes: 1, parallelism: 1 }).hash('correct horse') });
  passwords.hash = async () => {
    throw busy('full');
  };
  const verdict = await password.verify(factorContext({ passwords }), null, { password: 'correct horse' }, [known]);
  t.true(verdict.ok);
  t.false('renewed' in verdict);
  passwords.hash = async () => {
    throw new Error('a fault');
  };
  await t.throwsAsync(password.verify(factorContext({ passwords }), null, { password: 'correct horse' }, [known]), { message: 'a fault' });
});
