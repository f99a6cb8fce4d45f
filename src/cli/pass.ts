/** `cardea pass`: enrolment passes, for users who have lost every second factor, are issued, approved, listed and revoked. */
import type { Command } from 'commander';
import { requireRealm } from '../admin/resources/context.ts';
import {
  administratorNamed,
  allPasses,
  approvePass,
  type IssuedPass,
  issuePass,
  type PassStanding,
  revokePass,
  standingOf,
} from '../admin/resources/enrolment-passes.ts';
import type { FactorOperator } from '../admin/resources/factor-operator.ts';
import { requireUser } from '../admin/resources/users.ts';
import { badInput } from '../errors.ts';
import type { EnrolmentPassRow } from '../store/enrolment-passes.ts';
import type { RealmRow } from '../store/realms.ts';
import { userById } from '../store/users.ts';
import type { Invocation } from './cli.ts';
import { withFactorOperator } from './open.ts';
import { examples, isoTime, shownTime } from './output.ts';

interface RealmOptions {
  realm: string;
  json?: boolean;
}

interface ActorOptions extends RealmOptions {
  as?: string;
}

export function describePass(pass: Command, invocation: Invocation): void {
  pass.addHelpText(
    'after',
    examples(
      'cardea pass issue erin --realm staff --reason "lost her phone; called back on her extension"',
      'cardea pass approve 5b0c… --realm staff --as root',
      'cardea pass list --realm staff',
    ),
  );
  describeIssue(pass, invocation);
  describeApprove(pass, invocation);
  describeList(pass, invocation);
  describeRevoke(pass, invocation);
}

const inRealm = (pass: Command, name: string, description: string): Command =>
  pass.command(name).description(description).requiredOption('--realm <realm>', 'the realm').option('--json', 'print one JSON document');

const AS = ['--as <username>', 'the administrator who does it, of master or of the realm: recorded, and needed where there have to be two'] as const;

const ABOUT_ACTORS =
  '\nWhoever runs this command has the master key, and so is believed when --as says\nwho acts: the name is checked to be an administrator’s, and recorded. Two names\nare two people only if the machine is run so.\n';

function describeIssue(pass: Command, { terminal, output }: Invocation): void {
  inRealm(pass, 'issue', 'let a user set up a new second factor in the place of all that are lost')
    .argument('<user>', 'the username')
    .requiredOption('--reason <text>', 'why, and how you know that it is them: recorded, and shown to whoever approves it')
    .option('--hours <number>', 'for how long it can be used, 72 at most (default: 24)')
    .option(...AS)
    .addHelpText(
      'after',
      examples(
        'cardea pass issue erin --realm staff --reason "lost her phone; called back on her extension"',
        'cardea pass issue erin --realm staff --reason "new phone, old one broken" --hours 4 --as root --json',
      ),
    )
    .addHelpText(
      'after',
      '\nThe pass is printed this once. Where the realm has dualControl, or the user is\nan administrator, there is none before somebody else has approved the request.\n',
    )
    .addHelpText('after', ABOUT_ACTORS)
    .action((username: string, options: ActorOptions & { reason: string; hours?: string }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = await requireUser(operator, realm, username);
        const issued = await issuePass(await actingAs(operator, realm, options.as), realm, user, {
          reason: options.reason,
          ...(options.hours === undefined ? {} : { hours: hoursOf(options.hours) }),
        });
        await output.answer(options.json, issuedDocument(issued, realm, operator.now), () =>
          issued.code === null
            ? [
                `Asked for a pass for ${user.username}. Somebody else approves it:`,
                `  cardea pass approve ${issued.pass.id} --realm ${realm.name} --as NAME`,
              ]
            : linesOf(issued),
        );
      }),
    );
}

function describeApprove(pass: Command, { terminal, output }: Invocation): void {
  inRealm(pass, 'approve', 'approve what another administrator has asked for, and print the pass')
    .argument('<id>', 'as `issue` and `list` print it')
    .requiredOption(...AS)
    .addHelpText('after', examples('cardea pass approve 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d --realm staff --as root'))
    .addHelpText('after', ABOUT_ACTORS)
    .action((id: string, options: ActorOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const issued = await approvePass(await actingAs(operator, realm, options.as), realm, id);
        await output.answer(options.json, issuedDocument(issued, realm, operator.now), () => linesOf(issued));
      }),
    );
}

