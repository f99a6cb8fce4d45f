/**
 * Fields of Keycloak's RealmRepresentation that have no effect here: taken, kept with the realm, and shown again, with
 * Keycloak's defaults until then. What would promise something that is not so is refused.
 */
import { z } from 'zod';
import { LANGUAGES } from '../../languages/languages.ts';

export interface KeptField {
  readonly name: string;
  readonly schema: z.ZodType;
  /** What is shown when nothing was given; undefined for nothing. */
  readonly unless?: unknown;
}

const kept = (schema: z.ZodType, fields: Readonly<Record<string, unknown>>): KeptField[] =>
  Object.entries(fields).map(([name, unless]) => ({ name, schema, unless }));

const flag = z.boolean();
const whole = z.number().int().min(-2_147_483_648).max(2_147_483_647);
const text = z.string().max(2_000);
const list = z.array(z.string().max(255)).max(1_000);
const texts = z.record(z.string().max(255), z.string().max(4_000));
const anything = z.unknown();
const never = (what: string) => z.literal(false, { error: what });

export const KEPT_FIELDS: readonly KeptField[] = [
  ...kept(z.enum(['none', 'external', 'all', 'NONE', 'EXTERNAL', 'ALL']), { sslRequired: 'external' }),
  ...kept(text, {
    displayNameHtml: undefined,
    loginTheme: undefined,
    accountTheme: undefined,
    adminTheme: undefined,
    emailTheme: undefined,
    defaultLocale: undefined,
    browserFlow: 'browser',
    registrationFlow: 'registration',
    directGrantFlow: 'direct grant',
    resetCredentialsFlow: 'reset credentials',
    clientAuthenticationFlow: 'clients',
    dockerAuthenticationFlow: 'docker auth',
    firstBrokerLoginFlow: 'first broker login',
    bruteForceStrategy: 'MULTIPLE',
    otpPolicyType: 'totp',
    webAuthnPolicyRpEntityName: 'keycloak',
    webAuthnPolicyAuthenticatorAttachment: 'not specified',
    webAuthnPolicyRequireResidentKey: 'not specified',
    webAuthnPolicyPasswordlessRpEntityName: 'keycloak',
    webAuthnPolicyPasswordlessAuthenticatorAttachment: 'not specified',
    webAuthnPolicyPasswordlessRequireResidentKey: 'Yes',
    // Whoever signs in with a passkey has always shown who they are.
    webAuthnPolicyPasswordlessUserVerificationRequirement: 'required',
  }),
  ...kept(whole, {
    notBefore: 0,
    accessCodeLifespanUserAction: 300,
    actionTokenGeneratedByUserLifespan: 300,
    maxTemporaryLockouts: 0,
    maxSecondaryAuthFailures: undefined,
    minimumQuickLoginWaitSeconds: 60,
    quickLoginCheckMilliSeconds: 1_000,
    maxDeltaTimeSeconds: 43_200,
    otpPolicyInitialCounter: 0,
    webAuthnPolicyCreateTimeout: 0,
    webAuthnPolicyPasswordlessCreateTimeout: 0,
    eventsExpiration: undefined,
  }),
  ...kept(flag, {
    registrationAllowed: false,
    registrationEmailAsUsername: false,
    loginWithEmailAllowed: true,
    editUsernameAllowed: false,
    // Guessing is always bounded.
    bruteForceProtected: true,
    permanentLockout: false,
    webAuthnPolicyAvoidSameAuthenticatorRegister: false,
    webAuthnPolicyPasswordlessAvoidSameAuthenticatorRegister: false,
    internationalizationEnabled: true,
    userManagedAccessAllowed: false,
    organizationsEnabled: false,
    verifiableCredentialsEnabled: false,
    adminPermissionsEnabled: false,
    scimApiEnabled: undefined,
    // Everything is always recorded, whatever these say.
    eventsEnabled: false,
    adminEventsEnabled: false,
    adminEventsDetailsEnabled: false,
  }),
  ...kept(never('two users cannot have the same address here'), { duplicateEmailsAllowed: false }),
  ...kept(never('a code is accepted once'), { otpPolicyCodeReusable: false }),
  ...kept(list, {
    supportedLocales: Object.keys(LANGUAGES).sort(),
    requiredCredentials: ['password'],
    otpSupportedApplications: ['totpAppFreeOTPName', 'totpAppGoogleName', 'totpAppMicrosoftAuthenticatorName'],
    webAuthnPolicyExtraOrigins: [],
    webAuthnPolicyPasswordlessExtraOrigins: [],
    eventsListeners: ['jboss-logging'],
    enabledEventTypes: [],
  }),
  ...kept(texts, {
    browserSecurityHeaders: {
      contentSecurityPolicyReportOnly: '',
      xContentTypeOptions: 'nosniff',
      referrerPolicy: 'no-referrer',
      xRobotsTag: 'none',
      xFrameOptions: 'SAMEORIGIN',
      contentSecurityPolicy: "frame-src 'self'; frame-ancestors 'self'; object-src 'none';",
      strictTransportSecurity: 'max-age=31536000; includeSubDomains',
    },
    localizationTexts: undefined,
  }),
  ...kept(anything, { clientProfiles: undefined, clientPolicies: undefined, adminPermissionsClient: undefined }),
];
