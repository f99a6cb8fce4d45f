/** What protocol mappers make of what is known: pure functions, and what of their configs is refused. */
import test from 'ava';
import { appliedMappers, askedMappers, type ClientMappers, scopesBeyond } from '../../../src/realms/mappers/applied.ts';
import { claimPath, inJson, put, take } from '../../../src/realms/mappers/claim.ts';
import { DEFAULT_MAPPERS } from '../../../src/realms/mappers/defaults.ts';
import type { Config, Use } from '../../../src/realms/mappers/mapper.ts';
import { audienceOf } from '../../../src/realms/mappers/payload.ts';
import { type Mapper, prepared } from '../../../src/realms/mappers/prepare.ts';
import { ROLES_OF_CLIENTS } from '../../../src/realms/mappers/roles.ts';
import { claimsOf, introspected, type Source, wantedFor } from '../../../src/realms/mappers/token-claims.ts';
import { configProblem, describedMapperTypes, MAPPER_TYPES, mapperType } from '../../../src/realms/mappers/types.ts';
import type { EffectiveRole } from '../../../src/store/effective-roles.ts';
import type { About } from '../../../src/store/token-subject.ts';
import type { UserRow } from '../../../src/store/users.ts';
import fc from '../../support/property.ts';

const USER: UserRow = {
  ...{ realmId: 'r', id: 'u', username: 'alice', email: 'alice@example.com', emailVerified: true, firstName: 'Alice', lastName: 'Ng' },
  ...{ enabled: true, serviceAccountOf: null, notBefore: 0, createdAt: 5_000, updatedAt: 9_000 },
};
const ABOUT: About = {
  attributes: new Map([
    ['badge', ['7', '8']],
    ['flags', ['{"a":1}']],
    ['street', ['High Street 1']],
  ]),
  inherited: [new Map([['badge', ['9']]]), new Map([['floor', ['3']]])],
  groups: [
    { name: 'emea', path: '/sales/emea' },
    { name: 'staff', path: '/staff' },
  ],
  roles: [],
};
const ROLES: EffectiveRole[] = [
  { id: '1', name: 'seller', client: null },
  { id: '2', name: 'editor', client: 'wiki' },
  { id: '3', name: 'buyer', client: 'shop' },
];
const ALL: Config = { 'access.token.claim': 'true', 'id.token.claim': 'true', 'userinfo.token.claim': 'true' };

const source = (more: Partial<Source> = {}): Source => ({
  user: USER,
  client: { clientId: 'wiki', origins: ['https://wiki.example'] },
  signIn: { acr: 'aal2', amr: ['pwd', 'otp'], authTime: 12, sid: 's' },
  lightweight: false,
  about: async () => ABOUT,
  roles: async () => ROLES,
  ...more,
});

let made = 0;
function mapper(type: string, config: Config): Mapper {
  made += 1;
  const [row] = prepared([
    {
      realmId: 'r',
      id: `m${made}`,
      parent: { client: 'c' },
      name: `m${made}`,
      protocol: 'openid-connect',
      mapper: type,
      config: { ...ALL, ...config },
    },
  ]);
  if (!row) throw new Error(`${type} is not in order: ${JSON.stringify(config)}`);
  return row;
}
const said = async (mappers: Mapper[], use: Use = 'access', more: Partial<Source> = {}) => claimsOf(mappers, use, source(more));
const attribute = (config: Config): Mapper => mapper('oidc-usermodel-attribute-mapper', config);

test('a claim’s name is a path; a dot in a name is escaped', (t) => {
  t.deepEqual(claimPath('address.street'), ['address', 'street']);
  t.deepEqual(claimPath('https://example\\.com/claim'), ['https://example.com/claim']);
  t.deepEqual(claimPath('a\\.b.c'), ['a.b', 'c']);
});

test('values become what their type says, or nothing', (t) => {
  t.is(inJson('17', 'long'), 17);
  t.is(inJson('17', 'String'), '17');
  t.is(inJson('17', undefined), '17');
  t.is(inJson('true', 'boolean'), true);
  t.is(inJson('yes', 'boolean'), undefined);
  t.is(inJson('4294967296', 'int'), undefined);
  t.is(inJson('9007199254740993', 'long'), undefined, 'more than JSON numbers hold');
  t.is(inJson('1e5', 'long'), undefined);
  t.deepEqual(inJson('{"a":[1]}', 'JSON'), { a: [1] });
  t.is(inJson('{', 'JSON'), undefined);
});

