// Publications from a real Redis, an own one on a free port: by redis-cli, by PHP, and as Laravel broadcasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { demo, eventually, run } from './support/program.mjs';
import { PASSWORD, Redis } from './support/redis.mjs';

/** Publishes by redis-cli; how many heard it. */
async function publish(redis, channel, message) {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  const heard = await redis.cli('PUBLISH', channel, text);
  assert.match(heard, /^\d+$/);
  return Number(heard);
}

const result = (name) => `rupor_redis_messages_total{result="${name}"}`;
/** The text of a message in rupor.v1. */
const text = (listener, place) => JSON.parse(listener.received[place]).message;
const subscribed = (rupor) => counted(rupor, 'rupor_redis_connected', 1);

test('publish objects and broadcasts of Laravel arrive, and what is neither is counted', async (t) => {
  const redis = await Redis.start(t, PASSWORD);
  const flags = ['--redis-channel', 'rupor', '--redis-channel', 'other', '--redis-laravel', '--publish-bytes-max', '1000'];
  const rupor = await demo(t, flags, { env: { RUPOR_REDIS_URL: redis.url } });
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

  assert.equal(await publish(redis, 'rupor', { all: true, message: 'by redis-cli' }), 1);
  assert.equal(await publish(redis, 'other', { channel: 'orders', message: { n: 1 } }), 1);
  for (const listener of [anna, berta]) {
    const [, , first, second] = await listener.messages(4);
    assert.match(first, /by redis-cli/);
    assert.match(second, /{\\"n\\":1}/);
  }

  // Laravel: to others than the one whose request it was; the prefix and a foreign socket mean nothing to browsers.
  const event = 'App\\Events\\Shipped';
  await publish(redis, 'laravel_database_orders', { event, data: { order: 7 }, socket: anna.id });
  await publish(redis, 'laravel_database_orders', { event, data: { order: 8 }, socket: '1.2' });
  await berta.messages(6);
  await anna.messages(5);
  assert.equal(text(berta, 4), JSON.stringify({ event, data: { order: 7 } }));
  assert.equal(text(berta, 5), JSON.stringify({ event, data: { order: 8 } }));
  assert.equal(text(anna, 4), JSON.stringify({ event, data: { order: 8 } }));

  await publish(redis, 'rupor', 'no JSON');
  await publish(redis, 'laravel_database_orders', { data: 1 });
  await publish(redis, 'rupor', { all: true, message: 'x'.repeat(1000) });
  await publish(redis, 'rupor', { channel: '', message: 1 });
  await counted(rupor, result('wrong'), 2);
  await counted(rupor, result('too_long'), 1);
  await counted(rupor, result('refused'), 1);
  await rupor.waitFor(/a message from Redis was not published/);
  await publish(redis, 'rupor', { all: true, message: 'the last' });
  assert.match((await anna.messages(6))[5], /the last/);
  await counted(rupor, result('published'), 5);
  assert.ok(!rupor.output.includes(PASSWORD));
});

test('PHP publishes by its extension for Redis', async (t) => {
  const { stdout: modules } = await run('php', ['-m']);
  if (!/^redis$/m.test(modules)) return t.skip('PHP has no extension redis');
  const redis = await Redis.start(t, PASSWORD);
  const rupor = await demo(t, [], { env: { RUPOR_REDIS_URL: redis.url } });
  await subscribed(rupor);
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  const script = `$r = new Redis(); $r->connect('127.0.0.1', ${redis.port}); $r->auth('${PASSWORD}');
    echo $r->publish('rupor', json_encode(['all' => true, 'message' => 'by PHP']));`;
  assert.equal((await run('php', ['-r', script])).stdout, '1');
  assert.deepEqual(await listener.messages(1), ['by PHP']);
});

test('a Redis that is not there yet, goes and comes back is subscribed to again', async (t) => {
  const redis = await Redis.make(t, PASSWORD);
  const rupor = await demo(t, [], { env: { RUPOR_REDIS_URL: redis.url } });
  await rupor.waitFor(/Redis cannot be subscribed to/);
  assert.equal((await metrics(rupor)).get('rupor_redis_connected'), 0);
  await redis.start();
  await subscribed(rupor);
  const listener = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  await publish(redis, 'rupor', { all: true, message: 'before' });
  await listener.messages(1);

  await redis.stop();
  await rupor.waitFor(/what is published meanwhile is lost: Redis does not keep it/);
  await counted(rupor, 'rupor_redis_connections_lost_total', 1);
  await redis.start();
  await eventually(() => rupor.output.match(/subscribed to Redis/g)?.length, (count) => count === 2, 'the second subscription');
  await publish(redis, 'rupor', { all: true, message: 'after' });
  assert.deepEqual(await listener.messages(2), ['before', 'after']);
  assert.ok(!rupor.output.includes(PASSWORD));
});
