/**
 * A web application with Auth.js. Its provider for Keycloak speaks to Cardea as it is: the issuer is all that changes.
 *
 *     npx cardea client create --realm demo --client-id my-app --first-party \
 *       --redirect-uri http://localhost:3000/auth/callback/keycloak
 *     ISSUER=http://localhost:8080/realms/demo CLIENT_ID=my-app CLIENT_SECRET=… AUTH_SECRET=$(openssl rand -hex 32) \
 *       npx node examples/authjs/app.js
 *
 * Pages: `/` says who is signed in; `/auth/signin` and `/auth/signout` are Auth.js's.
 */
import { ExpressAuth, getSession } from '@auth/express';
import Keycloak from '@auth/express/providers/keycloak';
import express from 'express';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT = '3000' } = process.env;

/** @type {import('@auth/express').ExpressAuthConfig} */
const config = {
  // Behind a proxy it has to be told that it may believe the Host that it is asked by.
  trustHost: true,
  providers: [Keycloak({ issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET })],
  callbacks: {
    // Who it is and how they signed in is in the ID token; the session of Auth.js holds what is put there.
    jwt: ({ token, profile }) => (profile ? { ...token, sub: profile.sub, acr: profile.acr, username: profile.preferred_username } : token),
    session: ({ session, token }) => ({ ...session, subject: token.sub, acr: token.acr, username: token.username }),
  },
};

const app = express();
// It reads what follows `/auth` as the first group of the path.
app.use(/^\/auth\/(.+)$/, ExpressAuth(config));
app.get('/', async (request, response) => {
  response.json({ session: await getSession(request, config) });
});
app.listen(Number(PORT), () => console.log(`http://localhost:${PORT}`));
