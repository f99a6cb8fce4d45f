/**
 * Asks the browser for a security key or a passkey. Each form with `data-webauthn` holds the options that the server made
 * (`data-options`, WebAuthn Level 3 section 5.1.8), a hidden field for the answer and a button; what can go wrong is said
 * in the words that the page brought along (`data-says-…`).
 *
 * On the first page the browser also offers passkeys while a name is typed (conditional mediation). One question is open at
 * a time: the button first takes back the one behind the field.
 */

/** How long before its challenge is too old a page gets another one, in milliseconds. */
const EARLY = 30_000;

const forms = [...document.querySelectorAll('form[data-webauthn]')];
const isSupported = typeof PublicKeyCredential === 'function' && navigator.credentials !== undefined;

/** The question that is open, so that it can be taken back. */
let open;

function begin() {
  open?.abort();
  open = new AbortController();
  return open.signal;
}

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
const toText = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const withBytes = (list) => list?.map((descriptor) => ({ ...descriptor, id: toBytes(descriptor.id) }));

async function create(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: withBytes(options.excludeCredentials),
  };
  const { id, rawId, type, response } = await navigator.credentials.create({ publicKey, signal: begin() });
  return {
    id,
    rawId: toText(rawId),
    type,
    response: {
      clientDataJSON: toText(response.clientDataJSON),
      attestationObject: toText(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  };
}

async function get(options, mediation) {
  const publicKey = { ...options, challenge: toBytes(options.challenge), allowCredentials: withBytes(options.allowCredentials) };
  const { id, rawId, type, response } = await navigator.credentials.get({ publicKey, signal: begin(), ...(mediation ? { mediation } : {}) });
  return {
    id,
    rawId: toText(rawId),
    type,
    response: {
      clientDataJSON: toText(response.clientDataJSON),
      authenticatorData: toText(response.authenticatorData),
      signature: toText(response.signature),
      ...(response.userHandle ? { userHandle: toText(response.userHandle) } : {}),
    },
  };
}

const optionsOf = (form) => JSON.parse(form.dataset.options);

function send(form, answer) {
  form.elements.response.value = JSON.stringify(answer);
  const remember = document.querySelector('input[name="remember"]');
  if (form.elements.remember && remember) form.elements.remember.disabled = !remember.checked;
  form.submit();
}

/** Which of the page's words fit. Browsers tell cancelled, too late, no such key and not verified apart as little as they can. */
function kindOf(error, options, startedAt) {
  switch (error.name) {
    case 'NotAllowedError':
      return performance.now() - startedAt >= options.timeout - 1_000 ? 'late' : 'cancelled';
    case 'InvalidStateError':
      return 'already';
    case 'ConstraintError':
    case 'NotSupportedError':
      return 'unable';
    case 'SecurityError':
      return 'address';
    default:
      return 'failed';
  }
}

function say(form, kind) {
  const place = form.querySelector('[data-says]');
  place.textContent = kind === undefined ? '' : (place.dataset[`says${kind[0].toUpperCase()}${kind.slice(1)}`] ?? place.dataset.saysFailed);
  place.hidden = kind === undefined;
}

/** The button: asks, and sends what comes of it. */
async function ask(form) {
  say(form, undefined);
  const button = form.querySelector('[data-start]');
  const startedAt = performance.now();
  let options = optionsOf(form);
  button.setAttribute('aria-busy', 'true');
  try {
    await renewIfOld(form);
    options = optionsOf(form);
    send(form, form.dataset.webauthn === 'create' ? await create(options) : await get(options));
  } catch (error) {
    // Taken back for a newer question.
    if (error.name === 'AbortError') return;
    say(form, kindOf(error, options, startedAt));
    offerWhileTyping();
  } finally {
    button.removeAttribute('aria-busy');
  }
}

const conditional = () => forms.find((form) => form.dataset.conditional !== undefined);

/** Passkeys among the names that the browser suggests. What is wrong with it is nobody's business: there is the button. */
async function offerWhileTyping() {
  const form = conditional();
  if (!form || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    send(form, await get(optionsOf(form), 'conditional'));
  } catch {
    // Taken back, or nothing that the button would not say as well.
  }
}

/** When the page's challenges are too old to be answered. */
let oldAt = Number.POSITIVE_INFINITY;

/** A first page that stands open gets another challenge in its place; what was typed stays as it is. */
async function renewIfOld(form) {
  if (form !== conditional() || performance.now() < oldAt) return;
  // A sign-in that went on in another tab is not followed from here.
  const answer = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'error' });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.querySelector('form[data-conditional]');
  const version = fresh?.elements.version?.value;
  if (version === undefined) return;
  form.dataset.options = fresh.dataset.options;
  for (const field of document.querySelectorAll('input[name="version"]')) field.value = version;
  keepFresh(form);
}

let timer;
function keepFresh(form) {
  const lifetime = optionsOf(form).timeout - EARLY;
  oldAt = performance.now() + lifetime;
  clearTimeout(timer);
  timer = setTimeout(async () => {
    try {
      await renewIfOld(form);
      if (performance.now() < oldAt) await offerWhileTyping();
    } catch {
      // Without a network nobody signs in either; the button tries again.
    }
  }, lifetime + 100);
}

function start(form) {
  const button = form.querySelector('[data-start]');
  if (!isSupported) {
    if (form.dataset.conditional === undefined) say(form, 'unsupported');
    return;
  }
  form.hidden = false;
  button.hidden = false;
  if (button.dataset.focus !== undefined && (document.activeElement === document.body || document.activeElement === null)) button.focus();
  form.addEventListener('submit', (event) => {
    if (event.submitter !== null && event.submitter !== button) return;
    event.preventDefault();
    ask(form);
  });
}

/** Forms that want to know whether this browser can make a passkey, for whom one may be offered later. */
async function tellWhetherAble() {
  const fields = document.querySelectorAll('input[name="webauthn"]');
  if (fields.length === 0 || !(await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable())) return;
  for (const field of fields) field.value = '1';
}

for (const form of forms) start(form);
if (isSupported) {
  tellWhetherAble();
  const form = conditional();
  if (form) {
    keepFresh(form);
    offerWhileTyping();
  }
  addEventListener('pagehide', () => open?.abort());
  // Out of the browser's memory, by the back button.
  addEventListener('pageshow', (event) => {
    if (event.persisted) offerWhileTyping();
  });
}
