import account from './account.json' with { type: 'json' };
import approval from './approval.json' with { type: 'json' };
import custom from './custom.json' with { type: 'json' };
import devices from './devices.json' with { type: 'json' };
import error from './error.json' with { type: 'json' };
import factor from './factor.json' with { type: 'json' };
import gate from './gate.json' with { type: 'json' };
import login from './login.json' with { type: 'json' };
import mail from './mail.json' with { type: 'json' };
import page from './page.json' with { type: 'json' };
import policy from './policy.json' with { type: 'json' };
import recovery from './recovery.json' with { type: 'json' };
import sessions from './sessions.json' with { type: 'json' };
import webauthn from './webauthn.json' with { type: 'json' };

export const texts = { account, approval, custom, devices, error, factor, gate, login, mail, page, policy, recovery, sessions, webauthn };
