/**
 * A web application with Passport and passport-openidconnect.
 *
 *     npx cardea client create --realm demo --client-id my-app --first-party --redirect-uri http://localhost:3000/callback
 *     ISSUER=http://localhost:8080/realms/demo CLIENT_ID=my-app CLIENT_SECRET=… npx node examples/passport/app.ts
 *
 * Pages: `/` says who is signed in, `/login` signs in.
 */
import { randomBytes } from 'node:crypto';
import express, { type Express } from 'express';
import session from 'express-session';
import passport from 'passport';
import OpenIdConnectStrategy from 'passport-openidconnect';

export interface Settings {
  /** The realm, such as `https://id.example.com/realms/staff`. */
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Where browsers reach this application. */
  baseUrl: string;
}

/** Its redirect URI is `{baseUrl}/callback`. */
export function createApp({ issuer, clientId, clientSecret, baseUrl }: Settings): Express {
  const members = new passport.Passport();
  members.use(
    new OpenIdConnectStrategy(
      {
        issuer,
        authorizationURL: `${issuer}/protocol/openid-connect/auth`,
        tokenURL: `${issuer}/protocol/openid-connect/token`,
        userInfoURL: `${issuer}/protocol/openid-connect/userinfo`,
        clientID: clientId,
        clientSecret,
        callbackURL: `${baseUrl}/callback`,
        scope: ['profile', 'email'],
      },
      // `profile.id` is the subject: the only thing that never changes and is never given to somebody else.
      (_issuer: string, profile: passport.Profile, done: (error: Error | null, user?: object) => void) =>
        done(null, { id: profile.id, username: profile.username, name: profile.displayName, email: profile.emails?.[0]?.value }),
    ),
  );
  members.serializeUser((user, done) => done(null, user));
  members.deserializeUser((user: Express.User, done) => done(null, user));

  const app = express();
  app.use(session({ secret: randomBytes(32).toString('base64url'), resave: false, saveUninitialized: false, cookie: { sameSite: 'lax' } }));
  app.use(members.session());
  app.get('/login', members.authenticate('openidconnect'));
  app.get('/callback', members.authenticate('openidconnect', { successRedirect: '/', failureRedirect: '/refused' }));
  app.get('/refused', (_request, response) => void response.status(403).type('text').send('Not signed in'));
  app.get('/', (request, response) => void response.json({ user: request.user ?? null }));
  return app;
}

if (import.meta.main) {
  const { ISSUER = '', CLIENT_ID = '', CLIENT_SECRET = '', PORT = '3000' } = process.env;
  const baseUrl = `http://localhost:${PORT}`;
  createApp({ issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl }).listen(Number(PORT), () => console.log(baseUrl));
}
