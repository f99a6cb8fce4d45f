/** What a new realm has (Keycloak's names, so that its clients and scripts find what they expect). */
import { CONSOLE_CLIENTS, consolePath } from '../../realms/consoles.ts';
import { managementClientInMaster } from '../../realms/management.ts';

/** Scope, whether new clients get it by default, and whether tokens name it. */
export const CLIENT_SCOPES: readonly {
  name: string;
  assignment: 'default' | 'optional' | 'none';
  shown: boolean;
  description: string;
  protocol?: string;
}[] = [
  { name: 'basic', assignment: 'default', shown: false, description: 'Who you are and when you signed in' },
  { name: 'acr', assignment: 'default', shown: false, description: 'How you signed in' },
  { name: 'profile', assignment: 'default', shown: true, description: 'Your name and username' },
  { name: 'email', assignment: 'default', shown: true, description: 'Your email address' },
  { name: 'roles', assignment: 'default', shown: false, description: 'Your roles' },
  { name: 'web-origins', assignment: 'default', shown: false, description: 'The web origins of the application' },
  { name: 'address', assignment: 'optional', shown: true, description: 'Your postal address' },
  { name: 'phone', assignment: 'optional', shown: true, description: 'Your phone number' },
  { name: 'microprofile-jwt', assignment: 'optional', shown: true, description: 'Your username and roles, for MicroProfile applications' },
  { name: 'offline_access', assignment: 'optional', shown: true, description: 'Access while you are not signed in' },
  { name: 'organization', assignment: 'optional', shown: true, description: 'The organisations that you belong to' },
  { name: 'role_list', assignment: 'none', shown: false, description: 'Roles, for SAML applications', protocol: 'saml' },
];

/** What may be managed in a realm. */
const realmManagement = [
  'create-client',
  ...['realm', 'users', 'clients', 'events', 'identity-providers', 'authorization'].flatMap((what) => [`view-${what}`, `manage-${what}`]),
  ...['users', 'clients', 'realms', 'groups'].map((what) => `query-${what}`),
  'impersonation',
];

/** Whoever may view them may also look for them. */
const managementComposites = { 'view-clients': ['query-clients'], 'view-users': ['query-users', 'query-groups'] };

const accountRoles = [
  'view-profile',
  'manage-account',
  'manage-account-links',
  'view-applications',
  'view-consent',
  'manage-consent',
  'delete-account',
  'view-groups',
];

const accountComposites = { 'manage-account': ['manage-account-links'], 'manage-consent': ['view-consent'] };

export interface DefaultClient {
  clientId: string;
  name: string;
  /** Paths below the realm's own; consoles are relying parties of their realm. */
  publicClient: boolean;
  standardFlow: boolean;
  directAccess: boolean;
  redirectPath: string | null;
  roles: string[];
  /** Which of its roles contain which others. */
  composites: Record<string, string[]>;
  /** Its access tokens carry no roles: an administrator of many realms has very many, and what these clients call looks them up. */
  lightweight: boolean;
}

/** The clients of a new realm. */
export function defaultClients(realmName: string): DefaultClient[] {
  const none = { publicClient: true, standardFlow: false, directAccess: false, redirectPath: null, roles: [], composites: {}, lightweight: false };
  return [
    { ...none, clientId: 'account', name: 'Account', roles: accountRoles, composites: accountComposites },
    {
      ...none,
      clientId: CONSOLE_CLIENTS.account,
      name: 'Account console',
      standardFlow: true,
      redirectPath: `${consolePath('account', realmName)}/callback`,
    },
    { ...none, clientId: 'admin-cli', name: 'Admin command line', directAccess: true, lightweight: true },
    { ...none, clientId: 'broker', name: 'Broker', publicClient: false },
    {
      ...none,
      clientId: 'realm-management',
      name: 'Realm management',
      publicClient: false,
      roles: ['realm-admin', ...realmManagement],
      composites: { ...managementComposites, 'realm-admin': realmManagement },
    },
    {
      ...none,
      clientId: CONSOLE_CLIENTS.admin,
      name: 'Admin console',
      standardFlow: true,
      redirectPath: `${consolePath('admin', realmName)}/callback`,
      lightweight: true,
    },
  ];
}

/** The client in master whose roles let its users manage a realm. */
export const managementClientIn = (realmName: string): DefaultClient => ({
  clientId: managementClientInMaster(realmName),
  name: `Management of ${realmName}`,
  publicClient: false,
  standardFlow: false,
  directAccess: false,
  redirectPath: null,
  roles: realmManagement,
  composites: managementComposites,
  lightweight: false,
});

/** The role that every user of a realm has. */
export const defaultRoleName = (realmName: string): string => `default-roles-${realmName}`;

/** What it contains: realm roles, and roles of client `account`. */
export const DEFAULT_ROLE_CONTAINS = { realm: ['offline_access', 'uma_authorization'], account: ['view-profile', 'manage-account'] } as const;

/** The realm roles of a new realm. */
export const defaultRealmRoles = (realmName: string): string[] => [
  defaultRoleName(realmName),
  'offline_access',
  'uma_authorization',
  ...(realmName === 'master' ? ['admin', 'create-realm'] : []),
];
