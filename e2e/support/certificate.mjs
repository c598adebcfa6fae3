// A certificate that openssl makes for one test.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { run } from './program.mjs';

/** Makes a certificate for 127.0.0.1 and localhost, and its key, in `folder`: the paths of both. */
export async function certificate(folder, name) {
  const cert = join(folder, `${name}.pem`);
  const key = join(folder, `${name}.key`);
  const made = await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost',
    '-addext', 'basicConstraints=critical,CA:FALSE', '-out', cert, '-keyout', key,
  ]);
  assert.equal(made.code, 0, made.stderr);
  return { cert, key };
}
