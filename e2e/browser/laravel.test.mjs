// A real Laravel app and a page with Laravel Echo: event() → the broadcaster → rupor → Chromium.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { laravel } from '../support/laravel.mjs';
import { eventually, folder, repository, start } from '../support/program.mjs';
import { Redis } from '../support/redis.mjs';
import { browser } from './support/browser.mjs';

const open = browser();

/** rupor as beside a site, with a rule for each kind of channel that Laravel has. */
async function site(t, environment = {}) {
  const place = folder(t);
  const key = randomBytes(32).toString('hex');
  writeFileSync(join(place, 'jwt.key'), key);
  const inlet = `unix://${place}/lines.sock`;
  const app = await laravel(t, { BROADCAST_CONNECTION: 'rupor', RUPOR_ADDRESS: inlet, RUPOR_JWT_KEY: key, ...environment });
  const configuration = `
listen = ["127.0.0.1:0"]
origin = ["${app.url}"]
inlet = ["${inlet}"]
auth = "jwt"
[[jwt]]
algorithm = "HS256"
key_file = "${place}/jwt.key"
[[channel]]
name = "private-*"
subscribe = "token"
[[channel]]
name = "presence-*"
subscribe = "token"
[[channel]]
name = "*"
subscribe = "anyone"
`;
  writeFileSync(join(place, 'rupor.toml'), configuration);
  const command = ['serve', '--config', join(place, 'rupor.toml')];
  const rupor = start(t, command);
  const [, browsers] = await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/);
  return { rupor, app, host: `ws://${browsers}/`, command: [...command, '--listen', browsers] };
}

/** A tab of that user, connected through Echo. */
async function tab(t, { app, host, connect = (where) => window.start(where) }, user, options) {
  const page = await open(t, `${app.url}/login/${user}`, options);
  await page.goto(app.url);
  await page.waitForFunction(() => window.ready);
  await page.evaluate(connect, host);
  await page.waitForFunction(() => window.echo.connectionStatus() === 'connected');
  return page;
}

const hear = (page, kind, name) => page.evaluate(([kind, name]) => window.hear(kind, name), [kind, name]);
const seen = (page, wanted) =>
  eventually(() => page.evaluate(() => window.seen), (all) => wanted.every((one) => all.some((each) => JSON.stringify(each) === JSON.stringify(one))), `${JSON.stringify(wanted)} to be seen`);

/** Calls the app from the page, as axios with Echo's interceptor does: with X-Socket-ID. */
async function ship(page, order, body, headers) {
  const status = await page.evaluate(async ([order, body, more]) => {
    const headers = { 'Content-Type': 'application/json', 'X-Socket-ID': window.echo.socketId(), ...more };
    return (await fetch(`/ship/${order}`, { method: 'POST', headers, body: JSON.stringify(body) })).status;
  }, [order, body, headers]);
  assert.equal(status, 200);
}

test('an event of the app arrives in a public, a private and a presence channel, and not at a stranger', async (t) => {
  const all = await site(t);
  const [owner, stranger] = [await tab(t, all, '5'), await tab(t, all, '6', { expected: [/status of 403/] })];
  for (const page of [owner, stranger]) await hear(page, 'channel', 'news');
  for (const page of [owner, stranger]) await hear(page, 'private', 'orders.5');
  await hear(owner, 'join', 'room.5');
  await seen(owner, [['channel', 'open', 'news'], ['private', 'open', 'orders.5'], ['join', 'open', 'room.5']]);
  await seen(stranger, [['channel', 'open', 'news'], ['private', 'refused', 403]]);

  await ship(owner, 5, { note: 'Привет' });
  const event = { order: 5, note: 'Привет' };
  await seen(owner, [['channel', 'event', event], ['private', 'event', event], ['join', 'event', event]]);
  assert.deepEqual((await seen(stranger, [['channel', 'event', event]])).filter(([, what]) => what === 'event').length, 1);
});

test('toOthers leaves out the tab that sent, and a forged socket stops nothing', async (t) => {
  const all = await site(t);
  const [first, second] = [await tab(t, all, '5'), await tab(t, all, '5')];
  for (const page of [first, second]) await hear(page, 'private', 'orders.5');
  for (const page of [first, second]) await seen(page, [['private', 'open', 'orders.5']]);
  assert.match(await first.evaluate(() => window.echo.socketId()), /^[0-9a-f]{16}$/);

  const event = (note) => ['private', 'event', { order: 5, note }];
  await ship(first, 5, { note: 'to others', others: true });
  await ship(first, 5, { note: 'forged', others: true }, { 'X-Socket-ID': 'undefined' });
  await ship(first, 5, { note: 'to all' });
  await seen(second, [event('to others'), event('forged'), event('to all')]);
  const own = await seen(first, [event('forged'), event('to all')]);
  assert.ok(!own.some(([, , value]) => value?.note === 'to others'), JSON.stringify(own));
});

