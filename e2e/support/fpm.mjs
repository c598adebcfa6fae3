// The system's php-fpm, with a pool and a socket of one test.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { eventually, folder, inTime } from './program.mjs';

const PHP_FPM = join('/usr/sbin', readdirSync('/usr/sbin').find((name) => /^php-fpm[\d.]*$/.test(name)) ?? 'php-fpm');

/** The distribution's own pool file, on this socket and as whoever runs the tests. */
function stock(socket) {
  const version = PHP_FPM.match(/[\d.]+$/)?.[0] ?? '';
  return readFileSync(join('/etc/php', version, 'fpm/pool.d/www.conf'), 'utf8')
    .replace(/^listen = .*$/m, `listen = ${socket}`)
    .replace(/^(user|group|listen\.owner|listen\.group) = .*$/gm, ';$&');
}

/** php-fpm with a pool of so many processes, or with that of the distribution; its socket. */
export async function fpm(t, { children = 4, listen, more = '', isStock = false } = {}) {
  const place = folder(t);
  const socket = join(place, 'fpm.sock');
  const file = join(place, 'fpm.conf');
  writeFileSync(file, `
[global]
error_log = ${place}/log
daemonize = no

${isStock ? stock(socket) : `[www]
listen = ${listen ?? socket}
pm = static
pm.max_children = ${children}
php_admin_value[memory_limit] = 64M
php_admin_value[display_errors] = off
${more}`}
`);
  // Root has to say twice that it means it.
  if (process.getuid() === 0) writeFileSync(file, 'user = root\ngroup = root\n', { flag: 'a' });
  const flags = ['--nodaemonize', '--allow-to-run-as-root', '--fpm-config', file, '-p', place];
  const master = spawn(PHP_FPM, flags, { stdio: 'ignore' });
  const ended = once(master, 'exit');
  t.after(async () => {
    master.kill('SIGTERM'); // which it passes on to its processes
    await inTime(ended, 'the end of php-fpm');
  });
  const log = join(place, 'log');
  const said = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  await eventually(said, (text) => text.includes('ready to handle connections'), 'php-fpm to be ready');
  return socket;
}
