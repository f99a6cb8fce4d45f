/** Flows and required actions, through Keycloak's own client. */
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async (mfa: 'off' | 'optional' | 'required' = 'off') => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa });
    const client = keycloakClient(server, realm, admin.token);
    return { server, admin, realm, client, authentication: client.authenticationManagement };
  };

  engine.test('a realm has Keycloak’s flows, with ids that stay', async (t) => {
    const { authentication } = await realmOf();
    const flows = await authentication.getFlows();
    t.deepEqual(
      flows.map(({ alias }) => alias),
      ['browser', 'direct grant', 'registration', 'reset credentials', 'clients', 'first broker login', 'docker auth'],
    );
    t.deepEqual(await authentication.getFlows(), flows);
    for (const { id = '', alias } of flows) t.is((await authentication.getFlow({ flowId: id })).alias, alias);
    const other = await realmOf();
    t.not((await other.authentication.getFlows())[0]?.id, flows[0]?.id);
    t.is((await refusal(other.authentication.getFlow({ flowId: flows[0]?.id ?? '' }))).status, 404);
  });

  engine.test('the steps of the browser flow say what the policy asks', async (t) => {
    const requirements = async (mfa: 'off' | 'optional' | 'required'): Promise<Record<string, string>> => {
      const { authentication } = await realmOf(mfa);
      const steps = await authentication.getExecutions({ flow: 'browser' });
      return Object.fromEntries(steps.map(({ displayName = '', requirement = '' }) => [displayName, requirement]));
    };
    t.is((await requirements('off'))['Browser - Conditional 2FA'], 'DISABLED');
    t.is((await requirements('optional'))['Browser - Conditional 2FA'], 'CONDITIONAL');
    const required = await requirements('required');
    t.is(required['Browser - Conditional 2FA'], 'REQUIRED');
    t.is(required['OTP Form'], 'ALTERNATIVE');
    t.is(required['WebAuthn Authenticator'], 'DISABLED', 'the realm does not use security keys');

    const { authentication } = await realmOf();
    const steps = await authentication.getExecutions({ flow: 'browser' });
    t.deepEqual(
      steps.map(({ level, index }) => [level, index]),
      [
        [0, 0],
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 0],
        [1, 1],
        [2, 0],
        [2, 1],
        [2, 2],
        [2, 3],
      ],
    );
    const forms = steps.find(({ displayName }) => displayName === 'forms');
    t.like(forms, { authenticationFlow: true, requirement: 'ALTERNATIVE' });
    t.is((await authentication.getFlow({ flowId: forms?.flowId ?? '' })).alias, 'forms');
    t.is((await authentication.getExecutions({ flow: 'forms' }))[0]?.level, 0);
  });

  engine.test('what was read is taken back; what would be a change is 501 and names the policy', async (t) => {
    const { admin, realm, authentication } = await realmOf();
    const [flow] = await authentication.getFlows();
    const [step] = await authentication.getExecutions({ flow: 'browser' });
    if (!flow?.id || !step?.id) return t.fail();
    t.is((await authentication.updateFlow({ flowId: flow.id }, flow)).alias, 'browser');
    await authentication.updateExecution({ flow: 'browser' }, step);
    const path = `/realms/${realm.name}/authentication`;
    t.is((await admin.call('GET', `${path}/executions/${step.id}`)).body.authenticator, 'auth-cookie');
    const changes: Promise<unknown>[] = [
      authentication.createFlow({ alias: 'mine', providerId: 'basic-flow', topLevel: true, builtIn: false }),
      authentication.copyFlow({ flow: 'browser', newName: 'mine' }),
      authentication.deleteFlow({ flowId: flow.id }),
      authentication.updateFlow({ flowId: flow.id }, { ...flow, alias: 'other' }),
      authentication.updateExecution({ flow: 'browser' }, { ...step, requirement: 'DISABLED' }),
      authentication.addExecutionToFlow({ flow: 'browser', provider: 'auth-otp-form' }),
      authentication.addFlowToFlow({ flow: 'browser', alias: 'x', description: '', provider: 'x', type: 'basic-flow' }),
      authentication.delExecution({ id: step.id }),
      authentication.raisePriorityExecution({ id: step.id }),
      authentication.lowerPriorityExecution({ id: step.id }),
      authentication.createConfig({ id: step.id, alias: 'x' }),
    ];
    for (const change of changes) {
      const { status, body } = await refusal(change);
      t.is(status, 501);
      t.true(body.errorMessage?.includes(`/admin/realms/${realm.name}/mfa/policy`));
    }
    t.is((await refusal(authentication.copyFlow({ flow: 'nothing', newName: 'x' }))).status, 404);
    t.is((await refusal(authentication.delExecution({ id: 'nothing' }))).status, 404);
    t.is((await refusal(authentication.getConfig({ id: 'nothing' }))).status, 404);
  });

  engine.test('the providers are listed', async (t) => {
    const { admin, realm, authentication } = await realmOf();
    t.is((await authentication.getClientAuthenticatorProviders()).length, 4);
    t.is((await authentication.getFormActionProviders()).length, 4);
    t.is((await authentication.getFormProviders())[0]?.displayName, 'Registration Page');
    t.true((await authentication.getAuthenticatorProviders()).some(({ id }) => id === 'auth-otp-form'));
    t.is((await authentication.getConfigDescription({ providerId: 'auth-cookie' })).providerId, 'auth-cookie');
    t.is((await refusal(authentication.getConfigDescription({ providerId: 'nothing' }))).status, 404);
    t.deepEqual((await admin.call('GET', `/realms/${realm.name}/authentication/per-client-config-description`)).body['client-jwt'], []);
  });

  engine.test('required actions are listed, changed, moved, configured, taken out and put back', async (t) => {
    const { authentication } = await realmOf();
    const alias = 'UPDATE_PASSWORD';
    const [first] = await authentication.getRequiredActions();
    t.like(first, { alias: 'CONFIGURE_TOTP', enabled: true, defaultAction: false, priority: 10 });
    const before = await authentication.getRequiredActionForAlias({ alias });
    await authentication.updateRequiredAction({ alias }, before);
    t.deepEqual(await authentication.getRequiredActionForAlias({ alias }), before);
    await authentication.updateRequiredAction({ alias }, { ...before, name: 'New password', priority: 15 });
    t.like(await authentication.getRequiredActionForAlias({ alias }), { name: 'New password', priority: 15 });
    const place = async (): Promise<number> => (await authentication.getRequiredActions()).findIndex((one) => one.alias === alias);
    const at = await place();
    await authentication.raiseRequiredActionPriority({ alias });
    t.is(await place(), at - 1);
    await authentication.lowerRequiredActionPriority({ alias });
    t.is(await place(), at);

    t.is((await authentication.getRequiredActionConfig({ alias })).config?.max_auth_age?.toString(), '300');
    t.is((await authentication.getRequiredActionConfigDescription({ alias })).properties?.[0]?.name, 'max_auth_age');
    await authentication.updateRequiredActionConfig({ alias }, { config: { max_auth_age: '301' } });
    t.is((await authentication.getRequiredActionConfig({ alias })).config?.max_auth_age?.toString(), '301');
    await authentication.removeRequiredActionConfig({ alias });
    t.is((await authentication.getRequiredActionConfig({ alias })).config?.max_auth_age?.toString(), '300');

    const removal = await authentication.getRequiredActionForAlias({ alias: 'delete_credential' });
    t.like(removal, { enabled: true, defaultAction: false }, 'applications may ask for it');
    await authentication.updateRequiredAction({ alias: 'delete_credential' }, { ...removal, enabled: false });
    t.false((await authentication.getRequiredActionForAlias({ alias: 'delete_credential' })).enabled);
    const wanted = authentication.updateRequiredAction({ alias: 'delete_credential' }, { ...removal, defaultAction: true });
    t.is((await refusal(wanted)).status, 501, 'but nobody is required to');

    await authentication.deleteRequiredAction({ alias });
    t.falsy(await authentication.getRequiredActionForAlias({ alias }));
    t.is((await refusal(authentication.deleteRequiredAction({ alias }))).status, 404);
    t.deepEqual(
      (await authentication.getUnregisteredRequiredActions()).map(({ providerId }) => providerId),
      [alias],
    );
    await authentication.registerRequiredAction({ providerId: alias, name: 'Update Password' });
    t.like(await authentication.getRequiredActionForAlias({ alias }), { name: 'Update Password', enabled: true });
    t.is((await refusal(authentication.registerRequiredAction({ providerId: alias }))).status, 409);
    t.is((await refusal(authentication.registerRequiredAction({ providerId: 'nothing' }))).body.field, 'providerId');

    t.is((await refusal(authentication.updateRequiredAction({ alias: 'delete_account' }, { enabled: true }))).status, 501);
    t.is((await refusal(authentication.updateRequiredAction({ alias: 'nothing' }, { enabled: true }))).status, 404);
  });

  engine.test('a default action is asked of every new user, and of nobody once it is switched off', async (t) => {
    const { server, realm, client, authentication } = await realmOf();
    await authentication.updateRequiredAction({ alias: 'UPDATE_PASSWORD' }, { defaultAction: true });
    const { id } = await client.users.create({
      username: 'erin',
      enabled: true,
      credentials: [{ type: 'password', value: 'correct horse battery' }],
    });
    t.deepEqual((await client.users.findOne({ id }))?.requiredActions, ['UPDATE_PASSWORD']);
    const rp = await relyingParty(server, realm, await server.client(realm));
    const asked = await signIn(server, rp, { username: 'erin', password: 'correct horse battery' }).catch(() => undefined);
    t.is(asked?.tokens, undefined, 'a new password first');

    await authentication.updateRequiredAction({ alias: 'UPDATE_PASSWORD' }, { enabled: false });
    const other = await client.users.create({ username: 'bob' });
    t.deepEqual((await client.users.findOne({ id: other.id }))?.requiredActions, []);
    const { tokens } = await signIn(server, rp, { username: 'erin', password: 'correct horse battery' });
    t.truthy(tokens.access_token);
  });

  engine.test('whoever may only look changes nothing', async (t) => {
    const { server, realm } = await realmOf();
    const { client } = await limitedClient(server, realm, ['view-realm']);
    t.is((await client.authenticationManagement.getFlows()).length, 7);
    t.is((await refusal(client.authenticationManagement.copyFlow({ flow: 'browser', newName: 'x' }))).status, 403);
    t.is((await refusal(client.authenticationManagement.updateRequiredAction({ alias: 'UPDATE_PASSWORD' }, { enabled: false }))).status, 403);
    const { client: users } = await limitedClient(server, realm, ['manage-clients']);
    t.is((await refusal(users.authenticationManagement.getFlows())).status, 403);
  });
});
