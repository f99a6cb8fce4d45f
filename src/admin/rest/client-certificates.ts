/** Keys that clients authenticate with, over REST: shown, and brought along as a certificate, a public key or a set of keys. */
import { z } from 'zod';
import { AppError, badInput, notFound } from '../../errors.ts';
import type { ClientRow } from '../../store/clients.ts';
import { requireClientById } from '../resources/client-changes.ts';
import { setCredential, shownCredential } from '../resources/client-credentials.ts';
import { requireYours } from './client-rights.ts';
import { managesEverything } from './grantable.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'Client keys';
const path = '/realms/{realm}/clients/{id}/certificates/{attr}';
/** What else Keycloak has such things for is SAML. */
const ATTRIBUTE = 'jwt.credential';
const params = { id, attr: id };
const VIEW = ['view-clients', 'manage-clients'] as const;
const MANAGE = ['manage-clients'] as const;

/** Keycloak's CertificateRepresentation; the private key is not among what is stored. */
const certificateRepresentation = z.object({
  certificate: z.string().optional(),
  publicKey: z.string().optional(),
  kid: z.string().optional(),
  jwks: z.string().optional(),
});

/** Keycloak's form; passwords are for key stores, which are not taken. */
const uploaded = z.object({
  keystoreFormat: z.string().max(100),
  file: z.string().min(1).max(100_000),
  keyAlias: z.string().max(255).optional(),
  keyPassword: z.string().max(255).optional(),
  storePassword: z.string().max(255).optional(),
});

async function found(call: RealmCall, params: { id: string; attr: string }): Promise<ClientRow> {
  const client = await requireClientById(call.operator, call.realm, params.id);
  if (params.attr !== ATTRIBUTE) throw notFound(`The keys of a client are called ${ATTRIBUTE}.`);
  return client;
}

async function yours(call: RealmCall, params: { id: string; attr: string }): Promise<ClientRow> {
  const client = await found(call, params);
  await requireYours(call, client);
  return client;
}

const notOffered = (message: string): AppError => new AppError({ code: 'not_implemented', status: 501, message });

const upload = (name: string, summary: string): Operation =>
  inRealm({
    id: `clients.certificates.${name}`,
    method: 'POST',
    path: `${path}/${name}`,
    tag,
    summary,
    roles: MANAGE,
    status: 200,
    params,
    form: true,
    body: uploaded,
    answer: certificateRepresentation,
    async run(call, { params, body }) {
      const client = await yours(call, params);
      const { keystoreFormat: format, file } = body;
      if (['JKS', 'PKCS12', 'BCFKS'].includes(format))
        throw notOffered('keystoreFormat: key stores hold private keys and are not taken; send the certificate in PEM, or a JSON Web Key Set.');
      if (format !== 'Certificate PEM' && format !== 'Public Key PEM' && format !== 'JSON Web Key Set')
        throw badInput('keystoreFormat', 'keystoreFormat: must be Certificate PEM, Public Key PEM or JSON Web Key Set');
      const limited = !(await managesEverything(call));
      return { body: shownCredential(await setCredential(call.operator, call.realm, client, { format, text: file }, { limited })) };
    },
  });

const MAKE_YOURSELF =
  'Private keys are made where they are used, and never sent: make one with "openssl req -x509 -newkey rsa:3072 -nodes -keyout key.pem -out cert.pem" and upload the certificate.';

const leftOut = (name: string): Operation =>
  inRealm({
    id: `clients.certificates.${name}`,
    method: 'POST',
    path: `${path}/${name}`,
    tag,
    summary: `Not offered: ${MAKE_YOURSELF}`,
    roles: MANAGE,
    status: 200,
    params,
    async run(call, { params }) {
      await yours(call, params);
      throw notOffered(MAKE_YOURSELF);
    },
  });

export const clientCertificateOperations: readonly Operation[] = [
  inRealm({
    id: 'clients.certificates.read',
    method: 'GET',
    path,
    tag,
    summary: 'The certificate, public key or set of keys that a client authenticates with; of one that has none, nothing',
    roles: VIEW,
    status: 200,
    params,
    answer: certificateRepresentation,
    run: async (call, { params }) => ({ body: shownCredential(await found(call, params)) }),
  }),
  upload('upload', 'Bring along the key that a client authenticates with'),
  upload('upload-certificate', 'The same; a certificate, a public key or a set of keys'),
  ...['generate', 'generate-and-download', 'download'].map(leftOut),
];
