/** The narrow port through which the sign-in pages see the library: load what is asked, and answer it once. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodeJwt } from 'jose';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import { z } from 'zod';
import { gone } from '../errors.ts';
import { say } from '../languages/messages.ts';
import { ROUTES } from './names.ts';

/** What is asked of the sign-in pages. */
export interface Interaction {
  uid: string;
  /** Stays the same from the first page to the code; the uid does not. */
  cid: string;
  prompt: 'login' | 'consent';
  /** Of the consent prompt: what the user has to be asked about. */
  scopes: string[];
  params: Record<string, unknown>;
  clientId: string;
  /** The only user whose sign-in answers the request, when it names one (`id_token_hint`, `claims.id_token.sub`). */
  subject: string | undefined;
  /** The session that the browser has at this moment, when somebody is signed in. */
  session: { uid: string; accountId: string } | undefined;
  /** The address of the same request anew. */
  again: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  expiresAt: number;
}

export interface Interactions {
  /** @throws `gone` when the browser has no such interaction any more. */
  load(req: IncomingMessage, res: ServerResponse, uid: string): Promise<Interaction>;
  /** Answers a login: where the browser is sent next. */
  finish(
    req: IncomingMessage,
    res: ServerResponse,
    login: { accountId: string; transaction: string; at: number; remember: boolean },
  ): Promise<string>;
  /** Answers a consent that was given. */
  allow(req: IncomingMessage, res: ServerResponse): Promise<string>;
  /** Answers with an error, which goes back to the application. */
  deny(req: IncomingMessage, res: ServerResponse, error: { error: string; error_description: string }): Promise<string>;
}

export function interactionsOf(provider: Provider): Interactions {
  return {
    async load(req, res, uid) {
      const details = await provider.interactionDetails(req, res).catch((cause: unknown) => {
        if (cause instanceof errors.SessionNotFound) throw expired(cause);
        throw cause;
      });
      if (details.uid !== uid) throw expired();
      const scopes = details.prompt.details.scopes;
      return {
        uid,
        cid: details.cid,
        prompt: details.prompt.name === 'consent' ? 'consent' : 'login',
        scopes: Array.isArray(scopes) ? scopes.filter((scope) => typeof scope === 'string') : [],
        params: details.params,
        clientId: String(details.params.client_id),
        subject: subjectAsked(details.params),
        session: details.session?.accountId ? { uid: details.session.uid, accountId: details.session.accountId } : undefined,
        again: `${provider.issuer}${ROUTES.authorization}?${queryOf(details.params)}`,
        startedAt: details.iat * 1000,
        expiresAt: details.exp * 1000,
      };
    },
    finish: (req, res, login) =>
      provider.interactionResult(req, res, {
        login: { accountId: login.accountId, ts: Math.floor(login.at / 1000), remember: login.remember, transaction: login.transaction },
      }),
    allow: (req, res) => provider.interactionResult(req, res, { consent: {} }),
    deny: (req, res, error) => provider.interactionResult(req, res, { ...error }, { mergeWithLastSubmission: false }),
  };
}

/** The library has verified the hint's signature and the parameter's syntax, and does not look again when the browser comes back. */
function subjectAsked(params: Record<string, unknown>): string | undefined {
  if (typeof params.id_token_hint === 'string') return decodeJwt(params.id_token_hint).sub;
  if (typeof params.claims !== 'string') return undefined;
  const asked = subjectClaim.safeParse(JSON.parse(params.claims));
  return asked.data?.id_token?.sub?.value;
}

const subjectClaim = z.object({ id_token: z.object({ sub: z.object({ value: z.string() }).nullish() }).nullish() });

/** The parameters as the application sent them; a request object or a pushed request has been unpacked into them. */
function queryOf(params: Record<string, unknown>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (name === 'request' || name === 'request_uri') continue;
    for (const one of Array.isArray(value) ? value : [value]) if (typeof one === 'string' || typeof one === 'number') query.append(name, String(one));
  }
  return query;
}

const expired = (cause?: unknown) => {
  const error = gone(say('error.signInOver'));
  error.cause = cause;
  return error;
};
