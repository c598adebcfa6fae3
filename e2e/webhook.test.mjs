// Handlers behind a webhook: a plain HTTP server of node.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';

import { certificate } from './support/certificate.mjs';
import { block } from './support/document.mjs';
import { open, refusal } from './support/listener.mjs';
import { value } from './support/metrics.mjs';
import { binary, demo, eventually, folder, inTime, run, start } from './support/program.mjs';

const KEY = 'a-key-of-at-least-32-bytes-for-this-test';

/** A webhook that answers what `answer(event, request)` says: commands, or `[status, body, headers]`. Its address, and the events that came. */
async function webhook(t, answer, server = createServer()) {
  const events = [];
  server.on('request', async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const stamp = request.headers['rupor-timestamp'];
    const mac = createHmac('sha256', KEY).update(`${stamp}.${body}`).digest('hex');
    assert.equal(request.headers['rupor-signature'], `v1=${mac}`);
    assert.ok(Math.abs(Date.now() / 1000 - Number(stamp)) < 60);
    const event = JSON.parse(body);
    events.push(event);
    const commands = await answer(event, request);
    const [status, text, headers] = commands && typeof commands[0] === 'number' ? commands : [200, JSON.stringify(commands ?? [])];
    response.writeHead(status, headers).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { events, address: `127.0.0.1:${server.address().port}` };
}

/** `rupor demo` before a webhook. */
const withHook = (t, url, flags = [], env = {}) =>
  demo(t, ['--webhook-url', url, ...flags], { env: { RUPOR_WEBHOOK_KEY: KEY, ...env } });

const send = (message) => ({ do: 'send', message });
const count = (rupor, result) => value(rupor, `rupor_call_events_total{to="webhook",pool="*",result="${result}"}`);

test('a webhook is told of connections, messages and closes, signed, and answers commands', async (t) => {
  const { address, events } = await webhook(t, ({ event, type, message }) => {
    if (event === 'open') return [{ do: 'subscribe', channel: 'chat' }, { do: 'user', user: 'anna' }, { do: 'attach', value: [7] }];
    if (type === 'binary') return [{ do: 'send_binary', message }];
    if (message === 'close') return [{ do: 'close', code: 4001, reason: 'enough' }];
    return event === 'message' ? [{ channel: 'chat', message: `said ${message}` }] : [];
  });
  const rupor = await withHook(t, `http://${address}/ws`);
  const anna = await open(t, rupor, '/room?x=1', { headers: { Cookie: 'session=4sk3' } });
  anna.ws.send('привет');
  assert.deepEqual(await anna.messages(1), ['said привет']);
  anna.ws.send(Buffer.from([1, 2, 255]));
  assert.deepEqual((await anna.messages(2))[1], Buffer.from([1, 2, 255]));
  anna.ws.send('close');
  assert.deepEqual(await inTime(anna.closed, 'the close'), { code: 4001, reason: 'enough' });
  await eventually(() => events.length, (length) => length === 5, 'the close event');
  const [opened, message, binary, , closed] = events;
  assert.deepEqual(
    { ...opened, headers: Object.fromEntries(opened.headers).cookie, connection: opened.connection.length, remote: opened.remote.split(':')[0] },
    { event: 'open', target: '/room?x=1', headers: 'session=4sk3', connection: 16, remote: '127.0.0.1', secure: false, user: null },
  );
  const { event, user, attached, type } = message;
  assert.deepEqual({ event, user, attached, type, message: message.message }, {
    event: 'message', user: 'anna', attached: [7], type: 'text', message: 'привет',
  });
  assert.equal(binary.message, Buffer.from([1, 2, 255]).toString('base64'));
  assert.deepEqual([closed.event, closed.code, closed.reason, closed.clean], ['close', 4001, 'enough', true]);
});

test('the server of docs/howto/webhook.md answers, and believes nobody else', async (t) => {
  const code = block('docs/howto/webhook.md', 'run: server');
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  const cwd = folder(t);
  writeFileSync(join(cwd, 'webhook.key'), `${KEY}\n`);
  writeFileSync(join(cwd, 'server.mjs'), code.replace('8080', port));
  start(t, ['server.mjs'], { program: process.execPath, cwd });
  const url = `http://127.0.0.1:${port}/ws`;
  const forged = () => fetch(url, { method: 'POST', body: '{}', headers: { 'rupor-signature': 'v1=00' } }).then(({ status }) => status, () => 0);
  await eventually(forged, (status) => status === 401, 'the server');
  const rupor = await demo(t, ['--webhook-url', url, '--webhook-key-file', join(cwd, 'webhook.key')]);
  const listener = await open(t, rupor);
  listener.ws.send('hi');
  assert.deepEqual(await listener.messages(1), ['you said hi']);
});

test('a webhook decides about upgrades where it is asked', async (t) => {
  const { address } = await webhook(t, ({ event, target }) => {
    if (event === 'upgrade') return target.includes('refuse') ? [{ do: 'refuse', status: 402, reason: 'pay first' }] : [{ do: 'user', user: 'clara' }];
    return [{ user: 'clara', message: 'to clara' }];
  });
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-events', 'upgrade', '--webhook-events', 'message']);
  assert.equal((await refusal(t, `ws://${rupor.browsers}/refuse`)).status, 402);
  const clara = await open(t, rupor);
  clara.ws.send('x');
  assert.deepEqual(await clara.messages(1), ['to clara']);
});

test('a webhook hears that what it wanted was refused, where it asks to', async (t) => {
  const { address, events } = await webhook(t, ({ event }) => (event === 'message' ? [{ do: 'subscribe', channel: 'no name' }] : []));
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-events', 'refused', '--webhook-events', 'message']);
  const anna = await open(t, rupor);
  anna.ws.send('x');
  await eventually(() => events.length, (length) => length === 2, 'the refusal');
  const { event, command, name, code, error } = events[1];
  assert.deepEqual([event, command, name, code], ['refused', 'subscribe', 'no name', 'bad_channel_name']);
  assert.match(error, /^a channel's name is/);
});

test('connections are kept, and events of one connection keep their order', async (t) => {
  const sockets = new Set();
  const { address } = await webhook(t, ({ event, message }, request) => {
    sockets.add(request.socket);
    return event === 'message' ? [send(message)] : [];
  });
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-calls', '3', '--messages-per-second', '0']);
  const listeners = await Promise.all(Array.from({ length: 5 }, () => open(t, rupor)));
  const texts = Array.from({ length: 100 }, (_, n) => String(n));
  for (const text of texts) for (const { ws } of listeners) ws.send(text);
  for (const listener of listeners) assert.deepEqual(await listener.messages(100), texts);
  // A connection is sometimes asked for a moment before the last one is free again.
  assert.ok(sockets.size <= 100, `${sockets.size} connections for 505 calls`);
});

test('errors, redirects and silence fail the event, and the connection stays', async (t) => {
  const { address, events } = await webhook(t, async ({ message }) => {
    if (message === 'error') return [500, 'as told'];
    if (message === 'redirect') return [302, '', { location: '/elsewhere' }];
    if (message === 'silence') await new Promise((resolve) => setTimeout(resolve, 3000).unref());
    if (message === 'long') return [200, 'x'.repeat(5 << 20)];
    return message === 'html' ? [200, '<html>'] : [send('fine')];
  });
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-timeout', '1s', '--webhook-events', 'message']);
  const listener = await open(t, rupor);
  for (const message of ['error', 'redirect', 'silence', 'long', 'html', 'good']) listener.ws.send(message);
  assert.deepEqual(await listener.messages(1), ['fine']);
  assert.equal(await count(rupor, 'failed'), 4);
  assert.equal(events.length, 6, 'each was told once');
  await rupor.waitFor(/answers 500 Internal Server Error: as told/);
  await rupor.waitFor(/302 Found, and redirects are not followed\. Fix: /);
  await rupor.waitFor(/did not answer within 1 s \(webhook\.timeout\)/);
  await rupor.waitFor(/longer than 4194304 bytes/);
  await rupor.waitFor(/no JSON array of commands.*<html>/);
});

test('a close is told again when it was not heard', async (t) => {
  let tries = 0;
  const { address, events } = await webhook(t, () => ((tries += 1) === 1 ? [503, 'not now'] : []));
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-events', 'close']);
  const listener = await open(t, rupor);
  listener.ws.close(1000, 'done');
  await eventually(() => events.length, (length) => length === 2, 'the second try');
  assert.deepEqual(events[0], events[1]);
  await eventually(() => count(rupor, 'handled'), (handled) => handled === 1, 'it to be handled');
  assert.equal(await count(rupor, 'failed'), 0);
});

test('a close that is never heard is told four times, then given up and counted', { timeout: 60_000 }, async (t) => {
  let last;
  const gaveUp = new Promise((resolve) => (last = resolve));
  const { address, events } = await webhook(t, ({ event }) => {
    if (event !== 'close') return [send('fine')];
    if (events.filter((told) => told.event === 'close').length === 4) last();
    return [503, 'not now'];
  });
  const rupor = await withHook(t, `http://${address}/`, ['--webhook-events', 'close', '--webhook-events', 'message']);
  const gone = await open(t, rupor);
  gone.ws.close(4000, 'done');
  // What is told again holds up nobody else.
  const stays = await open(t, rupor);
  stays.ws.send('x');
  assert.deepEqual(await stays.messages(1), ['fine']);
  for (const seconds of [1, 5, 25]) await rupor.waitFor(new RegExp(`told the webhook again in ${seconds} s: .*503`));
  assert.equal(await count(rupor, 'failed'), 0);
  await gaveUp;
  await eventually(() => count(rupor, 'failed'), (failed) => failed === 1, 'it to be counted');
  await rupor.waitFor(/event="close".*an event failed and is not tried again|an event failed and is not tried again.*close/);
  const closes = events.filter(({ event }) => event === 'close');
  assert.equal(closes.length, 4);
  for (const close of closes) assert.deepEqual(close, closes[0]);
  assert.equal(await count(rupor, 'handled'), 1);
  stays.ws.send('y');
  assert.deepEqual(await stays.messages(2), ['fine', 'fine']);
});

test('https is checked against the roots of the system', async (t) => {
  const { cert, key } = await certificate(folder(t), 'webhook');
  const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) });
  const { address } = await webhook(t, ({ event }) => (event === 'message' ? [send('secure')] : []), server);
  const url = `https://localhost:${address.split(':')[1]}/`;
  const known = await withHook(t, url, [], { SSL_CERT_FILE: cert });
  const listener = await open(t, known);
  listener.ws.send('x');
  assert.deepEqual(await listener.messages(1), ['secure']);
  const stranger = await withHook(t, url, ['--webhook-failed-event', 'close']);
  const refused = await open(t, stranger);
  assert.equal((await inTime(refused.closed, 'the close')).code, 1011);
  await stranger.waitFor(/the webhook cannot be reached: .*UnknownIssuer. Fix: .*SSL_CERT_FILE/);
  const flags = ['--auth', 'none', '--inlet', 'tcp://127.0.0.1:0', '--listen', '127.0.0.1:0', '--webhook-url', url];
  const { stdout } = await run(binary, ['doctor', ...flags], { env: { RUPOR_WEBHOOK_KEY: KEY }, cwd: folder(t) });
  assert.match(stdout, /^problem +webhook: .*UnknownIssuer\n +Fix: .*SSL_CERT_FILE/m);
});
