/**
 * Where oidc-provider stores: one adapter a model and realm, over one table.
 *
 * What is used once is used up by one conditional UPDATE, and whoever loses that race ends the grant, as a replay does.
 */
import { type Adapter, type AdapterPayload, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import { longestOf } from '../../sessions/lifetimes.ts';
import { deleteGrants, deletePayload, insertPayload, type PayloadRow, replacePayload } from '../../store/oidc-payloads.ts';
import { DEVICE_GRANT } from '../names.ts';
import { unmarked } from '../tokens/access-tokens.ts';
import { PROOF_WINDOW } from '../tokens/dpop.ts';
import { CibaRequestAdapter } from './ciba-requests.ts';
import { AuthorizationCodeAdapter } from './code-adapter.ts';
import { DeviceCodeAdapter } from './device-codes.ts';
import { type AdapterParts, ModelAdapter, staysSignedIn } from './model-adapter.ts';
import { RefreshTokenAdapter } from './refresh-adapter.ts';
import { requestCache } from './request-cache.ts';
import { SessionAdapter } from './session-adapter.ts';

/** The adapter of one model; the library makes each once. */
export function adapterFor(parts: AdapterParts): (model: string) => Adapter {
  return (model) => {
    switch (model) {
      case 'Client':
        return new ClientAdapter(parts, model);
      case 'AccessToken':
      case 'ClientCredentials':
        return new AccessTokenAdapter(parts, model);
      case 'AuthorizationCode':
        return new AuthorizationCodeAdapter(parts, model);
      case 'RefreshToken':
        return new RefreshTokenAdapter(parts, model);
      case 'Session':
        return new SessionAdapter(parts, model);
      case 'Grant':
        return new GrantAdapter(parts, model);
      case 'Interaction':
        return new InteractionAdapter(parts, model);
      case 'BackchannelAuthenticationRequest':
        return new CibaRequestAdapter(parts, model);
      case 'DeviceCode':
        return new DeviceCodeAdapter(parts, model);
      case 'PushedAuthorizationRequest':
        return new PushedRequestAdapter(parts, model);
      case 'ReplayDetection':
        return new ReplayAdapter(parts, model);
      default:
        return new ModelAdapter(parts, model);
    }
  };
}

/** Clients come from their rows; the library writes none. */
class ClientAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    return (await this.parts.clients.find(id))?.metadata;
  }
}

/** JWTs that stand for themselves, of which nothing is stored but what was revoked, and opaque tokens, by their hash. */
class AccessTokenAdapter extends ModelAdapter {
  override async find(value: string): Promise<AdapterPayload | undefined> {
    const route = Provider.ctx?.oidc.route;
    const token = unmarked(value, route);
    if (this.model === 'ClientCredentials') return this.parts.accessTokens.findClientCredentials(token);
    return this.parts.accessTokens.find(token, { forUserinfo: route === 'userinfo' });
  }

  override async destroy(jti: string): Promise<void> {
    const entities = Provider.ctx?.oidc.entities;
    const token = entities?.AccessToken ?? entities?.ClientCredentials;
    if (token?.exp === undefined) return;
    // There is a row where it is an opaque one: its jti is the hash that it is stored by.
    await deletePayload(this.queries, { ...this.key(jti), id: jti });
    const { context, now } = this.parts.room;
    // Refresh tokens that came from it by an exchange end with it, and go on for as long as a session may.
    await this.parts.accessTokens.revoke(jti, Math.max(token.exp * 1000, now() + longestOf(context.realm.settings)));
  }

  override async revokeByGrantId(): Promise<void> {
    // They fall with their grant, which every use of them looks up.
  }
}

/** What ended a grant at the token endpoint, by the grant type that it came with. */
const CAME_AGAIN: Readonly<Record<string, string>> = { refresh_token: 'RefreshToken', [DEVICE_GRANT]: 'DeviceCode' };

class GrantAdapter extends ModelAdapter {
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const { grant } = requestCache();
    return grant?.id === id ? { ...JSON.parse(grant.payload), jti: id } : super.find(id);
  }

  protected override row(id: string, payload: AdapterPayload, expiresIn: number | undefined): Omit<PayloadRow, 'uses'> {
    return { ...super.row(id, payload, expiresIn), grantId: id };
  }

  override async destroy(id: string): Promise<void> {
    if (staysSignedIn()) return;
    const oidc = Provider.ctx?.oidc;
    if (oidc?.route !== 'token') return this.parts.room.db.transaction((trx) => deleteGrants(trx, this.realmId, [id]));
    // At the token endpoint the library ends a grant for one reason: a code or a refresh token of it came again.
    const grant = await this.find(id);
    await this.endFamily({ ...grant, grantId: id }, CAME_AGAIN[String(oidc.params?.grant_type)] ?? 'AuthorizationCode');
  }
}

/** The library finds an interaction, then destroys it, then answers: of many that come back at once, one may go on. */
class InteractionAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const ctx = Provider.ctx;
    if (!ctx) {
      // An answer of our pages: what is over by now stays over.
      if (!(await replacePayload(this.queries, this.row(id, payload, expiresIn)))) throw new errors.SessionNotFound('interaction session not found');
      return;
    }
    if (ctx.oidc.route !== 'authorization' && ctx.oidc.route !== 'code_verification') return super.upsert(id, payload, expiresIn);
    await this.begin(ctx, this.row(id, payload, expiresIn));
  }

  override async find(id: string): Promise<AdapterPayload | undefined> {
    const { interaction } = requestCache();
    return interaction?.id === id ? interaction.payload : super.find(id);
  }

  override async destroy(id: string): Promise<void> {
    if (!(await deletePayload(this.queries, this.key(id)))) throw new errors.SessionNotFound('interaction session not found');
  }
}

/** A client that pushes a request and has shown who it is may push as many as it likes. */
class PushedRequestAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const ctx = pushedByAnybody();
    if (!ctx) return super.upsert(id, payload, expiresIn);
    await this.begin(ctx, this.row(id, payload, expiresIn));
  }
}

/** The request, when it pushes one for a client that shows nothing: whoever knows its client_id may. */
function pushedByAnybody(): KoaContextWithOIDC | undefined {
  const { ctx } = Provider;
  return ctx?.oidc.route === 'pushed_authorization_request' && ctx.oidc.client?.clientAuthMethod === 'none' ? ctx : undefined;
}

/** The request, when it brings a password to a client that shows nothing: its proof is looked at before the password is. */
function guessedByAnybody(): KoaContextWithOIDC | undefined {
  const { ctx } = Provider;
  return ctx?.oidc.params?.grant_type === 'password' && ctx.oidc.client?.clientAuthMethod === 'none' ? ctx : undefined;
}

/** A jti that somebody else was faster with; 400 where nobody says it otherwise. */
export class AlreadyUsed extends errors.InvalidRequest {
  constructor() {
    super('it was used before');
  }
}

/**
 * A jti is used once: find-then-save would let two nodes both find nothing. The library remembers that of a DPoP proof for
 * as long as one is good that was made now; one whose time is in the future is good for longer.
 */
class ReplayAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn = 0): Promise<void> {
    const row = this.row(id, payload, expiresIn + PROOF_WINDOW);
    // Anybody can make a proof.
    const ctx = pushedByAnybody() ?? guessedByAnybody();
    if (!(await (ctx ? this.begin(ctx, row) : insertPayload(this.queries, row)))) throw new AlreadyUsed();
  }
}
