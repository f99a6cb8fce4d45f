/** What an error means to the person in front of the page, by its code. */
import * as client from 'openid-client';

/** Something to tell the person. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  /** The protocol's own words, for those who want them. */
  readonly code: string | null;
  readonly description: string | null;

  constructor(status: number, title: string, message: string, options: { code?: string; description?: string | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.code = options.code ?? null;
    this.description = options.description ?? null;
  }
}

/** RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core 1.0 section 3.1.2.6, RFC 9470 section 5. */
const KNOWN = new Map(
  Object.entries({
    access_denied: { status: 403, title: 'You stopped signing in', message: 'Nothing happened. You can start again whenever you like.' },
    unmet_authentication_requirements: {
      status: 403,
      title: 'You cannot prove that much',
      message: 'This application asked for a stronger sign-in than any of your sign-in methods gives.',
    },
    login_required: {
      status: 401,
      title: 'You are not signed in',
      message: 'The identity provider would have had to ask you something, and was told not to.',
    },
    consent_required: { status: 403, title: 'You have not agreed', message: 'This application may not see your data until you allow it.' },
    invalid_grant: {
      status: 401,
      title: 'Your session has ended',
      message: 'What this application held is no longer valid: you signed out elsewhere, it was used before, or it has expired. Sign in again.',
    },
    invalid_client: {
      status: 502,
      title: 'This application is not set up right',
      message: 'The identity provider does not know its client_id, or refuses its secret.',
    },
    invalid_token: { status: 401, title: 'The access token is no longer valid', message: 'Refresh the tokens, or sign in again.' },
    temporarily_unavailable: { status: 503, title: 'Too busy at this moment', message: 'Try again in a few seconds.' },
  }),
);

const UNKNOWN = {
  status: 502,
  title: 'The identity provider said no',
  message: 'It answered with an error that this application has no words for.',
};

/** Whatever was thrown, as something to tell. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError) {
    return known(error.error, error.error_description, error);
  }
  if (error instanceof client.WWWAuthenticateChallengeError) {
    // RFC 6749 section 5.2 and RFC 6750 section 3: said in a header, where HTTP's own authentication was used.
    const { error: code = 'invalid_client', error_description: description } = error.cause[0]?.parameters ?? {};
    return known(code, description, error);
  }
  if (error instanceof client.ClientError) {
    return new Problem(502, 'That answer cannot be trusted', 'What came back does not fit what was asked, so it was thrown away.', {
      ...(error.code ? { code: error.code } : {}),
      cause: error,
    });
  }
  console.error(error);
  return new Problem(500, 'Something went wrong here', 'This application met a fault. Its log says more.', { cause: error });
}

function known(code: string, description: string | undefined, cause: unknown): Problem {
  const { status, title, message } = KNOWN.get(code) ?? UNKNOWN;
  return new Problem(status, title, message, { code, description, cause });
}
