/** Every operation of the REST API: one line a resource. */
import { attackDetectionOperations } from './attack-detection.ts';
import { auditOperations } from './audit.ts';
import { authenticationOperations } from './authentication.ts';
import { clientCertificateOperations } from './client-certificates.ts';
import { clientPolicyOperations } from './client-policies.ts';
import { clientScopeOperations } from './client-scopes.ts';
import { clientSecretOperations } from './client-secrets.ts';
import { clientSessionOperations } from './client-sessions.ts';
import { clientOperations } from './clients.ts';
import { componentOperations } from './components.ts';
import { credentialOperations } from './credentials.ts';
import { evaluateScopeOperations } from './evaluate-scopes.ts';
import { eventOperations } from './events.ts';
import { gateOperations } from './gates.ts';
import { groupOperations } from './groups.ts';
import { identityProviderMapperOperations } from './identity-provider-mappers.ts';
import { identityProviderOperations } from './identity-providers.ts';
import { initialAccessOperations } from './initial-access.ts';
import { mfaCoverageOperations } from './mfa-coverage.ts';
import { mfaEnrolmentPassOperations } from './mfa-enrolment-passes.ts';
import { mfaExceptionOperations } from './mfa-exceptions.ts';
import { mfaPolicyOperations } from './mfa-policy.ts';
import type { Operation } from './operation.ts';
import { partialExportOperations } from './partial-export.ts';
import { partialImportOperations } from './partial-import.ts';
import { protocolMapperOperations } from './protocol-mappers.ts';
import { realmActionOperations } from './realm-actions.ts';
import { realmOperations } from './realms.ts';
import { requiredActionOperations } from './required-actions.ts';
import { roleMappingOperations } from './role-mappings.ts';
import { roleOperations } from './roles.ts';
import { scopeMappingOperations } from './scope-mappings.ts';
import { serverInfoOperations } from './server-info.ts';
import { userActionOperations } from './user-actions.ts';
import { userGroupOperations } from './user-groups.ts';
import { userSessionOperations } from './user-sessions.ts';
import { userStorageOperations } from './user-storage.ts';
import { userOperations } from './users.ts';
import { webhookOperations } from './webhooks.ts';
import { whoAmIOperations } from './who-am-i.ts';

export const operations: readonly Operation[] = [
  ...realmOperations,
  ...userOperations,
  ...userActionOperations,
  ...roleOperations,
  ...groupOperations,
  ...userGroupOperations,
  ...roleMappingOperations,
  ...credentialOperations,
  ...userSessionOperations,
  ...attackDetectionOperations,
  ...componentOperations,
  ...userStorageOperations,
  ...eventOperations,
  ...realmActionOperations,
  ...partialExportOperations,
  ...partialImportOperations,
  ...serverInfoOperations,
  ...whoAmIOperations,
  ...clientOperations,
  ...clientPolicyOperations,
  ...clientSecretOperations,
  ...clientCertificateOperations,
  ...clientSessionOperations,
  ...initialAccessOperations,
  ...clientScopeOperations,
  ...protocolMapperOperations,
  ...scopeMappingOperations,
  ...evaluateScopeOperations,
  ...gateOperations,
  ...mfaPolicyOperations,
  ...mfaCoverageOperations,
  ...mfaExceptionOperations,
  ...mfaEnrolmentPassOperations,
  ...auditOperations,
  ...webhookOperations,
  ...authenticationOperations,
  ...requiredActionOperations,
  ...identityProviderOperations,
  ...identityProviderMapperOperations,
];