test('JSON that is giant, deep or reaches into every object is left out', (t) => {
  t.is(inJson(JSON.stringify('x'.repeat(20_000)), 'JSON'), undefined);
  t.is(inJson(`${'['.repeat(5_000)}${']'.repeat(5_000)}`, 'JSON'), undefined);
  t.is(inJson('{"a":{"__proto__":{"admin":true}}}', 'JSON'), undefined);
  t.is(inJson('x'.repeat(20_000), 'String'), undefined);
});

test('an attribute is one value, all of them, a number, or JSON, wherever its name says', async (t) => {
  const config = { 'user.attribute': 'badge', 'claim.name': 'work.badge' };
  t.deepEqual((await said([attribute(config)])).claims, { work: { badge: '7' } });
  t.deepEqual((await said([attribute({ ...config, multivalued: 'true', 'jsonType.label': 'int' })])).claims, { work: { badge: [7, 8] } });
  const aggregated = { ...config, multivalued: 'true', 'aggregate.attrs': 'true' };
  t.deepEqual((await said([attribute(aggregated)])).claims, { work: { badge: ['7', '8', '9'] } }, 'with those of groups');
  t.deepEqual(
    (await said([attribute({ 'user.attribute': 'floor', 'claim.name': 'floor' })])).claims,
    { floor: '3' },
    'a group’s, where the user has none',
  );
  t.deepEqual((await said([attribute({ 'user.attribute': 'flags', 'claim.name': 'flags', 'jsonType.label': 'JSON' })])).claims, { flags: { a: 1 } });
  t.deepEqual((await said([attribute({ 'user.attribute': 'nothing', 'claim.name': 'x' })])).claims, {});
  t.deepEqual((await said([attribute({ 'user.attribute': 'username', 'claim.name': 'a\\.b' })])).claims, { 'a.b': 'alice' });
});

test('properties, the name, the address and groups', async (t) => {
  const property = (name: string, type = 'String') =>
    mapper('oidc-usermodel-property-mapper', { 'user.attribute': name, 'claim.name': 'x', 'jsonType.label': type });
  t.deepEqual((await said([property('emailVerified', 'boolean')])).claims, { x: true });
  t.deepEqual((await said([property('createdTimestamp', 'long')])).claims, { x: 5_000 });
  t.deepEqual((await said([property('password')])).claims, {});
  t.deepEqual((await said([property('constructor')])).claims, {});
  t.deepEqual((await said([mapper('oidc-full-name-mapper', {})])).claims, { name: 'Alice Ng' });
  t.deepEqual((await said([mapper('oidc-address-mapper', {})])).claims, { address: { street_address: 'High Street 1' } });
  t.deepEqual((await said([mapper('oidc-address-mapper', { 'user.attribute.country': 'floor' })])).claims, {
    address: { street_address: 'High Street 1', country: '3' },
  });
  const groups = { 'claim.name': 'groups' };
  t.deepEqual((await said([mapper('oidc-group-membership-mapper', groups)])).claims, { groups: ['emea', 'staff'] });
  const paths = { ...groups, 'full.path': 'true' };
  t.deepEqual((await said([mapper('oidc-group-membership-mapper', paths)])).claims, { groups: ['/sales/emea', '/staff'] });
});

