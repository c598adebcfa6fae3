// The clients of rupor-proto and rupor-server (their examples client_blocking and client, which send back what comes) against
// servers that nobody here wrote: node's ws and python's websockets, with and without permessage-deflate.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';

import { WebSocketServer } from 'ws';

import { CLIENTS } from './support/clients.mjs';
import { inTime, repository, start } from './support/program.mjs';


const TEXTS = ['', 'text', 'Привет, 世界 🧭', '{"price":42}'.repeat(500), 'x'.repeat(200_000)];

/** Letters that do not repeat soon: more than a window of them, so that matches reach to its edge. */
const LONG = Array.from({ length: 60_000 }, (_, i) => ((i * i) % 7919).toString(36)).join('');

/** What `ws` may be asked to do, and whether compression is then agreed to. */
const AGREEMENTS = [
  ['no compression', false, false],
  ['compression', { threshold: 0 }, true],
  ['compression of each message alone', { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true }, true],
  ['small windows', { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, true],
];

for (const [name, client] of Object.entries(CLIENTS)) {
  for (const [what, perMessageDeflate, compressed] of AGREEMENTS) {
    test(`${name}, node ws as the server, ${what}: text, binary, fragments, Pings, a close code`, async (t) => {
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
      t.after(() => server.close());
      await inTime(once(server, 'listening'), 'a port');
      const arrived = once(server, 'connection');
      const running = client(t, `127.0.0.1:${server.address().port}`, '/any?path=1');
      const [ws, request] = await inTime(arrived, 'the client');
      t.after(() => ws.terminate());
      assert.equal(request.url, '/any?path=1');
      assert.equal(ws.extensions.startsWith('permessage-deflate'), compressed, ws.extensions);

      const received = [];
      const all = new Promise((resolve) => {
        ws.on('message', (payload, binary) => {
          received.push(binary ? payload : payload.toString());
          if (received.at(-1) === 'end') resolve();
        });
      });
      const binary = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i) % 251));
      const sent = [...TEXTS, LONG, binary, LONG, Buffer.alloc(0)];
      for (const message of sent) ws.send(message);
      const pong = once(ws, 'pong');
      ws.ping('payload');
      for (const [part, fin] of [['in ', false], ['three ', false], ['parts', true]]) ws.send(part, { fin });
      ws.send('end');
      await inTime(all, `what was sent, got ${received.length} messages`);
      assert.deepEqual(received, [...sent, 'in three parts', 'end']);
      assert.equal((await inTime(pong, 'a Pong')).toString(), 'payload');

      const closed = once(ws, 'close');
      ws.close(4000, 'достаточно');
      assert.equal((await inTime(closed, 'the end'))[0], 4000);
      await running.waitFor(/^closed: 4000 достаточно$/m);
      assert.deepEqual(await inTime(running.exited, 'the client’s end'), { code: 0, signal: null });
    });
  }

  for (const how of ['plain', 'compressed', 'alone', 'small-windows']) {
    test(`${name}, python websockets as the server, ${how}: text, binary, fragments, Pings, a close code`, async (t) => {
      const program = repository('e2e/.venv/bin/python');
      const server = start(t, [repository('e2e/support/server.py'), how], { program });
      const [, address] = await server.waitFor(/listening on (127\.0\.0\.1:\d+)/);
      const running = client(t, address, '/');
      await server.waitFor(/^ok$/m);
      await running.waitFor(/^closed: 4000 done$/m);
      assert.deepEqual(await inTime(running.exited, 'the client’s end'), { code: 0, signal: null });
    });
  }

  test(`${name}: a server that breaks a rule is told which, and the client fails`, async (t) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
    t.after(() => server.close());
    await inTime(once(server, 'listening'), 'a port');
    const arrived = once(server, 'connection');
    const running = client(t, `127.0.0.1:${server.address().port}`, '/');
    const [ws, request] = await inTime(arrived, 'the client');
    const closed = once(ws, 'close');
    request.socket.write(Buffer.from([0x81, 0x80, 1, 2, 3, 4])); // a server does not mask
    assert.equal((await inTime(closed, 'the end'))[0], 1002);
    assert.equal((await inTime(running.exited, 'the client’s end')).code, 1);
  });

  test(`${name}: a server that does not speak WebSocket is an error`, async (t) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient: () => false });
    t.after(() => server.close());
    await inTime(once(server, 'listening'), 'a port');
    const running = client(t, `127.0.0.1:${server.address().port}`, '/');
    assert.equal((await inTime(running.exited, 'the client’s end')).code, 1);
    assert.match(running.output, /401/);
  });
}
