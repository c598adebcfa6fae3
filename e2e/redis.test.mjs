// Publications from a real Redis, an own one on a free port: by redis-cli, by PHP, and as Laravel broadcasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { demo, eventually, folder, freePort, run, start } from './support/program.mjs';

const PASSWORD = 'hush-hush-4711';

/** `redis-server` with a password, which keeps nothing. */
async function redis(t, port) {
  const flags = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder(t), '--requirepass', PASSWORD];
  const server = start(t, flags.map(String), { program: 'redis-server' });
  await server.waitFor(/Ready to accept connections/);
  return server;
}

const url = (port) => `redis://:${PASSWORD}@127.0.0.1:${port}/0`;

/** Publishes by redis-cli; how many heard it. */
async function publish(port, channel, message) {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  const args = ['-h', '127.0.0.1', '-p', String(port), 'PUBLISH', channel, text];
  const { stdout, stderr } = await run('redis-cli', args, { env: { REDISCLI_AUTH: PASSWORD } });
  assert.match(stdout, /^\d+\n$/, stderr);
  return Number(stdout);
}

const result = (name) => `rupor_redis_messages_total{result="${name}"}`;
/** The text of a message in rupor.v1. */
const text = (listener, place) => JSON.parse(listener.received[place]).message;
const subscribed = (rupor) => counted(rupor, 'rupor_redis_connected', 1);

test('publish objects and broadcasts of Laravel arrive, and what is neither is counted', async (t) => {
  const port = await freePort();
  await redis(t, port);
  const flags = ['--redis-channel', 'rupor', '--redis-channel', 'other', '--redis-laravel', '--publish-bytes-max', '1000'];
  const rupor = await demo(t, flags, { env: { RUPOR_REDIS_URL: url(port) } });
  await subscribed(rupor);

  // The channel's subscribers speak rupor.v1, which tells them their ids.
  const open = async () => {
    const listener = await Listener.open(t, `ws://${rupor.browsers}/?channel=orders`, ['rupor.v1']);
    await listener.messages(1);
    listener.id = JSON.parse(listener.received[0]).connection;
    assert.match(listener.id, /^[0-9a-f]{16}$/);
    listener.ws.send(JSON.stringify({ type: 'subscribe', channel: 'orders', id: 1 }));
    await listener.messages(2);
    return listener;
  };
  const [anna, berta] = [await open(), await open()];

  assert.equal(await publish(port, 'rupor', { all: true, message: 'by redis-cli' }), 1);
  assert.equal(await publish(port, 'other', { channel: 'orders', message: { n: 1 } }), 1);
  for (const listener of [anna, berta]) {
    const [, , first, second] = await listener.messages(4);
    assert.match(first, /by redis-cli/);
    assert.match(second, /{\\"n\\":1}/);
  }

  // Laravel: to others than the one whose request it was; the prefix and a foreign socket mean nothing to browsers.
  const event = 'App\\Events\\Shipped';
  await publish(port, 'laravel_database_orders', { event, data: { order: 7 }, socket: anna.id });
  await publish(port, 'laravel_database_orders', { event, data: { order: 8 }, socket: '1.2' });
  await berta.messages(6);
  await anna.messages(5);
  assert.equal(text(berta, 4), JSON.stringify({ event, data: { order: 7 } }));
  assert.equal(text(berta, 5), JSON.stringify({ event, data: { order: 8 } }));
  assert.equal(text(anna, 4), JSON.stringify({ event, data: { order: 8 } }));

  await publish(port, 'rupor', 'no JSON');
  await publish(port, 'laravel_database_orders', { data: 1 });
  await publish(port, 'rupor', { all: true, message: 'x'.repeat(1000) });
  await publish(port, 'rupor', { channel: '', message: 1 });
  await counted(rupor, result('wrong'), 2);
  await counted(rupor, result('too_long'), 1);
  await counted(rupor, result('refused'), 1);
  await rupor.waitFor(/a message from Redis was not published/);
  await publish(port, 'rupor', { all: true, message: 'the last' });
  assert.match((await anna.messages(6))[5], /the last/);
  await counted(rupor, result('published'), 5);
  assert.ok(!rupor.output.includes(PASSWORD));
});

test('PHP publishes by its extension for Redis', async (t) => {
  const { stdout: modules } = await run('php', ['-m']);
  if (!/^redis$/m.test(modules)) return t.skip('PHP has no extension redis');
  const port = await freePort();
  await redis(t, port);
  const rupor = await demo(t, [], { env: { RUPOR_REDIS_URL: url(port) } });
  await subscribed(rupor);
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  const script = `$r = new Redis(); $r->connect('127.0.0.1', ${port}); $r->auth('${PASSWORD}');
    echo $r->publish('rupor', json_encode(['all' => true, 'message' => 'by PHP']));`;
  assert.equal((await run('php', ['-r', script])).stdout, '1');
  assert.deepEqual(await listener.messages(1), ['by PHP']);
});

test('a Redis that is not there yet, goes and comes back is subscribed to again', async (t) => {
  const port = await freePort();
  const rupor = await demo(t, [], { env: { RUPOR_REDIS_URL: url(port) } });
  await rupor.waitFor(/Redis cannot be subscribed to/);
  assert.equal((await metrics(rupor)).get('rupor_redis_connected'), 0);
  const first = await redis(t, port);
  await subscribed(rupor);
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  await publish(port, 'rupor', { all: true, message: 'before' });
  await listener.messages(1);

  await first.stop();
  await rupor.waitFor(/what is published meanwhile is lost: Redis does not keep it/);
  await counted(rupor, 'rupor_redis_connections_lost_total', 1);
  await redis(t, port);
  await eventually(() => rupor.output.match(/subscribed to Redis/g)?.length, (count) => count === 2, 'the second subscription');
  await publish(port, 'rupor', { all: true, message: 'after' });
  assert.deepEqual(await listener.messages(2), ['before', 'after']);
  assert.ok(!rupor.output.includes(PASSWORD));
});
