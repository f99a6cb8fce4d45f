/** Certificates of clients (RFC 8705): the header in which a proxy passes them on, and who may sign those that clients authenticate by. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';

export interface ClientCertificates {
  /** In lower case. */
  readonly header: string;
  /** Whose signature is enough to authenticate a client; none where no client does so. */
  readonly authorities: readonly X509Certificate[];
}

/** Headers that browsers, proxies and we ourselves give a meaning to. */
const TAKEN =
  /^(?:host|cookie|authorization|dpop|origin|accept.*|content-.*|x-forwarded-.*|forwarded|user-agent|connection|transfer-encoding|upgrade|sec-.*|x-.*request.*id)$/;

export const certificateHeader = z
  .string()
  .toLowerCase()
  .refine((name) => /^[a-z0-9][a-z0-9-]{0,99}$/.test(name) && !TAKEN.test(name), {
    error: 'is not the name of a header of its own; for example X-Client-Certificate',
  });

const EXAMPLE = 'the certificates of those who sign clients’ certificates, in PEM; for example /etc/cardea/clients-ca.pem';

/** The path of a file of certificates. */
export const authoritiesFile = z.string().transform((path, context): X509Certificate[] => {
  const wrong = (what: string): never => {
    context.issues.push({ code: 'custom', message: `${what}; it holds ${EXAMPLE}`, input: undefined });
    return z.NEVER;
  };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return wrong('is not a file that can be read');
  }
  const pems = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (pems.length === 0) return wrong('is a file without certificates');
  try {
    const certificates = pems.map((pem) => new X509Certificate(pem));
    const other = certificates.find((certificate) => !certificate.ca);
    return other ? wrong(`holds the certificate of ${JSON.stringify(other.subject)}, which may not sign others`) : certificates;
  } catch {
    return wrong('is a file with something that is no certificate');
  }
});
