// Handlers in php-fpm: the real one of the system, with a pool and a socket of this test.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { block } from './support/document.mjs';
import { fpm } from './support/fpm.mjs';
import { ask, open, refusal } from './support/listener.mjs';
import { counted, value } from './support/metrics.mjs';
import { demo, folder, inTime, repository } from './support/program.mjs';

const SCRIPT = repository('e2e/support/fpm.php');

/** php-fpm, and `rupor demo` before it. */
async function withFpm(t, flags = [], { script = SCRIPT, ...options } = {}) {
  const socket = await fpm(t, options);
  return demo(t, ['--fpm', script, '--fpm-address', `unix://${socket}`, ...flags]);
}

test('the script of docs/howto/php-fpm.md is a chat', async (t) => {
  const code = block('docs/howto/php-fpm.md', 'run: fpm');
  const place = folder(t);
  const script = join(place, 'ws.php');
  writeFileSync(script, code);
  const rupor = await withFpm(t, [], { script });
  const anna = await open(t, rupor);
  const boris = await open(t, rupor);
  await counted(rupor, 'rupor_subscriptions', 2);
  anna.ws.send('hi');
  assert.deepEqual(await boris.messages(1), ['hi']);
  assert.deepEqual(await anna.messages(1), ['hi']);
});

test('the pool of the distribution will do as it is', async (t) => {
  const rupor = await withFpm(t, [], { isStock: true });
  const listeners = await Promise.all(Array.from({ length: 6 }, () => open(t, rupor)));
  for (const listener of listeners) assert.equal(await ask(listener, 'say stock'), 'stock');
});

test('a script sees the request that opened the connection, its messages and its end', async (t) => {
  const rupor = await withFpm(t);
  const watcher = await open(t, rupor, '/?user=watcher&channel=closes');
  const headers = { 'User-Agent': 'ws/1', Cookie: 'session=4sk3; other=1', Proxy: 'http://evil.example/', 'X_Forged': '1' };
  const anna = await open(t, rupor, '/room/7?user=anna&about[]=1', { headers });
  assert.deepEqual(JSON.parse((await anna.messages(1))[0]), {
    uri: '/room/7?user=anna&about[]=1',
    script: '/fpm.php',
    get: { user: 'anna', about: ['1'] },
    post: [],
    cookie: { session: '4sk3', other: '1' },
    agent: 'ws/1',
    proxy: null,
    remote: '127.0.0.1',
    user: 'anna',
    connection: 16,
  });
  assert.equal(await ask(anna, 'say привет & co=1'), 'привет & co=1');
  anna.ws.send(Buffer.from([1, 2, 255]));
  assert.deepEqual((await anna.messages(3))[2], Buffer.from([255, 2, 1]));
  anna.ws.send('close enough');
  assert.deepEqual(await inTime(anna.closed, 'the close'), { code: 4001, reason: 'enough' });
  assert.deepEqual(await watcher.messages(1), ['4001 enough 1']);
});

test('a script sends to users and channels, and says who somebody is', async (t) => {
  const rupor = await withFpm(t);
  const anna = await open(t, rupor, '/?user=anna');
  const nobody = await open(t, rupor);
  assert.equal(await ask(nobody, 'who'), 'nobody');
  nobody.ws.send('user boris');
  nobody.ws.send('attach 7 of hearts');
  nobody.ws.send('join news');
  assert.equal(await ask(nobody, 'who'), 'boris');
  assert.equal(await ask(nobody, 'attached'), '7 of hearts');
  anna.ws.send('to boris hello');
  anna.ws.send('channel news first');
  assert.deepEqual((await nobody.messages(5)).slice(3), ['hello', 'first']);
});

test('a script decides about upgrades where it is asked', async (t) => {
  const rupor = await withFpm(t, ['--fpm-events', 'upgrade', '--fpm-events', 'message']);
  assert.equal((await refusal(t, `ws://${rupor.browsers}/?refuse=1`)).status, 401);
  const member = await open(t, rupor, '/?as=clara');
  assert.equal(await ask(member, 'who'), 'clara');
  const other = await open(t, rupor);
  other.ws.send('channel members hello');
  assert.deepEqual((await member.messages(2))[1], 'hello');
});

test('a script hears that what it wanted was refused, where it asks to', async (t) => {
  const rupor = await withFpm(t, ['--fpm-events', 'message', '--fpm-events', 'refused', '--subscriptions-per-connection-max', '1']);
  const anna = await open(t, rupor, '/?user=anna');
  for (const message of ['join one', 'join two', 'user boris']) anna.ws.send(message);
  const refused = await anna.messages(2);
  assert.match(refused[0], /^refused subscribe two: too_many_subscriptions, this connection has as many/);
  assert.match(refused[1], /^refused user boris: another_user, /);
  // What it wants when it hears so may be refused, too, and that is the end of it.
  anna.ws.send('join again');
  assert.match((await anna.messages(3))[2], /^refused subscribe again: /);
  assert.equal(await ask(anna, 'say on'), 'on');
  await counted(rupor, 'rupor_call_events_total{to="fpm",pool="*",result="handled"}', 8);
});

