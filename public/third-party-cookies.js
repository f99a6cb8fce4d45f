/**
 * Whether frames of ours get our cookies in the page that asks (keycloak-js does before anything else). The first page was
 * answered with a cookie like the session's; the second one says whether it came back. It is no secret, and said to whoever frames it.
 */
const { cookies } = document.documentElement.dataset;
if (cookies === undefined) location.replace('step2.html');
else parent.postMessage(cookies, '*');
