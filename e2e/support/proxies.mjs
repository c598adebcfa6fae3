// Real proxies in front of rupor, configured by the blocks of their pages in docs/howto: nginx, HAProxy, Caddy, Apache.
//
//   const at = await place(t)                     a folder, a port, a certificate, a site
//   const rupor = await behind(t, 'nginx', at)    with the page's rupor.toml
//   const proxy = await nginx(t, at, rupor)       with the page's servers: { port, running, reload() }
//
// What a test puts elsewhere than on a server (ports, certificates, names of files) is replaced, and it fails when it is not there.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually, freePort, inTime, repository, run, start } from './program.mjs';

/** The site, and the name beside it that is rupor's alone. */
export const SITE = 'site.example';
export const BESIDE = `ws.${SITE}`;

/** All blocks of that language on a page of docs/howto, in their order. */
export function blocks(page, language) {
  const text = readFileSync(repository(`docs/howto/${page}.md`), 'utf8');
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block]) => block);
}

/** Puts the values of `changes` where their keys are, each at least once. */
export function put(text, changes) {
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), `the documentation does not have ${from} any more:\n${text}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** A certificate of both names, and of localhost for programs that ask DNS: the paths of `cert`, `key`, and of `both` in one file. */
export async function certificate(place) {
  const paths = { cert: join(place, 'site.pem'), key: join(place, 'site.key'), both: join(place, 'both.pem') };
  const made = await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', `/CN=${SITE}`, '-addext', `subjectAltName=DNS:${SITE},DNS:${BESIDE},DNS:localhost`, '-addext', 'basicConstraints=critical,CA:FALSE', '-out', paths.cert, '-keyout', paths.key,
  ]);
  assert.equal(made.code, 0, made.stderr);
  writeFileSync(paths.both, readFileSync(paths.cert) + readFileSync(paths.key), { mode: 0o600 });
  return paths;
}

/** A site with one page, which sets a cookie for both names: HOST:PORT. */
export async function site(t) {
  const server = createServer((request, response) => {
    const headers = { 'Content-Type': 'text/html', 'Set-Cookie': `who=anna; Domain=${SITE}; Path=/; Secure` };
    response.writeHead(200, headers).end('<!doctype html><title>site</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `127.0.0.1:${server.address().port}`;
}

/** What every test needs: a folder, a port, a certificate and a site. What runs in the folder ends before the folder is gone. */
export async function place(t) {
  const path = mkdtempSync(join(tmpdir(), 'rupor-proxy-'));
  const at = { path, running: [], port: await freePort(), site: await site(t), ...(await certificate(path)) };
  t.after(async () => {
    for (const running of at.running) {
      // In their order: rupor closes the connections that a proxy would wait for, and a proxy ends the children that would
      // outlive it if it were killed.
      running.child.kill('SIGTERM');
      await inTime(running.exited, 'the end of rupor and of what is before it');
    }
    rmSync(path, { recursive: true, force: true });
  });
  return at;
}

/**
 * `rupor serve` as the `index`th rupor.toml of the page says, and a handler in PHP that answers each message with the address
 * and the cookie that it sees. `at` is of `place`; `more` comes after the block.
 */
export async function behind(t, page, at, { index = 0, more = '', changes = {} } = {}) {
  const script = join(at.path, 'handlers.php');
  writeFileSync(script, `<?php
