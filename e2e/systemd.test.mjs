// The units of packaging as systemd itself reads them, and the program with sockets that systemd's own tool passes.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { binary, folder, freePort, repository, run, start } from './support/program.mjs';

const unit = (name) => readFileSync(repository(`packaging/${name}`), 'utf8');

test('systemd finds nothing wrong with the units, and little that the service may do', async (t) => {
  const place = folder(t);
  // The program is not installed here.
  const service = join(place, 'rupor.service');
  writeFileSync(service, unit('systemd/rupor.service').replaceAll('/usr/bin/rupor', binary));
  writeFileSync(join(place, 'rupor.socket'), unit('rupor.socket'));
  const verified = await run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', service, join(place, 'rupor.socket')]);
  assert.deepEqual(verified, { code: 0, stdout: '', stderr: '' });
  // Ten times the exposure that it prints, from 0 to 100; a unit that restricts nothing has over 90.
  const { code, stdout } = await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', service]);
  assert.equal(code, 0, stdout);
});

test('what the socket unit opens is what the configuration of the package names', () => {
  const configuration = readFileSync(repository('packaging/debian/rupor.toml'), 'utf8');
  const opened = [...unit('rupor.socket').matchAll(/^ListenStream=(.*)$/gm)].map(([, address]) => address);
  const [, listen] = /^listen = \["([^"]+)"\]$/m.exec(configuration);
  const [, inlet] = /^inlet = \["unix:\/\/([^"]+)"\]$/m.exec(configuration);
  assert.deepEqual(opened, [listen, inlet]);
});

test('what goes into the package for Debian is there', () => {
  const manifest = readFileSync(repository('crates/rupor/Cargo.toml'), 'utf8');
  const [, assets] = /^assets = \[\n(.*?)^\]/ms.exec(manifest);
  const sources = [...assets.matchAll(/^ {4}\["([^"]+)"/gm)].map(([, source]) => source);
  assert.ok(sources.length > 5);
  for (const source of sources) {
    // The program is built for it.
    if (source !== 'target/release/rupor') assert.ok(existsSync(repository(`crates/rupor/${source}`)), source);
  }
});

test('the sockets that systemd passes are for browsers and for lines', async (t) => {
  const place = folder(t);
  const port = await freePort();
  const socket = join(place, 'rupor.sock');
  const listen = ['-l', `127.0.0.1:${port}`, '-l', socket];
  const serve = ['serve', '--auth', 'none', '--listen', `127.0.0.1:${port}`, '--inlet', `unix://${socket}`];
  const waiting = start(t, [...listen, binary, ...serve], { cwd: place, program: 'systemd-socket-activate' });
  await waiting.waitFor(/Listening on .*rupor\.sock/);
  // The first connection starts the program.
  const anna = await Listener.open(t, `ws://127.0.0.1:${port}/?user=anna`);
  await waiting.waitFor(new RegExp(`listening on ws://127\\.0\\.0\\.1:${port}`));
  const sent = await run(binary, ['publish', '--inlet', `unix://${socket}`, '--user', 'anna', 'hello']);
  assert.equal(sent.code, 0, sent.stderr);
  assert.deepEqual(await anna.messages(1), ['hello']);
});
