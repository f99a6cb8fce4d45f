/** What is no text, where anybody may send it: it is refused like any other name that nobody has, and is no fault of ours. */
import { UnsecuredJWT } from 'jose';
import { arena, call, rawRequest } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';

const NUL = 'a\0b';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('a NUL in a name is an error of whoever sends it', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { publicClient: true, directAccess: true });
    const { clientId: client_id } = rp.client;
    const named = new UnsecuredJWT({ aud: NUL, sub: NUL, iss: NUL }).encode();
    const bearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    const calls: [string, Record<string, string>][] = [
      ['token', { client_id: NUL, grant_type: 'authorization_code', code: 'x' }],
      ['token', { client_assertion_type: bearer, client_assertion: named, grant_type: 'client_credentials' }],
      ['token', { client_id, grant_type: 'password', username: NUL, password: 'b' }],
      ['token', { client_id, grant_type: 'password', username: 'a', password: NUL }],
      ['token', { client_id, grant_type: 'password', username: 'a', password: 'b', totp: NUL }],
      ['ext/par/request', { client_id: NUL, response_type: 'code' }],
      ['auth/device', { client_id: NUL }],
      ['token/introspect', { client_id: NUL, token: 'x' }],
      ['revoke', { client_id: NUL, token: NUL }],
    ];
    for (const [endpoint, fields] of calls) {
      const { status } = await call(server, realm, endpoint, fields);
      t.true(status === 400 || status === 401, `${endpoint} ${JSON.stringify(fields)}: ${status}`);
    }
    const connect = `/realms/${realm.name}/protocol/openid-connect`;
    for (const target of [
      `${connect}/auth?client_id=a%00b`,
      `${connect}/logout?client_id=a%00b`,
      `${connect}/logout?id_token_hint=${named}`,
      `${connect}/logout/success?client_id=a%00b`,
      `${connect}/login-status-iframe.html/init?client_id=a%00b&origin=https://app.example`,
      `/realms/${realm.name}/gate/stopped?why=denied&gate=a%00b`,
      `/realms/a%00b/protocol/openid-connect/certs`,
    ]) {
      const { status } = await rawRequest(server, { target });
      t.true(status >= 400 && status < 500, `${target}: ${status}`);
    }
  });
});
