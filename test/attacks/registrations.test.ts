/** Attacks by whoever was given a token to register a client with. */
import { createInitialAccess } from '../../src/admin/resources/client-registrations.ts';
import { tally } from '../support/attack.ts';
import { REDIRECT_URI, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { listen } from '../support/listen.ts';

forEachEngine((engine) => {
  engine.test('E09 nobody is hammered by us: a token for one client has a host asked so often in a minute, and no more', async (t) => {
    const source = await listen((_request, response) => void response.end('[]'));
    const server = await startCardea(await engine.database(), { CARDEA_OUTBOUND_ALLOW: `127.0.0.1:${source.port}` });
    const realm = await server.realm({ mfa: 'off' });
    const { token } = await createInitialAccess(server.operator(), realm, { count: 1 });
    const register = async () => {
      const answer = await fetch(`${server.url}/realms/${realm.name}/clients-registrations/openid-connect`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: [REDIRECT_URI], sector_identifier_uri: `http://127.0.0.1:${source.port}/sector` }),
      });
      return { status: answer.status, wait: answer.headers.get('retry-after') };
    };
    const answers: Awaited<ReturnType<typeof register>>[] = [];
    for (let times = 0; times < 80; times += 1) answers.push(await register());
    t.deepEqual(tally(answers), { 400: 60, 429: 20 });
    t.is(answers.at(-1)?.wait, '60');
    t.is(source.requests.length, 60);
  });
});
