// What is opened is given back: descriptors, connections, users; also when the peers are rude or the
// system has no descriptors left.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';

import { Listener, refusal } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { demo, eventually, inTime } from './support/program.mjs';

const descriptors = (rupor) => readdirSync(`/proc/${rupor.child.pid}/fd`).length;

/** Connects by TCP and sends some bytes. */
function raw(rupor, bytes) {
  const [host, port] = rupor.browsers.split(':');
  const stream = connect(Number(port), host);
  stream.on('error', () => {});
  if (bytes) stream.write(bytes);
  return stream;
}

test('after 2,000 connections that end in every way nothing is left of them', async (t) => {
  const rupor = await demo(t, ['--workers', '2']);
  await Listener.open(t, `ws://${rupor.browsers}/?user=stays`);
  const before = descriptors(rupor);

  const upgrade = [
    'GET /?user=rude&channel=news HTTP/1.1', `Host: ${rupor.browsers}`, 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', '',
  ].join('\r\n');
  for (let round = 0; round < 50; round++) {
    await Promise.all(Array.from({ length: 40 }, async (_, i) => {
      if (i % 4 === 0) {
        const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=polite${i}&channel=news`);
        listener.ws.close(1000);
        return inTime(listener.closed, 'a close');
      }
      // Nothing sent, half a head, or half a frame after the 101; then gone by FIN or by reset.
      const stream = raw(rupor, [null, upgrade.slice(0, 60), upgrade][i % 4 - 1]);
      const event = i % 4 === 3 ? 'data' : 'connect';
      await inTime(new Promise((resolve) => stream.once(event, resolve).once('close', resolve)), event);
      if (i % 4 === 3) stream.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5]));
      return round % 2 ? stream.resetAndDestroy() : stream.destroy();
    }));
  }

  await counted(rupor, 'rupor_connections', 1);
  await eventually(() => descriptors(rupor), (count) => count <= before, `as few descriptors as before, ${before}`);
  const answer = await fetch(`http://${rupor.browsers}/api/users/rude`, {
    headers: { Authorization: `Bearer ${rupor.key}` },
  });
  assert.equal((await answer.json()).online, false);
});

test('when browsers have all descriptors they may have, the site still reaches them', async (t) => {
  const limit = ['-c', 'ulimit -n 64; exec "$0" "$@"'];
  const rupor = await demo(t, [], { under: ['sh', ...limit] });
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=early`);
  const streams = Array.from({ length: 100 }, () => raw(rupor));
  t.after(() => streams.forEach((stream) => stream.destroy()));
  const healthz = () => fetch(`http://${rupor.browsers}/healthz`, { headers: { Connection: 'close' } })
    .then((response) => response.status, String);
  await eventually(healthz, (status) => status === 503, 'somebody to be turned away');

  // Who is there already notices nothing of it, and the site's line finds a descriptor.
  const site = connect(Number(rupor.inlet.split(':').pop()));
  site.end('{"user":"early","message":"still here"}\n');
  assert.deepEqual(await listener.messages(1), ['still here']);
  listener.ws.ping('there?');
  await inTime(new Promise((resolve) => listener.ws.once('pong', resolve)), 'a pong');

  for (const stream of streams) stream.destroy();
  const late = () => Listener.open(t, `ws://${rupor.browsers}/?user=late`).then(() => 'open', String);
  await eventually(late, (seen) => seen === 'open', 'new connections to be served');
});

test('a log that nobody reads, or can read, holds nothing up', async (t) => {
  const rupor = await demo(t, ['--log', 'trace']);
  rupor.child.stderr.pause();
  // Each of these is logged, many more than a pipe holds.
  const bad = `http://${rupor.browsers}/${'a'.repeat(250)}`;
  for (let round = 0; round < 30; round++) {
    await Promise.all(Array.from({ length: 50 }, () => inTime(refusal(t, `${bad}?user=%00`), 'a refusal')));
  }
  rupor.child.stderr.destroy();
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  connect(Number(rupor.inlet.split(':').pop())).end('{"user":"anna","message":"still here"}\n');
  assert.deepEqual(await listener.messages(1), ['still here']);
  rupor.child.kill('SIGTERM');
  assert.deepEqual(await inTime(rupor.exited, 'the end'), { code: 0, signal: null });
});