test('roles are named where their mappers say, renamed and added before', async (t) => {
  const realm = mapper('oidc-usermodel-realm-role-mapper', { 'claim.name': 'groups', 'usermodel.realmRoleMapping.rolePrefix': 'r-' });
  const clients = mapper('oidc-usermodel-client-role-mapper', { 'claim.name': ROLES_OF_CLIENTS });
  t.deepEqual((await said([realm, clients])).claims, {
    groups: ['r-seller'],
    resource_access: { wiki: { roles: ['editor'] }, shop: { roles: ['buyer'] } },
  });
  const one = { 'claim.name': 'shopping', 'usermodel.clientRoleMapping.clientId': 'shop', multivalued: 'false' };
  t.deepEqual((await said([mapper('oidc-usermodel-client-role-mapper', one)])).claims, { shopping: 'buyer' });
  const renamed = mapper('oidc-role-name-mapper', { role: 'wiki.editor', 'new.role.name': 'author' });
  const moved = mapper('oidc-role-name-mapper', { role: 'seller', 'new.role.name': 'shop.seller' });
  const added = mapper('oidc-hardcoded-role-mapper', { role: 'guest' });
  t.deepEqual((await said([clients, realm, added, moved, renamed])).claims, {
    groups: ['r-guest'],
    resource_access: { wiki: { roles: ['author'] }, shop: { roles: ['buyer', 'seller'] } },
  });
  const odd: EffectiveRole[] = [{ id: '4', name: 'x', client: '__proto__' }];
  t.deepEqual((await said([clients], 'access', { roles: async () => odd })).claims, {});
});

test('audiences are added; the client itself is none, and nobody is taken away', async (t) => {
  const added = mapper('oidc-audience-mapper', { 'included.custom.audience': 'stock' });
  const resolved = mapper('oidc-audience-resolve-mapper', {});
  t.deepEqual((await said([added, resolved])).audience, ['stock', 'shop']);
  t.deepEqual(audienceOf('account', ['stock', 'shop', 'account', 'stock']), ['account', 'shop', 'stock']);
  t.is(audienceOf('account', []), 'account');
  t.deepEqual((await said([added], 'id')).audience, [], 'an ID token is for its client alone');
});

test('how somebody signed in is said as it was, and for nobody who did not', async (t) => {
  const mappers = [
    mapper('oidc-acr-mapper', {}),
    mapper('oidc-amr-mapper', {}),
    mapper('oidc-session-state-mapper', {}),
    mapper('oidc-allowed-origins-mapper', {}),
    mapper('oidc-usersessionmodel-note-mapper', { 'user.session.note': 'AUTH_TIME', 'claim.name': 'auth_time', 'jsonType.label': 'String' }),
  ];
  const truth = { acr: 'aal2', amr: ['pwd', 'otp'], session_state: 's', auth_time: 12 };
  t.deepEqual((await said(mappers)).claims, { ...truth, 'allowed-origins': ['https://wiki.example'] });
  t.deepEqual((await said(mappers, 'id')).claims, truth);
  t.deepEqual((await said(mappers, 'access', { signIn: undefined })).claims, { 'allowed-origins': ['https://wiki.example'] });
});

const FORGED = [
  'iss',
  'sub',
  'aud',
  'exp',
  'iat',
  'nbf',
  'jti',
  'azp',
  'acr',
  'amr',
  'auth_time',
  'sid',
  'typ',
  'cnf',
  'nonce',
  'scope',
  'client_id',
];

test('no mapper of an administrator’s says what only the server knows', (t) => {
  const types = ['oidc-usermodel-attribute-mapper', 'oidc-usermodel-property-mapper', 'oidc-hardcoded-claim-mapper', 'oidc-group-membership-mapper'];
  const others = ['oidc-usermodel-realm-role-mapper', 'oidc-usermodel-client-role-mapper', 'oidc-usersessionmodel-note-mapper'];
  for (const id of [...types, ...others]) {
    const type = mapperType(id);
    if (!type) return t.fail(id);
    for (const name of [...FORGED, 'acr.x', 'active', 'at_hash', 'act', 'events', 'allowed-origins', '_claim_sources']) {
      const config = { 'claim.name': name, 'claim.value': 'x', 'user.attribute': 'x', 'user.session.note': 'x' };
      t.is(configProblem(type, config)?.field, 'claim.name', `${id} ${name}`);
    }
    for (const name of ['__proto__.x', 'a.__proto__', 'constructor', 'a.prototype.b', '', '.', 'a..b', ' ', 'a.'.repeat(12)])
      t.truthy(configProblem(type, { 'claim.name': name, 'claim.value': 'x', 'user.attribute': 'x', 'user.session.note': 'x' }), `${id} ${name}`);
  }
  for (const id of types) {
    const type = mapperType(id);
    for (const name of ['realm_access.roles', 'resource_access.account.roles'])
      t.truthy(type && configProblem(type, { 'claim.name': name, 'claim.value': '["admin"]', 'user.attribute': 'x' }), `${id} ${name}`);
  }
});

