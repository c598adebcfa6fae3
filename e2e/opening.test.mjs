// The opening handshake as node's `ws` and curl see it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener, refusal } from './support/listener.mjs';
import { demo, run } from './support/program.mjs';

test('the subprotocol is the first offer that is configured, or none', async (t) => {
  const rupor = await demo(t, ['--subprotocol', 'soap', '--subprotocol', 'wamp']);
  const url = `ws://${rupor.browsers}/?user=ann`;
  const selected = async (...offered) => (await Listener.open(t, url, offered)).ws.protocol;
  assert.equal(await selected('soap'), 'soap');
  assert.equal(await selected('mqtt', 'wamp'), 'wamp');
  assert.equal(await selected('rupor.v1'), 'rupor.v1');
  assert.equal(await selected(), '');
  // `ws` gives up when it offered and nothing was selected, which is its right; so look at the bytes.
  const { stdout } = await handshake(rupor, 'Sec-WebSocket-Protocol: mqtt');
  assert.match(stdout, /^HTTP\/1\.1 101 /);
  assert.doesNotMatch(stdout, /sec-websocket-protocol/i);
});

/** An upgrade by curl, ended after a second of silence: status line, headers. */
function handshake(rupor, ...headers) {
  const all = [
    'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...headers,
  ];
  const flags = all.flatMap((header) => ['-H', header]);
  return run('curl', ['-sS', '-i', '-N', '--http1.1', '-m', '1', ...flags, `http://${rupor.browsers}/`]);
}

test('a version other than 13 gets 426 and is told the right one', async (t) => {
  const rupor = await demo(t);
  const { status, headers } = await refusal(t, `ws://${rupor.browsers}/`, [], { protocolVersion: 8 });
  assert.equal(status, 426);
  assert.equal(headers['sec-websocket-version'], '13');
});

test('a foreign page is refused with a reason, a local one and a file are not', async (t) => {
  const rupor = await demo(t);
  const url = `ws://${rupor.browsers}/?user=ann`;
  for (const origin of ['https://evil.example', 'http://127.0.0.1.evil.example', 'http://localhost.evil.example']) {
    assert.equal((await refusal(t, url, [], { origin })).status, 403, origin);
  }
  for (const origin of [`http://${rupor.browsers}`, 'http://localhost:3000', 'null']) {
    await Listener.open(t, url, [], { origin });
  }
});

test('a refused upgrade says why and closes the connection', async (t) => {
  const rupor = await demo(t);
  const { stdout } = await handshake(rupor, 'Origin: https://evil.example');
  const [head, body] = stdout.split('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 403 /);
  assert.match(head, /^connection: close$/im);
  assert.ok(body.trim().length > 5, `a reason in ${JSON.stringify(stdout)}`);
});
