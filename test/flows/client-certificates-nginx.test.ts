/** Clients and tokens by certificate through a real nginx, which ends TLS and passes certificates on as docs/clients.md says. */
import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { decodeJwt } from 'jose';
import { startCardea } from '../support/cardea.ts';
import { type Made, makeAuthority, withOpenssl } from '../support/certificates.ts';
import { forEachEngine } from '../support/databases.ts';
import { NGINX, runNginx } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { programTest } from '../support/programs.ts';

/** As docs/clients.md has it, but for places. */
const configuration = (places: { listen: string; server: Made; cardea: string }): string => {
  const example =
    readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8')
      .split('```nginx\n')[1]
      ?.split('```')[0] ?? '';
  const changes: [string, string][] = [
    ['listen 443 ssl;', `listen ${places.listen} ssl;`],
    ['/etc/ssl/id.example.com.pem', places.server.certFile],
    ['/etc/ssl/id.example.com.key', places.server.keyFile],
    ['127.0.0.1:8080', places.cardea],
  ];
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`The documentation has no ${from} any more.`);
    return text.replace(from, to);
  }, example);
};

/** One POST over TLS, with a certificate of the client's or without. */
function post(
  url: string,
  fields: Record<string, string>,
  { ca, client, headers = {} }: { ca: Made; client?: Made; headers?: Record<string, string> },
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const tls = { ca: ca.cert, servername: 'id.example.com', ...(client ? { key: client.key, cert: client.cert } : {}) };
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const sent = httpsRequest(url, { method: 'POST', ...tls, headers: { ...type, ...headers }, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
    });
    sent.on('error', reject);
    sent.end(new URLSearchParams(fields).toString());
  });
}

forEachEngine((engine) => {
  const test = withOpenssl(engine, programTest(engine, NGINX));

  test('nginx passes on whose certificate it is, and what a client writes there itself is gone', async (t) => {
    const authority = makeAuthority('/O=Example/CN=Fleet CA');
    const site = makeAuthority('/CN=Site CA');
    const server = site.sign('/CN=id.example.com', { uses: 'serverAuth', name: 'id.example.com' });
    const listen = `127.0.0.1:${await freePort()}`;
    const cardea = await startCardea(await engine.database(), {
      CARDEA_TRUST_PROXY: '1',
      CARDEA_CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
      CARDEA_CLIENT_CA: authority.certFile,
    });
    await runNginx({ listen, configuration: configuration({ listen, server, cardea: new URL(cardea.url).host }) });
    const realm = await cardea.realm();
    const { clientId } = await cardea.client(realm, {
      serviceAccount: true,
      kept: { clientAuthenticatorType: 'client-x509' },
      attributes: { 'x509.subjectdn': 'CN=robot,O=Example', 'tls.client.certificate.bound.access.tokens': 'true' },
    });
    const robot = authority.sign('/O=Example/CN=robot');
    const token = `https://${listen}/realms/${realm.name}/protocol/openid-connect/token`;
    const fields = { grant_type: 'client_credentials', client_id: clientId };
    const forged = { 'x-client-certificate': encodeURIComponent(robot.cert) };

    const good = await post(token, fields, { ca: site, client: robot });
    t.is(good.status, 200, good.body);
    t.truthy(Object(decodeJwt(JSON.parse(good.body).access_token).cnf)['x5t#S256']);
    t.is((await post(token, fields, { ca: site, client: robot, headers: forged })).status, 200);
    t.is((await post(token, fields, { ca: site })).status, 401, 'without a certificate');
    t.is((await post(token, fields, { ca: site, headers: forged })).status, 401, 'with the header alone');
    const theirs = makeAuthority('/O=Example/CN=Fleet CA').sign('/O=Example/CN=robot');
    t.is((await post(token, fields, { ca: site, client: theirs })).status, 401, 'of another authority');
    t.is((await post(token, fields, { ca: site, client: theirs, headers: forged })).status, 401);
  });
});