test('roles of one client are not shown as another’s, nor notes as claims that they are not', (t) => {
  const clients = mapperType('oidc-usermodel-client-role-mapper');
  const note = mapperType('oidc-usersessionmodel-note-mapper');
  if (!clients || !note) return t.fail();
  const of = 'usermodel.clientRoleMapping.clientId';
  t.truthy(configProblem(clients, { 'claim.name': 'resource_access.realm-management.roles', [of]: 'mine' }));
  t.truthy(configProblem(clients, { 'claim.name': 'resource_access.realm-management.roles' }));
  t.truthy(configProblem(clients, { 'claim.name': 'resource_access' }));
  t.truthy(configProblem(clients, { 'claim.name': 'realm_access.roles' }));
  t.is(configProblem(clients, { 'claim.name': 'resource_access.mine.roles', [of]: 'mine' }), undefined);
  t.truthy(configProblem(note, { 'claim.name': 'acr', 'user.session.note': 'AUTH_TIME' }));
  t.truthy(configProblem(note, { 'claim.name': 'auth_time', 'user.session.note': 'client_id' }));
  t.truthy(configProblem(note, { 'claim.name': 'auth_time.x', 'user.session.note': 'AUTH_TIME' }));
  t.is(configProblem(note, { 'claim.name': 'since', 'user.session.note': 'AUTH_TIME' }), undefined);
});

test('configs are refused by the field that is wrong', (t) => {
  const wrong = (id: string, config: Config) => {
    const type = mapperType(id);
    return type && configProblem(type, config)?.field;
  };
  t.is(wrong('oidc-usermodel-attribute-mapper', { 'claim.name': 'x' }), 'user.attribute');
  t.is(wrong('oidc-usermodel-attribute-mapper', { 'claim.name': 'x', 'user.attribute': 'y', 'jsonType.label': 'float' }), 'jsonType.label');
  t.is(wrong('oidc-usermodel-attribute-mapper', { 'claim.name': 'x', 'user.attribute': 'y', 'id.token.claim': 'yes' }), 'id.token.claim');
  t.is(wrong('oidc-hardcoded-claim-mapper', { 'claim.name': 'x', 'claim.value': '{', 'jsonType.label': 'JSON' }), 'claim.value');
  t.is(wrong('oidc-audience-mapper', {}), 'included.client.audience');
  t.is(wrong('oidc-hardcoded-role-mapper', { role: 'client.' }), 'role');
  t.is(wrong('oidc-role-name-mapper', { role: 'x' }), 'new.role.name');
});

test('what is stored and not in order says nothing', async (t) => {
  const row = { realmId: 'r', id: 'm', parent: { client: 'c' }, name: 'm', protocol: 'openid-connect' };
  const forged = { ...row, mapper: 'oidc-hardcoded-claim-mapper', config: { ...ALL, 'claim.name': 'acr', 'claim.value': 'phrh' } };
  t.deepEqual(prepared([forged, { ...row, mapper: 'oidc-nobody-knows', config: {} }, { ...forged, protocol: 'saml' }]), []);
});

test('a payload is never put into every object', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('__proto__', 'constructor', 'prototype', 'a', 'toString', 'hasOwnProperty'), { minLength: 1 }), (path) => {
      const payload: Record<string, unknown> = {};
      put(payload, { path, value: 'forged' });
      take(payload, path);
      const plain: Record<string, unknown> = {};
      return Object.keys(Object.prototype).length === 0 && plain.forged === undefined && String(plain) === '[object Object]';
    }),
  );
  const payload: Record<string, unknown> = { a: 'text' };
  put(payload, { path: ['a', 'b'], value: 1 });
  t.deepEqual(payload, { a: 'text' }, 'what is there and is no object stays');
  put(payload, { path: ['list'], value: [1, 2] });
  put(payload, { path: ['list'], value: [2, 3] });
  t.deepEqual(payload.list, [1, 2, 3]);
});

