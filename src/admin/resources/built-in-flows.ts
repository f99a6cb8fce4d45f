/** Keycloak's built-in authentication flows as data: what its clients expect of every realm. What the policy decides is marked, and filled in by authentication-flows.ts. */

export type Requirement = 'REQUIRED' | 'ALTERNATIVE' | 'CONDITIONAL' | 'DISABLED';

/** A step of a flow, or a flow within one. */
export interface BuiltInStep {
  /** Keycloak's id of the authenticator; of a flow within, that of its form, if it has one. */
  provider?: string;
  name: string;
  /** What stands here, or what decides: the realm's policy, or whether one of these factors is used. */
  requirement: Requirement | 'by-policy' | { ifUsed: readonly string[] };
  choices: readonly Requirement[];
  configurable?: boolean;
  /** The steps of a flow within. */
  steps?: readonly BuiltInStep[];
  description?: string;
}

export interface BuiltInFlow {
  alias: string;
  description: string;
  provider: 'basic-flow' | 'client-flow';
  steps: readonly BuiltInStep[];
}

const ANY = ['REQUIRED', 'ALTERNATIVE', 'DISABLED'] as const;
const SWITCH = ['REQUIRED', 'DISABLED'] as const;
const ALWAYS = ['REQUIRED'] as const;
const OF_FLOW = ['REQUIRED', 'ALTERNATIVE', 'DISABLED', 'CONDITIONAL'] as const;
const OF_CONDITION = ['REQUIRED', 'DISABLED'] as const;

const step = (
  provider: string,
  name: string,
  requirement: BuiltInStep['requirement'],
  choices: readonly Requirement[],
  configurable = false,
): BuiltInStep => ({
  provider,
  name,
  requirement,
  choices,
  configurable,
});

const within = (
  name: string,
  description: string,
  requirement: BuiltInStep['requirement'],
  steps: readonly BuiltInStep[],
  provider?: string,
): BuiltInStep => ({
  name,
  description,
  requirement,
  choices: OF_FLOW,
  steps,
  ...(provider === undefined ? {} : { provider }),
});

const configured = step('conditional-user-configured', 'Condition - user configured', 'REQUIRED', OF_CONDITION);

/** What a second factor is shown by, as far as Keycloak has a word for it. */
const secondFactors: readonly BuiltInStep[] = [
  configured,
  step('auth-otp-form', 'OTP Form', { ifUsed: ['totp', 'hotp'] }, ANY),
  step('webauthn-authenticator', 'WebAuthn Authenticator', { ifUsed: ['security-key'] }, ANY),
  step('auth-recovery-authn-code-form', 'Recovery Authentication Code Form', { ifUsed: ['recovery-codes'] }, ANY),
];

const browser: BuiltInFlow = {
  alias: 'browser',
  description: 'Signing in with a browser',
  provider: 'basic-flow',
  steps: [
    step('auth-cookie', 'Cookie', 'ALTERNATIVE', ANY),
    step('auth-spnego', 'Kerberos', 'DISABLED', ANY),
    step('identity-provider-redirector', 'Identity Provider Redirector', 'DISABLED', ANY, true),
    within('forms', 'Username, password and second factors', 'ALTERNATIVE', [
      step('auth-username-password-form', 'Username Password Form', 'REQUIRED', ALWAYS),
      within('Browser - Conditional 2FA', 'Whether a second factor is asked for, as the policy of the realm says', 'by-policy', secondFactors),
    ]),
  ],
};

const directGrant: BuiltInFlow = {
  alias: 'direct grant',
  description: 'Direct access: the password grant',
  provider: 'basic-flow',
  steps: [
    step('direct-grant-validate-username', 'Username Validation', 'REQUIRED', ALWAYS),
    step('direct-grant-validate-password', 'Password', 'REQUIRED', SWITCH),
    within('Direct Grant - Conditional OTP', 'Whether a code is asked for, as the policy of the realm says', 'by-policy', [
      configured,
      step('direct-grant-validate-otp', 'OTP', { ifUsed: ['totp', 'hotp'] }, SWITCH),
    ]),
  ],
};

const registration: BuiltInFlow = {
  alias: 'registration',
  description: 'Registration',
  provider: 'basic-flow',
  steps: [
    {
      ...within(
        'registration form',
        'Registration form',
        'REQUIRED',
        [
          step('registration-user-creation', 'Registration User Profile Creation', 'REQUIRED', SWITCH),
          step('registration-password-action', 'Password Validation', 'REQUIRED', SWITCH),
          step('registration-recaptcha-action', 'reCAPTCHA', 'DISABLED', SWITCH, true),
          step('registration-terms-and-conditions', 'Terms and conditions', 'DISABLED', SWITCH),
        ],
        'registration-page-form',
      ),
      choices: SWITCH,
    },
  ],
};

