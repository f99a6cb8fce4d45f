/** What a request costs the database, BEGIN and COMMIT included: docs/performance.md promises it, and it is not to grow unseen. */
import { giveApp } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, exchange, openid, type RelyingParty, relyingParty } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = async (mfa: 'off' | 'optional') => {
    const server = await startCardea(await engine.database());
    const realm = await server.realm({ mfa });
    const rp = await relyingParty(server, realm, await server.client(realm, { firstParty: true, serviceAccount: true }));
    return { server, realm, rp };
  };
  type User = Awaited<ReturnType<Cardea['user']>>;

  /** What the server looks after by itself, every now and then. */
  const byItself = /^select .*(?:untold|webhook_deliveries|logout_notices|outbox)/i;

  const statementsOf = async ({ db: { knex } }: Cardea, work: () => Promise<unknown>): Promise<number> => {
    const counts: number[] = [];
    // Clients are read anew every few seconds: one of three is without that.
    for (let times = 0; times < 3; times += 1) {
      let count = 0;
      const counted = ({ sql }: { sql: string }): void => {
        if (!byItself.test(sql)) count += 1;
      };
      knex.on('query', counted);
      await work();
      knex.removeListener('query', counted);
      counts.push(count);
    }
    return Math.min(...counts);
  };

  /** From the application's request to its tokens. */
  const walk = async (rp: RelyingParty, browser: Browser, user?: User, secret?: string) => {
    const request = await authorizationRequest(rp);
    let page = await browser.visit(request.url);
    if (user) page = await browser.send(page, { username: user.username, password: user.password });
    if (secret !== undefined) page = await browser.send(page, { code: codeOf(secret) });
    return exchange(rp, request, page);
  };

  engine.serial('requests of tokens', async (t) => {
    const { server, realm, rp } = await world('off');
    t.is(await statementsOf(server, () => openid.clientCredentialsGrant(rp.configuration)), 1, 'the user with the roles');

    const browser = new Browser(server.origin);
    const { refresh_token = '', access_token } = await walk(rp, browser, await server.user(realm));
    t.is(await statementsOf(server, () => openid.refreshTokenGrant(rp.configuration, refresh_token)), 2, 'the token with its family, and the user');
    t.is(await statementsOf(server, () => openid.tokenIntrospection(rp.configuration, access_token)), 1);
    const codeFlow = await statementsOf(server, () => walk(rp, browser));
    t.true(codeFlow <= CODE_FLOW + BESIDE, String(codeFlow));
  });

  engine.serial('a whole sign-in', async (t) => {
    const { server, realm, rp } = await world('optional');
    const users = [await server.user(realm), await server.user(realm), await server.user(realm)];
    const secrets = new Map<string, string>();
    for (const user of users) secrets.set(user.id, (await giveApp(server, user)).secret);
    const next = async (): Promise<unknown> => {
      const user = users.pop();
      return walk(rp, new Browser(server.origin), user, secrets.get(user?.id ?? ''));
    };
    const made = await statementsOf(server, next);
    t.true(made <= WITH_APP + BESIDE, String(made));
  });
});

/** Of somebody who is signed in: the request of the application, and the exchange of the code. */
const CODE_FLOW = 9;
/** With a password and an app, in a browser that was never here. */
const WITH_APP = 38;
/** What a longer way may meet: a client that is read anew, rows that are written together. */
const BESIDE = 2;