test('introspection differs from the token only by mappers that stand in one of the two', async (t) => {
  const quiet = attribute({ 'user.attribute': 'badge', 'claim.name': 'badge', 'access.token.claim': 'false' });
  const hidden = attribute({ 'user.attribute': 'username', 'claim.name': 'upn', 'introspection.token.claim': 'false' });
  const both = attribute({ 'user.attribute': 'email', 'claim.name': 'email' });
  const payload = { active: true, upn: 'alice', email: 'alice@example.com' };
  t.is(await introspected([both], payload, false, async () => t.fail()), undefined);
  t.deepEqual((await introspected([both, quiet, hidden], payload, false, async () => source()))?.claims, {
    ...{ active: true, email: 'alice@example.com', badge: '7' },
  });
  const roles = mapper('oidc-usermodel-realm-role-mapper', { 'claim.name': 'realm_access.roles' });
  const how = { acr: 'aal2', amr: ['pwd', 'otp'], auth_time: 12 };
  t.deepEqual((await said([roles], 'access', { lightweight: true })).claims, how, 'a lightweight token names no roles, and always says how');
  t.deepEqual((await said([], 'access', { lightweight: true, signIn: undefined })).claims, {});
  t.deepEqual((await introspected([roles], { active: true }, true, async () => source({ lightweight: true })))?.claims, {
    ...{ active: true, realm_access: { roles: ['seller'] } },
  });
});

test('a claim that is asked for by itself is said by a scope that does not apply, and that users are asked about', (t) => {
  const says = (name: string) => mapper('oidc-hardcoded-claim-mapper', { 'claim.name': name, 'claim.value': name });
  const scope = (name: string, more: Partial<ClientMappers['scopes'][number]> = {}) => ({
    id: name,
    name,
    isDefault: false,
    shown: true,
    mappers: [says(`${name}.one`), says(`${name}_two`)],
    ...more,
  });
  const client: ClientMappers = {
    own: [says('own')],
    scopes: [scope('work'), scope('home', { isDefault: true }), scope('hidden', { shown: false })],
  };
  const names = ['work', 'home', 'hidden', 'own', 'nothing'];
  t.deepEqual(
    scopesBeyond(client, 'openid', names).map(({ name }) => name),
    ['work', 'home'],
    'the first name of a claim counts',
  );
  t.deepEqual(
    scopesBeyond(client, 'openid home', names).map(({ name }) => name),
    ['work'],
  );
  t.deepEqual(
    askedMappers(client, 'openid home', names).map(({ config }) => config['claim.name']),
    ['work.one'],
    'not the others of that scope',
  );
  t.deepEqual(askedMappers(client, 'openid work home', names), []);
  t.true(appliedMappers(client, 'openid work', false).length > 2, 'what applies is said anyway');
});

test('nothing is read that no mapper needs', async (t) => {
  const refused = () => Promise.reject(new Error('it was read'));
  const row = [attribute({ 'user.attribute': 'email', 'claim.name': 'email' }), mapper('oidc-full-name-mapper', {}), mapper('oidc-acr-mapper', {})];
  t.deepEqual(Object.keys((await said(row, 'access', { about: refused, roles: refused })).claims), ['email', 'name', 'acr']);
  t.deepEqual(wantedFor(row, ['access'], false), { attributes: false, groups: false });
  const groups = mapper('oidc-group-membership-mapper', { 'claim.name': 'groups', 'id.token.claim': 'false' });
  t.deepEqual(wantedFor([...row, groups], ['id'], false), { attributes: false, groups: false });
  t.deepEqual(wantedFor([...row, groups], ['access'], false), { attributes: false, groups: true });
});

test('the default mappers are in order, and every type is described', (t) => {
  for (const { name, mapper: id, config } of Object.values(DEFAULT_MAPPERS).flat()) {
    const type = mapperType(id);
    t.is(type && configProblem(type, config), undefined, name);
  }
  t.is(new Set(MAPPER_TYPES.map(({ id }) => id)).size, MAPPER_TYPES.length);
  t.is(describedMapperTypes().length, 18);
  t.true(describedMapperTypes().every(({ name, helpText }) => name.length > 0 && helpText.length > 0));
});
