// Behind a reverse proxy: a real nginx, set up as docs/howto/nginx.md says, knows the client's address, and so does a handler.
// All of 127.0.0.0/8 is this machine: 127.0.0.1 is where nginx connects from, clients have other addresses of it.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { certificate, folder } from './support/certificate.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { eventually, freePort, repository, start } from './support/program.mjs';

const NGINX = '/usr/sbin/nginx';
const HOWTO = readFileSync(repository('docs/howto/nginx.md'), 'utf8');
const CLIENT = '127.0.0.3';

/** Puts `to` where `from` is; the test is wrong when it is not there. */
function put(text, from, to) {
  assert.ok(text.includes(from), `docs/howto/nginx.md does not have ${from}`);
  return text.replaceAll(from, to);
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

/** nginx with the server of the documentation, before rupor at `backend`: its port. */
async function nginx(t, backend) {
  const place = folder(t);
  const { cert, key } = await certificate(place, 'example.org');
  const port = await freePort();
  let [, server] = /```nginx\n(.*?)```/s.exec(HOWTO);
  server = put(server, 'listen 443 ssl', `listen 127.0.0.1:${port} ssl`);
  server = put(server, '/etc/ssl/example.org.pem', cert);
  server = put(server, '/etc/ssl/example.org.key', key);
  server = put(server, '127.0.0.1:8000', backend);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${place}/${name};`)
    .join('\n');
  const file = join(place, 'nginx.conf');
  writeFileSync(file, `
daemon off;
master_process off;
pid ${place}/nginx.pid;
error_log stderr;
events {}
http {
access_log off;
${temporary}
${server}
}
`);
  const running = start(t, ['-e', 'stderr', '-p', place, '-c', file], { program: NGINX });
  await eventually(() => running.closed || answers(port), Boolean, 'nginx to listen');
  assert.ok(!running.closed, running.output);
  return port;
}

/** `rupor serve` with the configuration of the documentation, and a handler in PHP that says whom it sees. */
async function serve(t) {
  const place = folder(t);
  const script = join(place, 'handlers.php');
  writeFileSync(script, `<?php
require '${repository('clients/php/rupor.php')}';
(new Rupor\\Worker())
    ->onMessage(fn ($connection, $message) => $connection->send("$message from " . $connection->request->address()))
    ->run();
`);
  const [, options] = /```toml\n(.*?)```/s.exec(HOWTO);
  const file = join(place, 'rupor.toml');
  writeFileSync(file, `auth = "none"\nlog = "debug"\n${put(options, '127.0.0.1:8000', '127.0.0.1:0')}\n[php]\nscript = "${script}"\n`);
  const rupor = start(t, ['serve', '--config', file]);
  rupor.browsers = (await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  return rupor;
}

/** How a browser on a page of the site connects through nginx. */
const browser = (port, { origin = `https://example.org:${port}`, ...headers } = {}) => ({
  localAddress: CLIENT,
  rejectUnauthorized: false, // the certificate is of another name
  servername: 'example.org',
  headers: { Host: `example.org:${port}`, Origin: origin, ...headers },
});

async function ask(listener, message) {
  listener.ws.send(message);
  return (await listener.messages(1))[0];
}

test('a handler and the log see the address of the client, whatever it claims', async (t) => {
  const rupor = await serve(t);
  const port = await nginx(t, rupor.browsers);
  const url = `wss://127.0.0.1:${port}/ws/`;
  const honest = await Listener.open(t, url, [], browser(port));
  assert.equal(await ask(honest, 'hi'), `hi from ${CLIENT}`);
  // nginx adds the address that it sees to what it was told, and that is the one that counts.
  const forged = { 'X-Forwarded-For': '203.0.113.9, 127.0.0.1' };
  const liar = await Listener.open(t, url, [], browser(port, forged));
  assert.equal(await ask(liar, 'hi'), `hi from ${CLIENT}`);
  const foreign = browser(port, { origin: 'https://evil.example' });
  assert.equal((await refusal(t, url, [], foreign)).status, 403);
  await rupor.waitFor(/127\.0\.0\.3:0/);
});

test('who is no trusted proxy is not believed', async (t) => {
  const rupor = await serve(t);
  const headers = { 'X-Forwarded-For': '203.0.113.9' };
  const direct = await Listener.open(t, `ws://${rupor.browsers}/ws/`, [], { localAddress: '127.0.0.4', headers });
  assert.equal(await ask(direct, 'hi'), 'hi from 127.0.0.4');
  // The same from the proxy's address is.
  const proxy = await Listener.open(t, `ws://${rupor.browsers}/ws/`, [], { headers });
  assert.equal(await ask(proxy, 'hi'), 'hi from 203.0.113.9');
});
