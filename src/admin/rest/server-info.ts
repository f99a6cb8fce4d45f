/**
 * What this server is and can do, as Keycloak's `/admin/serverinfo`: consoles and Terraform look into it for the version of
 * the API and for the kinds of things that there are.
 */
import { cpus } from 'node:os';
import { z } from 'zod';
import { forbidden } from '../../errors.ts';
import { LANGUAGES } from '../../languages/languages.ts';
import { ALGORITHMS } from '../../realms/algorithms.ts';
import { describedMapperTypes } from '../../realms/mappers/types.ts';
import { EVENT_TYPES } from '../../telemetry/counted.ts';
import { KEY_PROVIDER } from '../resources/key-components.ts';
import { pagesOfRealms } from '../resources/realms.ts';
import { accessToRealms } from './access.ts';
import { KEYCLOAK_EVENT_TYPES, operationTypeOf, resourceTypeOf } from './event-types.ts';
import { type Call, type Operation, onInstallation } from './operation.ts';
import { PASSWORD_POLICIES } from './realm-password-policy.ts';

/** The version of Keycloak whose API this is: its clients choose what they send by it. */
const SPEAKS = '26.4.0';
const PROTOCOL = 'openid-connect';
const LOCALES = Object.keys(LANGUAGES).sort();

const named = z.record(z.string(), z.unknown());
const lists = z.record(z.string(), z.array(z.looseObject({ id: z.string() })));

const serverInfo = z.object({
  systemInfo: z.object({ version: z.string(), serverTime: z.string(), uptimeMillis: z.number().int(), product: z.string() }),
  cpuInfo: z.object({ processorCount: z.number().int() }),
  memoryInfo: z.object({
    ...{ total: z.number().int(), used: z.number().int(), free: z.number().int(), freePercentage: z.number().int() },
    ...{ totalFormated: z.string(), usedFormated: z.string(), freeFormated: z.string() },
  }),
  profileInfo: z.object({ name: z.string(), disabledFeatures: z.array(z.string()), previewFeatures: z.array(z.string()) }),
  features: z.array(named),
  cryptoInfo: z.object({
    ...{ cryptoProvider: z.string(), supportedKeystoreTypes: z.array(z.string()) },
    ...{ clientSignatureSymmetricAlgorithms: z.array(z.string()), clientSignatureAsymmetricAlgorithms: z.array(z.string()) },
  }),
  themes: z.record(z.string(), z.array(z.object({ name: z.string(), locales: z.array(z.string()) }))),
  socialProviders: z.array(named),
  identityProviders: z.array(named),
  clientImporters: z.array(named),
  providers: z.record(z.string(), z.object({ internal: z.boolean(), providers: z.record(z.string(), z.object({ order: z.number().int() })) })),
  protocolMapperTypes: lists,
  builtinProtocolMappers: z.record(z.string(), z.array(named)),
  clientInstallations: lists,
  componentTypes: lists,
  passwordPolicies: z.array(z.looseObject({ id: z.string() })),
  enums: z.record(z.string(), z.array(z.string())),
});

export const serverInfoOperations: readonly Operation[] = [
  onInstallation({
    id: 'serverinfo.read',
    method: 'GET',
    path: '/serverinfo',
    tag: 'Server',
    summary: 'What this server is and can do',
    roles: [],
    access: 'some-realm',
    status: 200,
    answer: serverInfo,
    async run(call) {
      if (!(await managesSomething(call))) throw forbidden('There is no realm that you manage.');
      return { body: { ...measured(call.operator.now), ...fixed() } };
    },
  }),
];

async function managesSomething({ operator, access: { caller } }: Call): Promise<boolean> {
  for await (const { realms } of pagesOfRealms(operator)) {
    const accessTo = await accessToRealms(operator.db.knex, caller, realms);
    if (realms.some((realm) => accessTo(realm).roles.size > 0)) return true;
  }
  return false;
}

