/** Mappers of how the user signed in, and of what the server knows of the client: nobody configures what they say, only where. */
import { claimPath, claimProblem, inJson } from './claim.ts';
import { CLAIM_NAME, type Config, type Facts, JSON_TYPE, type MapperType, text, type Use } from './mapper.ts';

const IN_TOKENS: readonly Use[] = ['access', 'id', 'introspection'];

const said = (path: string, value: unknown) => (value === undefined || value === null ? [] : [{ path: [path], value }]);

const acr: MapperType = {
  id: 'oidc-acr-mapper',
  claim: 'acr',
  name: 'Authentication Context Class Reference (ACR)',
  category: 'Token mapper',
  help: 'Says the level that the sign-in reached, as claim acr.',
  uses: IN_TOKENS,
  properties: [],
  claims: (_config, { signIn }) => said('acr', signIn?.acr),
};

const amr: MapperType = {
  id: 'oidc-amr-mapper',
  claim: 'amr',
  name: 'Authentication Method Reference (AMR)',
  category: 'Token mapper',
  help: 'Says by which methods the user signed in, as claim amr (RFC 8176).',
  uses: IN_TOKENS,
  properties: [],
  claims: (_config, { signIn }) => said('amr', signIn?.amr),
};

const sub: MapperType = {
  id: 'oidc-sub-mapper',
  name: 'Subject (sub)',
  category: 'Token mapper',
  help: 'Says whom the token is about. Tokens say so with or without it: RFC 9068 section 2.2 wants it.',
  uses: ['access', 'introspection'],
  properties: [],
};

const sessionState: MapperType = {
  id: 'oidc-session-state-mapper',
  name: 'Session State (session_state)',
  category: 'Token mapper',
  help: 'Says the session as claim session_state, besides sid, for applications that know no sid.',
  uses: IN_TOKENS,
  properties: [],
  claims: (_config, { signIn }) => said('session_state', signIn?.sid),
};

const origins: MapperType = {
  id: 'oidc-allowed-origins-mapper',
  name: 'Allowed Web Origins',
  category: 'Token mapper',
  help: 'Says from which origins pages of the client may call, as claim allowed-origins.',
  uses: ['access', 'introspection'],
  accessByDefault: true,
  properties: [],
  claims: (_config, { client }) => said('allowed-origins', client.origins.length > 0 ? client.origins : undefined),
};

/** What Keycloak keeps as notes of a session and we know, too; the claim that each may be although that is reserved. */
const NOTES: Readonly<Record<string, { claim: string; value(facts: Facts): unknown }>> = {
  AUTH_TIME: { claim: 'auth_time', value: ({ signIn }) => signIn?.authTime },
  client_id: { claim: 'client_id', value: ({ client }) => client.clientId },
};

const noteOf = (config: Config) => {
  const note = config['user.session.note'] ?? '';
  return Object.hasOwn(NOTES, note) ? NOTES[note] : undefined;
};

/** Whether the note stands in the claim that is its own. */
const saysItself = (config: Config): boolean => noteOf(config)?.claim === config['claim.name'];

const note: MapperType = {
  id: 'oidc-usersessionmodel-note-mapper',
  name: 'User Session Note',
  category: 'Token mapper',
  help: 'Maps a note of the session to a claim: AUTH_TIME, when the user signed in, or client_id. Of any other there is nothing to say.',
  uses: ['access', 'id', 'userinfo', 'introspection'],
  properties: [text('user.session.note', 'User Session Note', 'AUTH_TIME or client_id.', { required: true }), CLAIM_NAME, JSON_TYPE],
  check: (config) => claimProblem(config, saysItself(config) ? claimPath(config['claim.name'] ?? '') : []),
  claims(config, facts) {
    const value = noteOf(config)?.value(facts);
    if (value === undefined || value === null) return [];
    // A standard claim is what its standard says, whatever the config calls it.
    const shown = saysItself(config) ? value : inJson(String(value), config['jsonType.label']);
    return shown === undefined ? [] : [{ path: claimPath(config['claim.name'] ?? ''), value: shown }];
  },
};

const hardcoded: MapperType = {
  id: 'oidc-hardcoded-claim-mapper',
  name: 'Hardcoded claim',
  category: 'Token mapper',
  help: 'Says the same in every token.',
  uses: ['access', 'id', 'userinfo', 'introspection'],
  properties: [CLAIM_NAME, text('claim.value', 'Claim value', 'What it says.', { required: true }), JSON_TYPE],
  check: (config) =>
    claimProblem(config) ??
    (inJson(config['claim.value'] ?? '', config['jsonType.label']) === undefined
      ? { field: 'claim.value', message: `is no ${config['jsonType.label'] ?? 'String'}, or too large` }
      : undefined),
  claims: (config) => [{ path: claimPath(config['claim.name'] ?? ''), value: inJson(config['claim.value'] ?? '', config['jsonType.label']) }],
};

export const signInMappers: readonly MapperType[] = [acr, amr, sub, sessionState, origins, note];
export const fixedMappers: readonly MapperType[] = [hardcoded];
