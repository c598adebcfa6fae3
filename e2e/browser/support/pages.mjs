// Steps that the tests of the pages share.

import { certificate } from '../../support/certificate.mjs';
import { eventually, folder } from '../../support/program.mjs';
import { shows } from './browser.mjs';

/** What arrived in the start page's listening box. */
export const ARRIVALS = '#arrivals .text';

/** Opens the start page as a user and waits until both of its connections are open. */
export async function listening(open, t, rupor, user, options) {
  const page = await open(t, `http://${rupor.browsers}/?user=${encodeURIComponent(user)}`, options);
  await shows(page, 'listen-state', 'connected');
  await shows(page, 'chat-state', 'connected');
  return page;
}

/** Waits until the user has a connection. */
export async function online(rupor, user) {
  const ask = async () => {
    const headers = { Authorization: `Bearer ${rupor.key}` };
    const response = await fetch(`http://${rupor.browsers}/api/users/${encodeURIComponent(user)}`, { headers });
    return response.json();
  };
  await eventually(ask, (status) => status.online === true, `${user} to be online`);
}

/** Flags with a certificate for 127.0.0.1 that nobody vouches for. */
export async function tls(t) {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  return ['--tls-cert', cert, '--tls-key', key];
}
