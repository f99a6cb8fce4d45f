/** Roles, groups and realms at the command line: changed, put into one another, and deleted where it is meant. */
import type { ExecutionContext } from 'ava';
import { type Ended, runHere, settingsFor } from '../support/command.ts';
import { forEachEngine } from '../support/databases.ts';

type Env = Record<string, string>;
const names = (rows: { name?: string; username?: string; path?: string }[]): string[] =>
  rows.map((row) => row.username ?? row.path ?? row.name ?? '');

forEachEngine((engine) => {
  let shared: Promise<Env> | undefined;
  const world = () => {
    shared ??= engine.settings().then(async (config) => {
      const env = settingsFor(config);
      for (const line of [
        'realm create staff',
        'realm create other',
        'client create --realm staff --client-id wiki --redirect-uri https://wiki.example/',
        'role create --realm staff --client wiki --name editor',
        'user create --realm staff --username erin --no-password',
      ])
        await runHere(line.split(' '), env);
      return env;
    });
    return shared;
  };
  const cardea = async (line: string, given: { typed?: string[] } = {}): Promise<Ended> => runHere(line.split(' '), await world(), given);
  const ok = async (t: ExecutionContext, line: string) => {
    const { status, stdout, stderr } = await cardea(`${line} --json`);
    t.is(status, 0, `${line}: ${stderr}`);
    return JSON.parse(stdout);
  };

  engine.serial('a role is changed, contains others, is had by users, and is deleted', async (t) => {
    for (const name of ['seller', 'manager']) await ok(t, `role create --realm staff --name ${name}`);
    const changed = await ok(t, 'role update seller --realm staff --name vendor --description sells --attribute floor=1 --attribute floor=2');
    t.like(changed, { name: 'vendor', description: 'sells', attributes: { floor: ['1', '2'] }, client: null });
    t.like(await ok(t, 'role update vendor --realm staff --description= --remove-attribute floor'), { description: null, attributes: {} });
    await ok(t, 'role add-composite manager --realm staff --contains vendor');
    await ok(t, 'role add-composite manager --realm staff --contains editor --contains-client wiki');
    t.deepEqual(names(await ok(t, 'role composites manager --realm staff')), ['editor', 'vendor']);
    await ok(t, 'role remove-composite manager --realm staff --contains vendor');
    t.deepEqual(names(await ok(t, 'role composites manager --realm staff')), ['editor']);
    t.is((await cardea('role add-composite manager --realm staff --contains manager')).status, 1, 'itself');
    await ok(t, 'user add-role --realm staff --username erin --role manager');
    t.deepEqual(names(await ok(t, 'role users manager --realm staff')), ['erin']);

    t.regex((await cardea('role delete manager --realm staff')).stderr, /--yes/);
    t.is((await cardea('role delete manager --realm staff', { typed: ['no'] })).status, 1);
    await ok(t, 'role delete manager --realm staff --yes');
    t.is((await cardea('role users manager --realm staff')).status, 1);
    t.is((await cardea('role delete default-roles-staff --realm staff --yes')).status, 1, 'the realm needs it');
    t.is((await cardea('role delete manage-users --realm staff --client realm-management --yes')).status, 1, 'so it does this one');
    t.is((await cardea('role delete editor --realm other --client wiki --yes')).status, 1);
    t.like(await ok(t, 'role delete editor --realm staff --client wiki --yes'), { name: 'editor', client: 'wiki' });
  });

  engine.serial('a group is shown, renamed, moved, and deleted with all below it', async (t) => {
    await ok(t, 'group create --realm staff --name sales');
    await ok(t, 'group create --realm staff --name emea --parent /sales');
    await ok(t, 'group add-member --realm staff --group /sales/emea --user erin');
    t.like(await ok(t, 'group get /sales --realm staff'), { path: '/sales', groupsBelow: 1, roles: [], attributes: {} });
    t.deepEqual(names(await ok(t, 'group members /sales/emea --realm staff')), ['erin']);
    t.deepEqual(await ok(t, 'group members /sales --realm staff'), []);
    t.like(await ok(t, 'group update /sales/emea --realm staff --name europe --attribute code=eu'), {
      path: '/sales/europe',
      attributes: { code: ['eu'] },
    });
    t.like(await ok(t, 'group update /sales/europe --realm staff --top'), { path: '/europe', attributes: { code: ['eu'] } });
    t.like(await ok(t, 'group update /europe --realm staff --parent /sales'), { path: '/sales/europe' });
    t.is((await cardea('group update /sales --realm staff --parent /sales/europe')).status, 1, 'below itself');
    t.is((await cardea('group update /sales --realm staff --parent /x --top')).status, 2);
    t.is((await cardea('group get /sales --realm other')).status, 1);
    t.regex((await cardea('group delete /sales --realm staff')).stderr, /all below it.*--yes/);
    await ok(t, 'group delete /sales --realm staff --yes');
    t.deepEqual(await ok(t, 'group list --realm staff'), []);
  });

  engine.serial('a realm is called otherwise, switched off, and deleted where it is meant', async (t) => {
    await ok(t, 'realm create shop');
    t.like(await ok(t, 'realm update shop --display-name Shop --disable'), { name: 'shop', displayName: 'Shop', enabled: false });
    t.like(await ok(t, 'realm update shop --enable'), { displayName: 'Shop', enabled: true });
    t.is((await cardea('realm update shop --enable --disable')).status, 2);
    await ok(t, 'user create --realm shop --username alice --no-password');
    t.regex((await cardea('realm delete shop')).stderr, /--yes/);
    t.is((await cardea('realm delete shop', { typed: ['no'] })).status, 1);
    t.is((await ok(t, 'user list --realm shop')).length, 1);
    t.like(await ok(t, 'realm delete shop --yes'), { name: 'shop' });
    t.is((await cardea('realm get shop')).status, 1);
    t.is((await cardea('realm delete master --yes')).status, 1);
  });
});
