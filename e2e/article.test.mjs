// What the article promises: a page listens, a few lines of PHP reach its user.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { line } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { demo, folder, repository, run } from './support/program.mjs';

/** Runs PHP code given as text; it must end well and say nothing but its output. */
async function php(code) {
  const { code: status, stdout, stderr } = await run('php', ['-r', code]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

/** PHP that sends one array as a line and ends without reading. */
const sends = (address, fields) =>
  `fwrite(stream_socket_client('${address}'), json_encode(${fields}) . "\\n");`;

test('the files of the article work unchanged, on the ports they name', async (t) => {
  const inside = [repository('e2e/support/own-network'), 'node', repository('e2e/support/article.mjs')];
  // A test runner inside a test runner: it must not think that it is the outer one's child.
  const env = { NODE_TEST_CONTEXT: '' };
  const { code, stdout, stderr } = await run('sh', [...inside, folder(t)], { env });
  if (code === 69) return t.skip('this system does not allow a network of its own');
  const result = /RESULT (.*)/.exec(stdout);
  assert.ok(result, `${stdout}${stderr}`);
  assert.deepEqual(JSON.parse(result[1]), {
    script: { code: 0, stdout: '', stderr: '' },
    tester: ['test', 'mark'],
    other: ['mark'],
  });
});

test('every connection of the user, on whichever worker, receives; nobody else does', async (t) => {
  const rupor = await demo(t, ['--workers', '4']);
  const open = (user) => Listener.open(t, `ws://${rupor.browsers}/?user=${user}`);
  const testers = await Promise.all(Array.from({ length: 16 }, () => open('tester01')));
  const others = await Promise.all(['tester02', 'tester', 'tester011', ''].map(open));

  const script = readFileSync(repository('examples/notify/send.php'), 'utf8');
  const code = script.replace('<?php', '').replace('127.0.0.1:1234', rupor.inlet);
  assert.equal(await php(code), '');

  for (const tester of testers) assert.deepEqual(await tester.messages(1), ['test']);
  const mark = await line(rupor.inlet, { all: true, message: 'mark' });
  assert.deepEqual(mark, { ok: true, connections: 20 });
  for (const tester of testers) assert.deepEqual(await tester.messages(2), ['test', 'mark']);
  for (const other of others) assert.deepEqual(await other.messages(1), ['mark']);
});

test('the older spellings reach a user, a connection and a cookie', async (t) => {
  const rupor = await demo(t);
  const address = `tcp://${rupor.inlet}`;
  const user = await Listener.open(t, `ws://${rupor.browsers}/?user=5204`);
  const cookie = await Listener.open(t, `ws://${rupor.browsers}/`, [], {
    headers: { Cookie: 'theme=dark; PHPSESSID=ab12cd34' },
  });

  await php(sends(address, `['userId' => 5204, 'message' => 'by userId']`));
  assert.deepEqual(await user.messages(1), ['by userId']);

  const status = await run('curl', [
    '-sS', '-H', `Authorization: Bearer ${rupor.key}`, `http://${rupor.browsers}/api/users/5204`,
  ]);
  const id = /"([0-9a-f]{16})"/.exec(status.stdout)?.[1];
  assert.ok(id, `a connection id in ${status.stdout}`);
  await php(sends(address, `['clientId' => '${id}', 'message' => 'by clientId']`));
  assert.deepEqual(await user.messages(2), ['by userId', 'by clientId']);

  await php(sends(address, `['PHPSESSID' => 'ab12cd34', 'message' => 'by cookie']`));
  assert.deepEqual(await cookie.messages(1), ['by cookie']);
});

test('a message that is not a string arrives as its JSON text', async (t) => {
  const rupor = await demo(t);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  const fields = `['user' => 'tester01', 'message' => ['type' => 'order', 'ids' => [1, 2]]]`;
  await php(sends(`tcp://${rupor.inlet}`, fields));
  assert.deepEqual(await tester.messages(1), ['{"type":"order","ids":[1,2]}']);
});

test('PHP writes to a Unix socket and reads the answer', async (t) => {
  const path = join(folder(t), 'rupor.sock');
  const rupor = await demo(t, ['--inlet', `unix://${path}`]);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  const answer = await php(`
    $inlet = stream_socket_client('unix://${path}');
    fwrite($inlet, json_encode(['id' => 7, 'user' => 'tester01', 'message' => 'hello']) . "\\n");
    echo fgets($inlet);`);
  assert.deepEqual(JSON.parse(answer), { ok: true, id: 7, connections: 1 });
  assert.deepEqual(await tester.messages(1), ['hello']);
});

test('a writer that closes at once loses nothing, 1,000 times', async (t) => {
  const rupor = await demo(t);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  await php(`
    for ($i = 0; $i < 1000; $i++) {
      $inlet = stream_socket_client('tcp://${rupor.inlet}');
      fwrite($inlet, json_encode(['user' => 'tester01', 'message' => "m$i"]) . "\\n");
      fclose($inlet);
    }`);
  const received = [...(await tester.messages(1000))];
  // Each came on a connection of its own, so their order is not promised.
  const expected = Array.from({ length: 1000 }, (_, i) => `m${i}`);
  assert.deepEqual(received.sort(), expected.sort());
});