require '${repository('clients/php/rupor.php')}';
(new Rupor\\Worker())->onMessage(function ($connection, $message) {
    $request = $connection->request;
    $connection->send("$message from {$request->remote}, cookie {$request->cookie('who')}");
})->run();
`);
  const key = join(at.path, 'api.key');
  const secret = randomBytes(32).toString('hex');
  writeFileSync(key, secret, { mode: 0o600 });
  const block = blocks(page, 'toml')[index];
  const ports = /listen = \["(.*?)"\]/.exec(block);
  const toml = put(block, { [ports[1]]: '127.0.0.1:0', [`https://${SITE}`]: `https://${SITE}:${at.port}`, ...changes });
  const file = join(at.path, `rupor${index}.toml`);
  writeFileSync(file, `auth = "none"\ndrain = "0s"\ninlet = ["tcp://127.0.0.1:0"]\nlog = "debug"\napi_key_file = "${key}"\n${toml}\n${more}\n[php]\nscript = "${script}"\n`);
  const rupor = start(t, ['serve', '--config', file]);
  at.running.push(rupor);
  rupor.browsers = (await rupor.waitFor(/wss?:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  Object.assign(rupor, { key: secret, file });
  return rupor;
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

/** Starts a proxy and waits until it listens. */
async function listening(t, at, program, args, options = {}) {
  const running = start(t, args, { program, ...options });
  at.running.push(running);
  await eventually(() => running.closed || answers(at.port), Boolean, `${program} to listen`);
  assert.ok(!running.closed, running.output);
  return running;
}

/** nginx with a master, so that it can be reloaded. */
export async function nginx(t, at, rupor, changes = {}) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${at.path}/${name};`);
  const servers = put(blocks('nginx', 'nginx').join('\n'), {
    'listen 443 ssl': `listen 127.0.0.1:${at.port} ssl http2`,
    [`/etc/ssl/${SITE}.pem`]: at.cert,
    [`/etc/ssl/${SITE}.key`]: at.key,
    '127.0.0.1:8000': rupor.browsers,
    '127.0.0.1:8080': at.site,
    ...changes,
  });
  const file = join(at.path, 'nginx.conf');
  writeFileSync(file, `
${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${at.path}/nginx.pid;
error_log stderr notice;
events {}
http {
access_log off;
${temporary.join('\n')}
${servers}
}
`);
  const running = await listening(t, at, '/usr/sbin/nginx', ['-e', 'stderr', '-p', at.path, '-c', file]);
  const reload = async () => {
    running.child.kill('SIGHUP');
    await running.waitFor(/gracefully shutting down/);
  };
  return { port: at.port, running, reload };
}

/** What the first configuration of HAProxy's page has of a server. */
export const haproxyChanges = (at, rupor) => ({
  [`/etc/haproxy/${SITE}.pem`]: at.both,
  '127.0.0.1:8000': rupor.browsers,
  '127.0.0.1:8080': at.site,
});

/** HAProxy with the `index`th configuration of its page. */
export async function haproxy(t, at, rupor, changes = {}, index = 0) {
  const file = join(at.path, 'haproxy.cfg');
  const block = put(blocks('haproxy', 'haproxy')[index], { ':443': `127.0.0.1:${at.port}`, ...changes });
  writeFileSync(file, block);
  const running = await listening(t, at, '/usr/sbin/haproxy', ['-W', '-db', '-f', file]);
  const reload = async () => {
    // A master that has just begun does not hear its signal.
    const hears = () => /Reloading/.test(running.output) || !running.child.kill('SIGUSR2');
    await eventually(hears, Boolean, 'HAProxy to reload');
    await running.waitFor(/Reloading(?:.|\n)*Loading success/);
  };
  return { port: at.port, running, reload };
}

/**
 * Caddy, with the certificate of the test: it would ask an authority for one. For `localhost` it makes an authority of its own all the
 * same, which the machine must not come to believe.
 */
export async function caddy(t, at, rupor, changes = {}) {
  const admin = await freePort();
  const tls = `tls ${at.cert} ${at.key}`;
  const file = join(at.path, 'Caddyfile');
  const sites = put(blocks('caddy', 'caddy').join('\n'), {
    [`\n${BESIDE} {`]: `\n${BESIDE} {\n${tls}`,
    [`${SITE} {\n    handle`]: `${SITE}, localhost {\n${tls}\n    handle`,
    '127.0.0.1:8000': rupor.browsers,
    '127.0.0.1:8080': at.site,
    ...changes,
  });
  writeFileSync(file, `{
    admin 127.0.0.1:${admin}
    auto_https disable_redirects
    default_bind 127.0.0.1
    skip_install_trust
    https_port ${at.port}
    servers {
        protocols h1 h2
    }
}
${sites}
`);
  const home = { XDG_DATA_HOME: at.path, XDG_CONFIG_HOME: at.path, HOME: at.path };
  const args = ['--config', file, '--adapter', 'caddyfile'];
  const running = await listening(t, at, 'caddy', ['run', ...args], { env: home });
  const reload = async () => {
    const { code, stderr } = await run('caddy', ['reload', ...args, '--force', '--address', `127.0.0.1:${admin}`], { env: home });
    assert.equal(code, 0, stderr);
  };
  return { port: at.port, running, reload };
}

/** Apache with the modules that its page names. */
export async function apache(t, at, rupor, changes = {}) {
  const modules = ['mpm_event', 'authz_core', ...blocks('apache', 'sh')[0].trim().replace(/^.*a2enmod /, '').split(' ')];
  const file = join(at.path, 'apache.conf');
  const log = join(at.path, 'error.log');
  const hosts = put(blocks('apache', 'apache').join('\n'), {
    '*:443': `127.0.0.1:${at.port}`,
    [`/etc/ssl/${SITE}.pem`]: at.cert,
    [`/etc/ssl/${SITE}.key`]: at.key,
    '127.0.0.1:8000': rupor.browsers,
    '127.0.0.1:8080': at.site,
    ...changes,
  });
  writeFileSync(file, `
ServerRoot ${at.path}
ServerName ${SITE}
PidFile ${at.path}/apache.pid
DefaultRuntimeDir ${at.path}
ErrorLog ${log}
LogLevel notice
Listen 127.0.0.1:${at.port}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
StartServers 1
${hosts}
`);
  const running = await listening(t, at, '/usr/sbin/apache2', ['-D', 'FOREGROUND', '-f', file]);
  const reload = async () => {
    running.child.kill('SIGUSR1');
    const said = () => readFileSync(log, 'utf8').match(/resuming normal operations/g)?.length;
    await eventually(said, (times) => times === 2, 'Apache to say so');
  };
  return { port: at.port, running, reload };
}
