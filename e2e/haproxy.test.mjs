// Behind real proxies, each with the block of its page in docs/howto: the client's address arrives, a forged one does not.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { eventually, repository, start } from './support/program.mjs';

/** Where the client connects from: another address than the proxy's, which is 127.0.0.1. */
const CLIENT = '127.0.0.2';

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'rupor-proxy-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A port that is free now. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** rupor as the page configures it; whoever connects is told the address that handlers see. */
async function rupor(t, page, path) {
  const handlers = join(path, 'handlers.php');
  writeFileSync(handlers, `<?php
require '${repository('clients/php/rupor.php')}';
(new Rupor\\Worker())->onOpen(fn ($connection) => $connection->send($connection->request->remote))->run();
`);
  const toml = block(page, 'toml').replace('127.0.0.1:8000', '127.0.0.1:0');
  const file = join(path, 'rupor.toml');
  writeFileSync(file, `${toml}\nauth = "none"\ninlet = ["tcp://127.0.0.1:0"]\n[php]\nscript = "${handlers}"\n`);
  const running = start(t, ['serve', '--config', file]);
  running.port = Number((await running.waitFor(/listening on ws:\/\/127\.0\.0\.1:(\d+)/))[1]);
  return running;
}

/** The first block of that language on a page. */
function block(page, language) {
  const text = readFileSync(repository(`docs/howto/${page}.md`), 'utf8');
  const found = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(text);
  assert.ok(found, `docs/howto/${page}.md has no block of ${language}`);
  return found[1];
}

/** Waits until somebody listens. */
async function listening(port, proxy) {
  const look = () => new Promise((resolve) => {
    const stream = connect(port, '127.0.0.1', () => { stream.destroy(); resolve(true); });
    stream.on('error', () => resolve(false));
  });
  await eventually(look, (yes) => yes, `a proxy on ${port}, which says ${proxy.output}`);
}

async function seen(t, url, headers = {}) {
  const options = { localAddress: CLIENT, headers };
  return (await (await Listener.open(t, url, [], options)).messages(1))[0];
}

test('HAProxy names its client by the PROXY protocol', async (t) => {
  const path = folder(t);
  const behind = await rupor(t, 'haproxy', path);
  const port = await freePort();
  const file = join(path, 'haproxy.cfg');
  const backend = block('haproxy', 'haproxy').replace('127.0.0.1:8000', `127.0.0.1:${behind.port}`);
  writeFileSync(file, `${backend}
frontend site
    bind 127.0.0.1:${port}
    default_backend rupor
`);
  const proxy = start(t, ['-db', '-f', file], { program: '/usr/sbin/haproxy' });
  await listening(port, proxy);
  const forged = { 'X-Forwarded-For': '6.6.6.6' };
  assert.match(await seen(t, `ws://127.0.0.1:${port}/`, forged), /^127\.0\.0\.2:[1-9]/);
});
