/**
 * A grace for replaced refresh tokens (`cardea.refresh.grace`), for clients whose processes share no memory: what it lets
 * pass, and where it ends.
 */
import { decodeJwt } from 'jose';
import { arena, at, audited, call, credentialsOf, parallel, type Scene, tally } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { signIn } from '../support/sign-in.ts';
import { setAttributes } from '../support/token-exchange.ts';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  const signedIn = async (seconds: string) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    await setAttributes(stage.server, stage.rp.client, { 'cardea.refresh.grace': seconds });
    const user = await stage.server.user(stage.realm);
    return { stage, user, first: (await signIn(stage.server, stage.rp, user)).tokens };
  };
  const refresh = async ({ server, realm, rp }: Scene, token: unknown, node: Cardea = server) => {
    const sent = { grant_type: 'refresh_token', refresh_token: String(token), client_id: rp.client.clientId };
    const { status, body } = await call(node, realm, 'token', sent);
    return { status, error: body.error, token: body.refresh_token, access: body.access_token };
  };
  const works = async ({ server, realm }: Scene, token: unknown) =>
    (await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${token}` })).status === 200;
  const ended = { status: 400, error: 'invalid_grant' };

  engine.serial('within the grace a replaced token is taken again, and gives another of the same generation', async (t) => {
    const { stage, user, first } = await signedIn('300');
    const one = await refresh(stage, first.refresh_token);
    const again = await refresh(stage, first.refresh_token);
    t.deepEqual([one.status, again.status], [200, 200]);
    t.not(one.token, again.token);
    t.is(decodeJwt(String(one.access)).sid, decodeJwt(String(again.access)).sid, 'one family');
    t.like(decodeJwt(String(again.access)), { acr: 'aal1', amr: ['pwd'], auth_time: decodeJwt(first.access_token).auth_time });
    await at(200_000, async () => t.is((await refresh(stage, first.refresh_token)).status, 200));
    // Both processes refresh at about the same time again.
    const next = await refresh(stage, one.token);
    t.is(next.status, 200);
    t.is((await refresh(stage, again.token)).status, 200, 'the other one of its generation');
    t.deepEqual(await audited(stage, 'token.reuse', { user: user.id }), []);
    for (const { access } of [one, again, next]) t.true(await works(stage, access));
  });

  engine.serial('after the grace it is a replay, which ends the family', async (t) => {
    const { stage, user, first } = await signedIn('30');
    const one = await refresh(stage, first.refresh_token);
    await at(31_000, async () => {
      t.like(await refresh(stage, first.refresh_token), ended);
      t.like(await refresh(stage, one.token), ended, 'and with it the newest');
      t.false(await works(stage, one.access));
    });
    t.is((await audited(stage, 'token.reuse', { user: user.id })).length, 1);
  });

  engine.test('not once its successor was used: the grace is that of the newest generation alone', async (t) => {
    const { stage, user, first } = await signedIn('60');
    const one = await refresh(stage, first.refresh_token);
    const two = await refresh(stage, one.token);
    t.is(two.status, 200);
    t.like(await refresh(stage, first.refresh_token), ended);
    for (const token of [one.token, two.token]) t.like(await refresh(stage, token), ended);
    t.false(await works(stage, two.access));
    t.is((await audited(stage, 'token.reuse', { user: user.id })).length, 1);
  });

  engine.serial('a thief and the owner go on side by side until one is later than the grace, and then neither does', async (t) => {
    const { stage, first } = await signedIn('60');
    const owner = await refresh(stage, first.refresh_token);
    const thief = await refresh(stage, first.refresh_token);
    t.is(thief.status, 200, 'within the grace nobody can tell them apart');
    await at(300_000, async () => {
      const next = await refresh(stage, thief.token);
      t.is(next.status, 200);
      await at(400_000, async () => {
        t.like(await refresh(stage, owner.token), ended);
        t.like(await refresh(stage, next.token), ended);
        t.false(await works(stage, next.access));
      });
    });
  });

  engine.test('so often and no more, also of many at once on all nodes', async (t) => {
    const { stage, first } = await signedIn('60');
    const processes = await nodes();
    const few = await parallel(8, (index) => refresh(stage, first.refresh_token, processes[index % processes.length]));
    t.deepEqual(tally(few), { 200: 8 });
    for (const { access } of few) t.true(await works(stage, access));
    const many = await parallel(20, (index) => refresh(stage, few[index % few.length]?.token, processes[index % processes.length]));
    t.true((tally(many)[200] ?? 0) <= 10, JSON.stringify(tally(many)));
    t.true(many.some(({ status }) => status === 400));
    for (const { token, access } of many) {
      if (access === undefined) continue;
      t.like(await refresh(stage, token), ended);
      t.false(await works(stage, access));
    }
  });

  engine.test('a token that was replaced is not active, once its grace is over for a newer one', async (t) => {
    const { stage, first } = await signedIn('60');
    const looked = async (token: unknown) =>
      (
        await call(
          stage.server,
          stage.realm,
          'token/introspect',
          { token: String(token), client_id: stage.rp.client.clientId },
          credentialsOf(stage.rp),
        )
      ).body.active;
    const one = await refresh(stage, first.refresh_token);
    t.true(await looked(first.refresh_token), 'it would still be taken');
    await refresh(stage, one.token);
    t.false(await looked(first.refresh_token));
  });

  engine.test('switched on, changed and switched off, it counts for the tokens that are there', async (t) => {
    const { stage, first } = await signedIn('');
    const one = await refresh(stage, first.refresh_token);
    await setAttributes(stage.server, stage.rp.client, { 'cardea.refresh.grace': '60' });
    const two = await refresh(stage, one.token);
    const three = await refresh(stage, two.token);
    t.is((await refresh(stage, two.token)).status, 200);
    await setAttributes(stage.server, stage.rp.client, {});
    t.like(await refresh(stage, two.token), ended);
    t.like(await refresh(stage, three.token), ended);
  });

  engine.test('without it nothing is different', async (t) => {
    const { stage, first } = await signedIn('0');
    const one = await refresh(stage, first.refresh_token);
    t.like(await refresh(stage, first.refresh_token), ended);
    t.like(await refresh(stage, one.token), ended);
  });
});
