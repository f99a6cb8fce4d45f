/**
 * Authorization codes. The library stores a code, and a moment later the session that it hangs on, before it answers: both
 * are one statement here. Where the session has not changed, the code goes by itself, when the library is done.
 */
import type { IncomingMessage } from 'node:http';
import { type AdapterPayload, Provider } from 'oidc-provider';
import { insertPayload } from '../../store/oidc-payloads.ts';
import type { RealmRoom } from '../room.ts';
import { ModelAdapter } from './model-adapter.ts';
import { requestCache } from './request-cache.ts';

export class AuthorizationCodeAdapter extends ModelAdapter {
  override async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const route = Provider.ctx?.oidc.route;
    if (route !== 'authorization' && route !== 'resume') return super.upsert(id, payload, expiresIn);
    requestCache().code = this.row(id, payload, expiresIn);
  }
}

/** The library has handled a request, and nothing was answered yet. */
export async function storeCode({ db }: RealmRoom, req: IncomingMessage): Promise<void> {
  const cache = requestCache(req);
  const { code } = cache;
  cache.code = undefined;
  if (code && !(await insertPayload(db.knex, code))) throw new Error('A code was made twice.');
}
