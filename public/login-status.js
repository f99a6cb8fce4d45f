/**
 * The frame that an application keeps in its page to learn when its session at Cardea is over or another one (OpenID Connect
 * Session Management 1.0 section 3.2; keycloak-js, `checkLoginIframe`). It is sent "client_id session_state" and answers
 * "unchanged", "changed" or "error" to the window that asks, and to no other origin than that of the window.
 *
 * Whose pages are told anything says the server, by the origin that the browser says they have. It is asked once, and again
 * when the cookie that says "something has changed" does: applications ask every few seconds.
 */
const STATUS = 'cardea_status';
const PROBE = 'cardea_frame';

const cookie = (name) =>
  document.cookie
    .split('; ')
    .find((one) => one.startsWith(`${name}=`))
    ?.slice(name.length + 1);

/** Whether this frame has our cookies at all. In a page of another site browsers keep from it what the server would go by. */
const seesCookies = (() => {
  const rest = `; path=${location.pathname}; SameSite=Lax${location.protocol === 'https:' ? '; Secure' : ''}`;
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not in every browser
  document.cookie = `${PROBE}=1${rest}`;
  const seen = cookie(PROBE) !== undefined;
  // biome-ignore lint/suspicious/noDocumentCookie: as above
  document.cookie = `${PROBE}=${rest}; Max-Age=0`;
  return seen;
})();

/** What was asked last, and the answer. */
let last = { asked: '', answer: '' };

async function ask(clientId, origin, sessionState) {
  const asked = JSON.stringify([clientId, origin, sessionState, cookie(STATUS)]);
  if (asked === last.asked) return last.answer;
  const query = new URLSearchParams({ client_id: clientId, origin, session_state: sessionState });
  const answer = await fetch(`${location.pathname}/init?${query}`, { cache: 'no-store' });
  if (!answer.ok) return answer.status < 500 && answer.status !== 429 ? 'error' : 'unchanged';
  last = { asked, answer: await answer.text() };
  return last.answer;
}

async function answerTo(message, origin) {
  const space = message.lastIndexOf(' ');
  if (space < 1) return 'error';
  // Nothing is known to have changed; the next refresh says more.
  if (!seesCookies) return 'unchanged';
  return ask(message.slice(0, space), origin, message.slice(space + 1)).catch(() => 'unchanged');
}

addEventListener('message', async ({ data, origin, source }) => {
  // A page without an origin cannot be told apart from any other.
  if (typeof data !== 'string' || origin === 'null' || source === null) return;
  source.postMessage(await answerTo(data, origin), origin);
});