function measured(now: number) {
  const { heapTotal, heapUsed } = process.memoryUsage();
  const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;
  const free = heapTotal - heapUsed;
  return {
    systemInfo: {
      ...{ version: SPEAKS, product: 'Cardea', serverTime: new Date(now).toUTCString() },
      uptimeMillis: Math.round(process.uptime() * 1_000),
    },
    cpuInfo: { processorCount: cpus().length },
    memoryInfo: {
      ...{ total: heapTotal, used: heapUsed, free, freePercentage: Math.round((free / heapTotal) * 100) },
      ...{ totalFormated: megabytes(heapTotal), usedFormated: megabytes(heapUsed), freeFormated: megabytes(free) },
    },
  };
}

type Fixed = Omit<z.input<typeof serverInfo>, 'systemInfo' | 'cpuInfo' | 'memoryInfo'>;
let made: Fixed | undefined;

function fixed(): Fixed {
  made ??= describedServer();
  return made;
}

function describedServer(): Fixed {
  const mappers = describedMapperTypes();
  return {
    profileInfo: { name: 'default', disabledFeatures: [], previewFeatures: [] },
    features: [],
    cryptoInfo: {
      ...{ cryptoProvider: 'Node.js', supportedKeystoreTypes: [] },
      ...{ clientSignatureSymmetricAlgorithms: [], clientSignatureAsymmetricAlgorithms: [...ALGORITHMS] },
    },
    themes: Object.fromEntries(['login', 'account', 'admin', 'email', 'welcome', 'common'].map((type) => [type, themes()])),
    ...{ socialProviders: [], identityProviders: [], clientImporters: [] },
    providers: {
      'login-protocol': installed([PROTOCOL]),
      'password-policy': installed(PASSWORD_POLICIES.map(({ id }) => id)),
      'protocol-mapper': installed(mappers.map(({ id }) => id)),
      keys: installed(['rsa-generated', 'ecdsa-generated', 'eddsa-generated']),
      signature: installed(ALGORITHMS),
    },
    protocolMapperTypes: { [PROTOCOL]: mappers },
    builtinProtocolMappers: { [PROTOCOL]: [] },
    clientInstallations: {
      [PROTOCOL]: [
        {
          ...{ id: 'keycloak-oidc-keycloak-json', protocol: PROTOCOL, displayType: 'Keycloak OIDC JSON', filename: 'keycloak.json' },
          ...{ helpText: 'A file that adapters of Keycloak read.', mediaType: 'application/json', downloadOnly: false },
        },
      ],
    },
    componentTypes: {
      [KEY_PROVIDER]: [
        { id: 'rsa-generated', helpText: 'Makes an RSA key of 2048 bits for RS256', properties: KEY_PROPERTIES, metadata: {} },
        { id: 'ecdsa-generated', helpText: 'Makes a key on the curve P-256 for ES256', properties: KEY_PROPERTIES, metadata: {} },
        { id: 'eddsa-generated', helpText: 'Makes a key on the curve Ed25519 for EdDSA', properties: KEY_PROPERTIES, metadata: {} },
      ],
    },
    passwordPolicies: PASSWORD_POLICIES.map((policy) => ({ ...policy, multipleSupported: false })),
    enums: {
      operationType: [...new Set(EVENT_TYPES.map(operationTypeOf))].sort(),
      resourceType: [...new Set(EVENT_TYPES.map(resourceTypeOf))].sort(),
      eventType: [...KEYCLOAK_EVENT_TYPES],
    },
  };
}

const themes = () => ['keycloak', 'base'].map((name) => ({ name, locales: LOCALES }));

const installed = (names: readonly string[]) => ({ internal: false, providers: Object.fromEntries(names.map((name) => [name, { order: 0 }])) });

const property = (name: string, label: string, type: string, defaultValue: string, helpText: string) => ({
  ...{ name, label, type, defaultValue, helpText },
  ...{ required: false, readOnly: false, secret: false },
});

const KEY_PROPERTIES = [
  property('priority', 'Priority', 'String', '100', 'Of the keys that are active the one with the highest signs'),
  property('enabled', 'Enabled', 'boolean', 'true', 'Whether it is published'),
  property('active', 'Active', 'boolean', 'true', 'Whether it may sign'),
];
