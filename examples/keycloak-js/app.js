/**
 * A single-page application with keycloak-js, as it comes from npm. Where it signs in says keycloak.json.
 *
 * It looks whether somebody is signed in already without leaving the page, notices when that ends in another tab, and keeps
 * its tokens in memory alone.
 */
import Keycloak from './keycloak.js';

const keycloak = new Keycloak('keycloak.json');
const shown = (id) => document.getElementById(id);

const say = (what) => {
  shown('said').textContent = typeof what === 'string' ? what : JSON.stringify(what, null, 2);
};

function show() {
  const { authenticated, tokenParsed } = keycloak;
  shown('who').textContent = authenticated ? `You are ${tokenParsed.preferred_username} (${tokenParsed.acr})` : 'Nobody is signed in';
}

keycloak.onAuthLogout = () => {
  show();
  say('The session is over.');
};
keycloak.onActionUpdate = (status, action) => say(`${action}: ${status}`);
// Whoever is idle for longer than a token lasts gets a new one with the next call; this is for whoever is not.
keycloak.onTokenExpired = () => keycloak.updateToken(-1).catch(() => {});

const DO = {
  login: () => keycloak.login(),
  refresh: async () => say(`refreshed: ${await keycloak.updateToken(-1)}`),
  userinfo: async () => say(await keycloak.loadUserInfo()),
  profile: async () => say(await keycloak.loadUserProfile()),
  stepUp: () => keycloak.login({ acr: { values: ['aal2'], essential: true } }),
  setUpApp: () => keycloak.login({ action: 'CONFIGURE_TOTP' }),
  account: () => keycloak.accountManagement(),
  logout: () => keycloak.logout({ redirectUri: location.origin + location.pathname }),
};

for (const button of document.querySelectorAll('button[data-do]')) {
  button.addEventListener('click', () => DO[button.dataset.do]().catch((error) => say(String(error))));
}

await keycloak
  .init({ onLoad: 'check-sso', silentCheckSsoRedirectUri: new URL('silent-check-sso.html', location.href).href })
  .catch((error) => say(error instanceof Error ? error.message : error));
show();
