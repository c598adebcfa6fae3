// Steps that the tests of the pages share.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually, run } from '../../support/program.mjs';
import { shows } from './browser.mjs';

/** What arrived in the start page's listening box. */
export const ARRIVALS = '#arrivals .text';

/** A folder that goes with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'rupor-pages-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

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
export async function certificate(t) {
  const path = folder(t);
  const [cert, key] = [join(path, 'cert.pem'), join(path, 'key.pem')];
  const made = await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=rupor.test', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', cert, '-keyout', key,
  ]);
  assert.equal(made.code, 0, made.stderr);
  return ['--tls-cert', cert, '--tls-key', key];
}