const resetCredentials: BuiltInFlow = {
  alias: 'reset credentials',
  description: 'A forgotten password',
  provider: 'basic-flow',
  steps: [
    step('reset-credentials-choose-user', 'Choose User', 'REQUIRED', ALWAYS),
    step('reset-credential-email', 'Send Reset Email', 'REQUIRED', ALWAYS),
    step('reset-password', 'Reset Password', 'REQUIRED', ANY),
    within('Reset - Conditional OTP', 'Whether codes are set up anew; here a remaining factor is asked for instead', 'DISABLED', [
      configured,
      step('reset-otp', 'Reset OTP', 'REQUIRED', ANY),
    ]),
  ],
};

const clients: BuiltInFlow = {
  alias: 'clients',
  description: 'How clients show who they are',
  provider: 'client-flow',
  steps: [
    step('client-secret', 'Client Id and Secret', 'ALTERNATIVE', ['ALTERNATIVE', 'DISABLED']),
    step('client-jwt', 'Signed Jwt', 'ALTERNATIVE', ['ALTERNATIVE', 'DISABLED']),
    step('client-secret-jwt', 'Signed Jwt with Client Secret', 'ALTERNATIVE', ['ALTERNATIVE', 'DISABLED']),
    step('client-x509', 'X509 Certificate', 'DISABLED', ['ALTERNATIVE', 'DISABLED']),
  ],
};

const firstBrokerLogin: BuiltInFlow = {
  alias: 'first broker login',
  description: 'The first sign-in by a provider elsewhere',
  provider: 'basic-flow',
  steps: [
    step('idp-review-profile', 'Review Profile', 'REQUIRED', SWITCH, true),
    within('User creation or linking', 'A new user, or one that is there', 'REQUIRED', [
      step('idp-create-user-if-unique', 'Create User If Unique', 'ALTERNATIVE', ANY, true),
      within('Handle Existing Account', 'There is somebody of that name or address', 'ALTERNATIVE', [
        step('idp-confirm-link', 'Confirm link existing account', 'REQUIRED', SWITCH),
        within('Account verification options', 'How that somebody shows who they are', 'REQUIRED', [
          step('idp-email-verification', 'Verify existing account by Email', 'ALTERNATIVE', ANY),
          within('Verify Existing Account by Re-authentication', 'By signing in', 'ALTERNATIVE', [
            step('idp-username-password-form', 'Username Password Form for identity provider reauthentication', 'REQUIRED', ALWAYS),
            within(
              'First broker login - Conditional 2FA',
              'Whether a second factor is asked for, as the policy of the realm says',
              'by-policy',
              secondFactors,
            ),
          ]),
        ]),
      ]),
    ]),
  ],
};

const dockerAuth: BuiltInFlow = {
  alias: 'docker auth',
  description: 'Docker registries; not offered',
  provider: 'basic-flow',
  steps: [step('docker-http-basic-authenticator', 'Docker Authenticator', 'DISABLED', ALWAYS)],
};

/** In Keycloak's order. */
export const BUILT_IN_FLOWS: readonly BuiltInFlow[] = [browser, directGrant, registration, resetCredentials, clients, firstBrokerLogin, dockerAuth];

export interface NamedProvider {
  id: string;
  displayName: string;
  description: string;
}

/** What stands in a form, rather than in a flow. */
const FORM_ACTIONS: readonly string[] = [
  'registration-user-creation',
  'registration-password-action',
  'registration-recaptcha-action',
  'registration-terms-and-conditions',
];

function* stepsIn(steps: readonly BuiltInStep[]): Generator<BuiltInStep> {
  for (const one of steps) {
    yield one;
    yield* stepsIn(one.steps ?? []);
  }
}

const named = ({ provider = '', name, description = name }: BuiltInStep): NamedProvider => ({ id: provider, displayName: name, description });
const everyStep = (flows: readonly BuiltInFlow[]): BuiltInStep[] =>
  flows.flatMap(({ steps }) => [...stepsIn(steps)]).filter(({ provider }) => provider !== undefined);
const each = (providers: readonly NamedProvider[]): NamedProvider[] => [...new Map(providers.map((one) => [one.id, one])).values()];

export const CLIENT_AUTHENTICATORS: readonly (NamedProvider & { supportsSecret: boolean })[] = clients.steps.map((one) => ({
  ...named(one),
  supportsSecret: one.provider?.startsWith('client-secret') === true,
}));
export const FORM_PROVIDERS: readonly NamedProvider[] = [
  { id: 'registration-page-form', displayName: 'Registration Page', description: 'The page of the registration' },
];
export const FORM_ACTION_PROVIDERS: readonly NamedProvider[] = each(everyStep([registration]).map(named)).filter(({ id }) =>
  FORM_ACTIONS.includes(id),
);
export const AUTHENTICATORS: readonly NamedProvider[] = each(
  everyStep(BUILT_IN_FLOWS.filter((flow) => flow !== clients && flow !== registration)).map(named),
);

export const ALL_PROVIDERS: readonly NamedProvider[] = [...AUTHENTICATORS, ...CLIENT_AUTHENTICATORS, ...FORM_PROVIDERS, ...FORM_ACTION_PROVIDERS];
