/** Tokens and claims as the page shows them: every claim with its value and, where it is known, what it means. */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { problemOf } from './problems.ts';
import type { RelyingParty } from './relying-party.ts';
import type { DemoSession, Tokens } from './sessions.ts';

interface Claim {
  name: string;
  value: string;
  /** What it means, or the value in words. */
  note: string;
  /** One of the three that this is all about. */
  marked: boolean;
}

/** The three that say how somebody signed in. */
const MARKED = new Set(['acr', 'amr', 'auth_time']);
const TIMES = new Set(['auth_time', 'exp', 'iat', 'nbf', 'updated_at']);

const NOTES = new Map(
  Object.entries({
    iss: 'Who made this token',
    sub: 'The user: stays the same for ever',
    aud: 'Who this token is for',
    azp: 'The application that it was made for',
    client_id: 'The application that it was made for',
    sid: 'The session, as this application knows it',
    preferred_username: 'The name that the user signs in with',
    name: 'The full name',
    given_name: 'The first name',
    family_name: 'The last name',
    email: 'The email address',
    email_verified: 'Whether it was shown to be the user’s',
    nonce: 'Ties the token to the request',
    at_hash: 'Ties the access token to the ID token',
    jti: 'The name of this one token',
    typ: 'What kind of token this is',
    scope: 'What this application may see',
    alg: 'How it is signed',
    kid: 'With which key',
  }),
);

const ACR = new Map(
  Object.entries({
    aal1: 'One factor was proved',
    aal2: 'Two different factors were proved',
    phr: 'Proved in a way that a fake site cannot relay',
    phrh: 'Proved by hardware, in a way that a fake site cannot relay',
  }),
);

/** RFC 8176. */
const AMR = new Map(
  Object.entries({
    pwd: 'a password',
    otp: 'a one-time code',
    mfa: 'more than one kind of factor',
    hwk: 'a key in hardware',
    swk: 'a key in software',
    user: 'the user was verified',
    pop: 'possession of a key',
  }),
);

/** The model of the view `demo/tokens`. */
export async function pageOf(party: RelyingParty, tokens: Tokens, { asked, transfer }: DemoSession) {
  const now = Date.now();
  const { claims } = tokens;
  const expired = tokens.expiresAt <= now;
  return {
    user: null,
    who: String(claims.name ?? claims.preferred_username ?? claims.sub),
    facts: {
      acr: { value: String(claims.acr ?? 'none'), note: ACR.get(String(claims.acr)) ?? 'The issuer’s own name for how sure it is' },
      amr: listOf(claims.amr).map((value) => ({ value, note: AMR.get(value) ?? '' })),
      authTime: typeof claims.auth_time === 'number' ? { iso: iso(claims.auth_time), ago: ago(now - claims.auth_time * 1000) } : null,
    },
    asked: Object.entries(asked)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    transfer: transfer ?? null,
    from: tokens.from,
    life: expired ? 'has expired' : `is valid for ${span(tokens.expiresAt - now)}`,
    expired,
    refreshable: tokens.refreshToken !== undefined,
    tokens: [
      {
        id: 'id-token',
        title: 'ID token',
        lead: 'Says to this application who signed in, and how. It goes nowhere else.',
        raw: tokens.idToken,
        ...decoded(tokens.idToken, now),
      },
      {
        id: 'access-token',
        title: 'Access token',
        lead: 'Is sent to an API, which learns the same from it.',
        raw: tokens.accessToken,
        ...decoded(tokens.accessToken, now),
      },
    ],
    userinfo: await userInfo(party, tokens, expired, now),
  };
}

async function userInfo(party: RelyingParty, tokens: Tokens, expired: boolean, now: number): Promise<{ claims: Claim[]; problem: string | null }> {
  if (expired) return { claims: [], problem: 'The access token has expired. Refresh the tokens first.' };
  try {
    return { claims: claimsOf(await party.userInfo(tokens), now), problem: null };
  } catch (error) {
    return { claims: [], problem: `The issuer did not answer this: ${problemOf(error).title.toLowerCase()}.` };
  }
}

/** A token that is no JWT is shown as it is. */
function decoded(token: string, now: number): { header: Claim[]; claims: Claim[] } {
  if (token.split('.').length !== 3) return { header: [], claims: [] };
  return { header: claimsOf({ ...decodeProtectedHeader(token) }, now), claims: claimsOf(decodeJwt(token), now) };
}

/** What the page is about comes first, the rest as it stands in the token. */
function claimsOf(claims: Record<string, unknown>, now: number): Claim[] {
  return Object.entries(claims)
    .map(([name, value]) => ({
      name,
      value: typeof value === 'string' ? value : JSON.stringify(value),
      note: noteOf(name, value, now),
      marked: MARKED.has(name),
    }))
    .sort((a, b) => Number(b.marked) - Number(a.marked));
}

function noteOf(name: string, value: unknown, now: number): string {
  if (name === 'acr') return ACR.get(String(value)) ?? '';
  if (name === 'amr') {
    return listOf(value)
      .flatMap((method) => AMR.get(method) ?? [])
      .join(', ');
  }
  if (TIMES.has(name) && typeof value === 'number') {
    const distance = now - value * 1000;
    return distance < 0 ? `in ${span(-distance)}` : ago(distance);
  }
  return NOTES.get(name) ?? '';
}

const listOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** `4 minutes`, for milliseconds. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [count, unit] =
    seconds < 60
      ? [seconds, 'second']
      : seconds < 3_600
        ? [Math.round(seconds / 60), 'minute']
        : seconds < 172_800
          ? [Math.round(seconds / 3_600), 'hour']
          : [Math.round(seconds / 86_400), 'day'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

const ago = (ms: number): string => (ms < 2_000 ? 'just now' : `${span(ms)} ago`);
