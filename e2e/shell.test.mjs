// The program from a shell: publish, connect, errors at the start; and other people's clients.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { binary, demo, folder, inTime, repository, run, start } from './support/program.mjs';

test('rupor publish reaches the user over TCP and over a Unix socket', async (t) => {
  const place = folder(t);
  const path = join(place, 'rupor.sock');
  const rupor = await demo(t, ['--inlet', `unix://${path}`]);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  for (const [inlet, text] of [[`tcp://${rupor.inlet}`, 'by TCP'], [`unix://${path}`, 'by Unix socket']]) {
    const { code, stdout, stderr } = await run(binary, ['publish', '--inlet', inlet, '--user', 'tester01', text]);
    assert.equal(code, 0, stdout + stderr);
  }
  assert.deepEqual(await tester.messages(2), ['by TCP', 'by Unix socket']);
});

test('rupor publish fails when there is no server', async () => {
  const { code, stderr } = await run(binary, [
    'publish', '--inlet', 'unix:///nonexistent/rupor.sock', '--user', 'tester01', 'test',
  ]);
  assert.notEqual(code, 0);
  assert.match(stderr, /nonexistent/);
});

test('rupor connect prints what comes and sends what is typed', async (t) => {
  const rupor = await demo(t);
  const listening = start(t, ['connect', `ws://${rupor.browsers}/echo`]);
  listening.child.stdin.write('from the shell\n');
  await listening.waitFor(/from the shell/);
});

test('wscat listens and sends', async (t) => {
  const rupor = await demo(t);
  const wscat = repository('e2e/node_modules/.bin/wscat');
  // It ends with its standard input, so that stays open until the answer was there.
  const echo = start(t, ['-c', `ws://${rupor.browsers}/echo`, '-x', 'from wscat', '-w', '10'], { program: wscat });
  await echo.waitFor(/from wscat/);
});

test('python websockets: echo of text and binary, pings, a close code', async (t) => {
  const echo = start(t, ['echo', '--listen', '127.0.0.1:0']);
  const [, address] = await echo.waitFor(/(127\.0\.0\.1:[1-9]\d*)/);
  const python = repository('e2e/.venv/bin/python');
  const { code, stdout, stderr } = await run(python, [repository('e2e/support/client.py'), `ws://${address}/any/path`]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), 'ok');
});

test('python websockets listens as a user', async (t) => {
  const rupor = await demo(t);
  const python = repository('e2e/.venv/bin/python');
  const script = [repository('e2e/support/listen.py'), `ws://${rupor.browsers}/?user=tester01`];
  const listening = start(t, script, { program: python });
  await listening.waitFor(/open/);
  const { code } = await run(binary, ['publish', '--inlet', `tcp://${rupor.inlet}`, '--user', 'tester01', 'test']);
  assert.equal(code, 0);
  await listening.waitFor(/^received 'test'$/m);
});

test('nc publishes with one line', async (t) => {
  const rupor = await demo(t);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  const [host, port] = rupor.inlet.split(':');
  const { stdout } = await run('nc', ['-N', host, port], { input: '{"user":"tester01","message":"test"}\n' });
  assert.deepEqual(JSON.parse(stdout), { ok: true, connections: 1 });
  assert.deepEqual(await tester.messages(1), ['test']);
});

test('a taken port is a clear error that names the flag', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await inTime(new Promise((resolve) => taken.on('listening', resolve)), 'a port');
  const address = `127.0.0.1:${taken.address().port}`;
  for (const [flags, flag] of [
    [['--listen', address, '--inlet', 'tcp://127.0.0.1:0'], '--listen'],
    [['--listen', '127.0.0.1:0', '--inlet', `tcp://${address}`], '--inlet'],
  ]) {
    const { code, stdout, stderr } = await run(binary, ['demo', ...flags]);
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, new RegExp(flag));
    assert.ok((stdout + stderr).includes(address), stderr);
  }
});

test('serve refuses to start without a way to know users', async () => {
  const { code, stdout, stderr } = await run(binary, [
    'serve', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0',
  ]);
  assert.notEqual(code, 0);
  assert.match(stdout + stderr, /auth|jwt/);
});