test('events of a connection keep their order while others are handled beside it', async (t) => {
  const rupor = await withFpm(t, ['--messages-per-second', '0']);
  const slow = await open(t, rupor);
  const fast = await open(t, rupor);
  slow.ws.send('slow 0');
  for (let n = 1; n < 300; n += 1) slow.ws.send(`say ${n}`);
  assert.equal(await ask(fast, 'say first'), 'first');
  assert.ok(slow.received.length < 300);
  const answers = await slow.messages(300);
  assert.deepEqual(answers, Array.from({ length: 300 }, (_, n) => String(n)));
});

test('connections to php-fpm are kept, have a limit, and are closed when idle', async (t) => {
  const rupor = await withFpm(t, ['--fpm-connections', '2']);
  const listeners = await Promise.all(Array.from({ length: 6 }, () => open(t, rupor)));
  const pids = new Set();
  for (let round = 0; round < 5; round += 1) {
    for (const pid of await Promise.all(listeners.map((listener) => ask(listener, 'pid')))) pids.add(pid);
  }
  assert.ok(pids.size <= 2, `${pids.size} processes had a connection`);
  assert.ok((await value(rupor, 'rupor_fpm_connections{pool="*"}')) <= 2);
  await counted(rupor, 'rupor_fpm_connections{pool="*"}', 0);
  assert.equal(await ask(listeners[0], 'say again'), 'again');
});

test('processes of php-fpm that end after a while lose no event', async (t) => {
  const rupor = await withFpm(t, [], { children: 2, more: 'pm.max_requests = 5\n' });
  const listener = await open(t, rupor);
  for (let n = 0; n < 60; n += 1) assert.equal(await ask(listener, `say ${n}`), String(n));
  assert.equal(await value(rupor, 'rupor_call_events_total{to="fpm",pool="*",result="failed"}'), 0);
});

for (const [how, log, flags] of [
  ['throw', /failed with status 500: PHP message: PHP Fatal error:.*RuntimeException: as told/, []],
  ['hang', /took longer than fpm\.timeout/, ['--fpm-timeout', '1s']],
  ['die', /no answer of php-fpm: its process ended/, []],
  ['long', /the answer is longer than 4194304 bytes/, []],
]) {
  test(`${how}: the event is counted and logged, and the connection stays`, async (t) => {
    const rupor = await withFpm(t, flags);
    const listener = await open(t, rupor);
    listener.ws.send(how);
    assert.equal(await ask(listener, 'say still here'), 'still here');
    assert.equal(await value(rupor, 'rupor_call_events_total{to="fpm",pool="*",result="failed"}'), 1);
    await rupor.waitFor(log);
  });
}

test('an answer that cannot be carried out is logged, and the rest of it is done', async (t) => {
  const rupor = await withFpm(t);
  const listener = await open(t, rupor);
  assert.equal(await ask(listener, 'wrong'), 'after');
  listener.ws.send('print');
  listener.ws.send('exit');
  assert.equal(await ask(listener, 'say on'), 'on');
  await rupor.waitFor(/unknown variant `dance`/);
  await rupor.waitFor(/no JSON array of commands.*<b>Warning<\/b>: no JSON/);
  await counted(rupor, 'rupor_call_answers_wrong_total{to="fpm",pool="*"}', 2);
});

test('a connection can be closed when its event failed', async (t) => {
  const rupor = await withFpm(t, ['--fpm-failed-event', 'close']);
  const listener = await open(t, rupor);
  listener.ws.send('throw');
  assert.deepEqual(await inTime(listener.closed, 'the close'), { code: 1011, reason: 'the handlers failed' });
});

test('over TCP, and what is not there is named with the fix', async (t) => {
  const port = 20000 + (process.pid % 10000);
  await fpm(t, { listen: `127.0.0.1:${port}` });
  const rupor = await demo(t, ['--fpm', SCRIPT, '--fpm-address', `tcp://127.0.0.1:${port}`]);
  const listener = await open(t, rupor);
  assert.equal(await ask(listener, 'say tcp'), 'tcp');
  const absent = await demo(t, ['--fpm', SCRIPT, '--fpm-address', 'unix:///nowhere.sock', '--fpm-failed-event', 'close']);
  const lost = await open(t, absent);
  assert.equal((await inTime(lost.closed, 'the close')).code, 1011);
  await absent.waitFor(/php-fpm cannot be reached at unix:\/\/\/nowhere\.sock: .*Fix: start it, or name its address with --fpm-address/);
});

test('what waits at the end is handled', async (t) => {
  const rupor = await withFpm(t, ['--drain', '100ms']);
  const watcher = await open(t, rupor, '/?channel=closes');
  const anna = await open(t, rupor);
  anna.ws.send('slow 1');
  rupor.child.kill('SIGTERM');
  await inTime(Promise.all([anna.closed, watcher.closed]), 'the closes');
  assert.equal((await inTime(rupor.exited, 'the end')).code, 0);
  assert.doesNotMatch(rupor.output, /did not handle all|event failed/);
});