test('a tab leaves a channel, listens again after the gateway was away, and ends when it is told to', async (t) => {
  const all = await site(t);
  const page = await tab(t, all, '5', { expected: [/WebSocket connection to/] });
  await hear(page, 'channel', 'news');
  await hear(page, 'private', 'orders.5');
  await seen(page, [['channel', 'open', 'news'], ['private', 'open', 'orders.5']]);
  await page.evaluate(() => window.echo.leave('news'));
  await ship(page, 5, { note: 'one' });
  const after = await seen(page, [['private', 'event', { order: 5, note: 'one' }]]);
  assert.ok(!after.some(([kind, what]) => kind === 'channel' && what === 'event'), JSON.stringify(after));

  const states = await page.evaluateHandle(() => {
    const states = [];
    window.echo.connector.onConnectionChange((state) => states.push(state));
    window.seen = [];
    return states;
  });
  await all.rupor.stop();
  await page.waitForFunction((seen) => seen.includes('reconnecting'), states);
  const again = start(t, all.command);
  await again.waitFor(/listening on|ws:/);
  await seen(page, [['private', 'open', 'orders.5']]);
  await ship(page, 5, { note: 'two' });
  await seen(page, [['private', 'event', { order: 5, note: 'two' }]]);
  await page.evaluate(() => window.echo.disconnect());
  assert.equal(await page.evaluate(() => window.echo.connectionStatus()), 'disconnected');
  assert.equal(await page.evaluate(() => window.echo.socketId()), undefined);
});

test('a text that is no token is not offered, and the page connects once it is one', async (t) => {
  const all = await site(t);
  const page = await open(t, `${all.app.url}/login/5`);
  const warnings = [];
  page.on('console', (message) => warnings.push(message.text()));
  await page.goto(all.app.url);
  await page.waitForFunction(() => window.ready);
  await page.evaluate((host) => {
    let asked = 0;
    window.start(host, async () => (asked++ ? (await fetch('/token')).text() : '<!doctype html><title>Log in</title>'));
  }, all.host);
  await page.waitForFunction(() => window.echo.connectionStatus() === 'connected');
  assert.match(warnings.join(), /no token of the user.*is the user logged in\?/);
  assert.doesNotMatch(warnings.join(), /doctype/);
});

test('what the gateway does not take fails the event, and what it lets nobody into says so', async (t) => {
  const all = await site(t);
  const page = await tab(t, all, '5', { expected: [/status of (403|500)/, /WebSocket connection to/] });
  await all.rupor.stop();
  const answer = await page.evaluate(async () => {
    const response = await fetch('/ship/5', { method: 'POST', headers: { Accept: 'application/json' } });
    return [response.status, (await response.json()).message];
  });
  assert.equal(answer[0], 500);
  assert.match(answer[1], /^not broadcast in news: .*\(unreachable\)$/);

  // Only what begins with private- or presence- gets a token, whatever routes/channels.php says of the name behind it.
  for (const [body, status] of [
    [{ channel_name: 'private-orders.5' }, 200], [{ channel_name: 'orders.5' }, 403], [{ channel_name: 'private-orders.6' }, 403],
    [{ channel_name: ['private-orders.5'] }, 403], [{}, 403], [{ channel_name: 'private-unknown' }, 403],
  ]) {
    const got = await page.evaluate(async (body) => (await fetch('/broadcasting/auth', {
      method: 'POST', headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, body: JSON.stringify(body),
    })).status, body);
    assert.equal(got, status, JSON.stringify(body));
  }
});

test('without any package: Laravel’s own redis broadcaster, through a Redis', async (t) => {
  const place = folder(t);
  const redis = await Redis.start(t);
  const app = await laravel(t, { BROADCAST_CONNECTION: 'redis', REDIS_PORT: `${redis.port}` }, {
    packages: false,
    files: { 'routes/web.php': readFileSync(repository('e2e/laravel/routes/web.php'), 'utf8').replace(/\/\/ The page's token[^]*?\n(?=Route::post)/, '') },
  });
  // Laravel's redis broadcaster signs no tokens, so the rules say whose an order is. The demo's users are those of ?user=.
  const configuration = `
listen = ["127.0.0.1:0"]
origin = ["${app.url}"]
inlet = ["tcp://127.0.0.1:0"]
auth = "none"
[redis]
url = "${redis.url}"
laravel = true
laravel_prefix = ""
[[channel]]
name = "private-orders.{user}"
subscribe = "users"
[[channel]]
name = "news"
subscribe = "anyone"
`;
  writeFileSync(join(place, 'rupor.toml'), configuration);
  const rupor = start(t, ['serve', '--config', join(place, 'rupor.toml')]);
  const [host] = await rupor.waitFor(/ws:\/\/127\.0\.0\.1:[1-9]\d*/);
  // Redis itself says when rupor listens to all of its channels.
  await eventually(() => redis.cli('pubsub', 'numpat'), (count) => count.endsWith('1'), 'rupor to subscribe');

  const plain = { app, host: `${host}/?user=5`, connect: (where) => window.start(where, null) };
  const [owner, other] = [await tab(t, plain, '5'), await tab(t, plain, '5')];
  for (const page of [owner, other]) {
    await hear(page, 'channel', 'news');
    await hear(page, 'private', 'orders.5');
    await seen(page, [['channel', 'open', 'news'], ['private', 'open', 'orders.5']]);
  }
  const event = (note) => ['private', 'event', { order: 5, note, socket: null }];
  await ship(owner, 5, { note: 'to others', others: true });
  await ship(owner, 5, { note: 'to all' });
  const socket = await owner.evaluate(() => window.echo.socketId());
  await seen(other, [['private', 'event', { order: 5, note: 'to others', socket }], event('to all')]);
  const own = await seen(owner, [event('to all')]);
  assert.ok(!own.some(([, , value]) => value?.note === 'to others'), JSON.stringify(own));
});
