// `make deb`: what is in the package, and what installing and purging it does, on a copy of this machine that is gone afterwards.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { run } from '../e2e/support/program.mjs';

const DEB = process.env.DEB;

test('what the package has', async () => {
  const { stdout } = await run('dpkg-deb', ['--contents', DEB]);
  const files = stdout.trim().split('\n').filter((line) => !line.startsWith('d')).map((line) => line.split(/\s+/));
  assert.deepEqual(files.map(([mode, , , , , name]) => `${mode} ${name}`).sort(), [
    '-rw-r--r-- ./etc/rupor/rupor.toml',
    ...['README.md', 'README.ru.md', 'changelog.gz', 'copyright', 'rupor.toml'].map((name) => `-rw-r--r-- ./usr/share/doc/rupor/${name}`),
    '-rw-r--r-- ./usr/lib/systemd/system/rupor.service',
    '-rw-r--r-- ./usr/share/rupor/rupor.php',
    '-rw-r--r-- ./usr/share/rupor/rupor.socket',
    '-rwxr-xr-x ./usr/bin/rupor',
  ].sort());
  const fields = await run('dpkg-deb', ['--field', DEB, 'Depends']);
  assert.match(fields.stdout, /adduser.*libc6|libc6.*adduser/);
});

test('it makes a user and keys, serves with them, keeps them at an update, and leaves nothing when purged', async () => {
  const { code, stdout, stderr } = await run(fileURLToPath(new URL('try-deb', import.meta.url)), [DEB]);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^user: rupor:x:\d+:\d+:rupor,*:\/var\/lib\/rupor:\/usr\/sbin\/nologin$/m);
  for (const line of [
    '/etc/rupor 750 root:rupor', '/etc/rupor/api.key 640 root:rupor', '/etc/rupor/jwt.key 640 root:rupor', '/etc/rupor/rupor.toml 644 root:root',
    'the keys differ', 'rupor: /etc/rupor/rupor.toml is right', '/etc/systemd/system/multi-user.target.wants/rupor.service',
    '# ours', 'the keys are the same', 'purged', 'no user', 'no group',
  ]) assert.ok(stdout.split('\n').includes(line), `no ${line} in\n${stdout}${stderr}`);
  assert.equal(stdout.match(/^ *64 \/etc\/rupor\/(api|jwt)\.key$/gm).length, 2, stdout);
});
