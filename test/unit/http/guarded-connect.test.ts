/** Connections to mail servers that somebody else chose. */
import { createServer } from 'node:net';
import test from 'ava';
import { createGuardedConnect } from '../../../src/http/guarded-connect.ts';
import { allowsMailServer } from '../../../src/http/outbound-rules.ts';

test('public hosts are reached at the ports of mail, and others where the installation names them', (t) => {
  const server = { host: 'mail.example.com', port: 587 };
  t.true(allowsMailServer([], server, '93.184.216.34'));
  t.false(allowsMailServer([], { ...server, port: 443 }, '93.184.216.34'), 'no port of mail');
  for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:10.0.0.1', 'fd00::1'])
    t.false(allowsMailServer([], server, address), address);
  t.true(allowsMailServer([{ kind: 'host', target: 'mail.example.com', port: null }], server, '10.0.0.1'));
  t.true(allowsMailServer([{ kind: 'range', target: '10.0.0.0/8', port: null }], server, '10.0.0.1'));
  t.false(allowsMailServer([{ kind: 'host', target: 'other.example.com', port: '*' }], server, '10.0.0.1'));
});

test('a name is judged by every address that it resolves to, and the one that was looked at is connected to', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).end('220 hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const to = (addresses: string[]) => async () => addresses.map((one) => ({ address: one, family: 4 }));
  const allow = [{ kind: 'range' as const, target: '127.0.0.0/8', port: '*' as const }];
  const socket = await createGuardedConnect({ allow, resolve: to(['127.0.0.1']) })({ host: 'mail.test', port }, 2_000);
  t.is(socket.remotePort, port);
  socket.destroy();
  const mixed = createGuardedConnect({ allow, resolve: to(['127.0.0.1', '10.0.0.1']) });
  await t.throwsAsync(mixed({ host: 'mail.test', port }, 2_000), { message: /is not allowed/ });
  await t.throwsAsync(createGuardedConnect({ allow: [] })({ host: '127.0.0.1', port }, 2_000), { message: /is not allowed/ });
  await t.throwsAsync(createGuardedConnect({ allow, resolve: to([]) })({ host: 'mail.test', port }, 2_000));
  server.close();
});