function describeList(pass: Command, { terminal, output }: Invocation): void {
  inRealm(pass, 'list', 'list the passes of a realm, the newest first; never the passes themselves')
    .option('--user <name>', 'those of this user')
    .addHelpText('after', examples('cardea pass list --realm staff', 'cardea pass list --realm staff --user erin --json'))
    .action((options: RealmOptions & { user?: string }) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const user = options.user === undefined ? undefined : await requireUser(operator, realm, options.user);
        await output.list<Listed>(options.json, named(operator, allPasses(operator, realm, user)), {
          document: ({ pass, username }) => documentOf(pass, realm, username, operator.now),
          columns: [
            { title: 'ID', value: ({ pass }) => pass.id },
            { title: 'USER', value: ({ username }) => username },
            { title: 'STANDING', value: ({ pass }) => standingOf(pass, operator.now) },
            { title: 'ASKED', value: ({ pass }) => shownTime(pass.requestedAt) },
            { title: 'UNTIL', value: ({ pass }) => shownTime(pass.expiresAt) },
            { title: 'REASON', value: ({ pass }) => pass.reason },
          ],
          none: 'There is no pass.',
        });
      }),
    );
}

function describeRevoke(pass: Command, { terminal, output }: Invocation): void {
  inRealm(pass, 'revoke', 'take back a request, or a pass that was not used yet')
    .argument('<id>', 'as `issue` and `list` print it')
    .option(...AS)
    .addHelpText('after', examples('cardea pass revoke 5b0c2f1e-8a34-4c0d-9b1e-2d6f7a8b9c0d --realm staff'))
    .action((id: string, options: ActorOptions) =>
      withFactorOperator(terminal, async (operator) => {
        const realm = await requireRealm(operator, options.realm);
        const revoked = await revokePass(await actingAs(operator, realm, options.as), realm, id);
        const user = await userById(operator.db.knex, realm.id, revoked.userId);
        await output.answer(options.json, documentOf(revoked, realm, user?.username ?? null, operator.now), () => ['It cannot be used any more.']);
      }),
    );
}

/** The operator in the name of an administrator. */
const actingAs = async (operator: FactorOperator, realm: RealmRow, name: string | undefined): Promise<FactorOperator> =>
  name === undefined ? operator : { ...operator, actor: (await administratorNamed(operator, realm, name)).id };

function hoursOf(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw badInput('hours', 'hours: must be a whole number.');
  return Number(text);
}

const linesOf = ({ pass, user, code }: IssuedPass): string[] => [
  `Pass   ${code}`,
  `Until  ${shownTime(pass.expiresAt)}`,
  '',
  `Give it to ${user.username} in person or by telephone, never by the mailbox that a`,
  'password is reset by. It is typed after the password, once. As soon as a new second',
  'step is set up, all others of the account are removed.',
];

interface Listed {
  pass: EnrolmentPassRow;
  username: string;
}

async function* named({ db }: FactorOperator, passes: AsyncIterable<EnrolmentPassRow>): AsyncGenerator<Listed> {
  for await (const pass of passes) {
    const user = await userById(db.knex, pass.realmId, pass.userId);
    yield { pass, username: user?.username ?? '' };
  }
}

const issuedDocument = ({ pass, user, code }: IssuedPass, realm: RealmRow, now: number) => ({
  ...documentOf(pass, realm, user.username, now),
  code,
});

const documentOf = (pass: EnrolmentPassRow, realm: RealmRow, user: string | null, now: number) => ({
  id: pass.id,
  realm: realm.name,
  user,
  standing: standingOf(pass, now) satisfies PassStanding,
  reason: pass.reason,
  needsApproval: pass.dual,
  requestedBy: pass.requestedBy,
  requestedAt: isoTime(pass.requestedAt),
  approvedBy: pass.approvedBy,
  approvedAt: pass.approvedAt === null ? null : isoTime(pass.approvedAt),
  expiresAt: isoTime(pass.expiresAt),
});
