/**
 * A form is sent once. Of a second press a browser shows the second answer, and drops the first one with the cookie that
 * goes on with the sign-in. Everything works without this; a second press then leads to a page that says what happened.
 */

/** Whoever stopped the first one from loading may send again after this long, in milliseconds. */
const AGAIN_AFTER = 5_000;

const sent = new WeakMap();

addEventListener('submit', (event) => {
  const before = sent.get(event.target);
  if (before !== undefined && performance.now() - before < AGAIN_AFTER) event.preventDefault();
  else sent.set(event.target, performance.now());
});

// A page that comes out of the browser's memory, by the back button, is a new one.
addEventListener('pageshow', (event) => {
  if (event.persisted) for (const form of document.forms) sent.delete(form);
});
