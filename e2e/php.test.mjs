// Handlers in PHP behind the gateway: real PHP processes, browsers played by `ws`. What ends a process ends no connection.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ask, open, refusal } from './support/listener.mjs';
import { counted, value } from './support/metrics.mjs';
import { demo, eventually, folder, inTime, repository, run } from './support/program.mjs';

const HANDLERS = repository('e2e/support/handlers.php');

/** `rupor demo` with handlers in PHP. */
const withPhp = (t, flags = [], { script = HANDLERS, env } = {}) => demo(t, ['--php', script, ...flags], { env });

test('a handler is told of the connection, its messages and its end', async (t) => {
  const rupor = await withPhp(t);
  const watcher = await open(t, rupor, '/?user=watcher&channel=closes');
  const headers = { 'User-Agent': 'ws/1', Cookie: 'session=4sk3; other=1' };
  const anna = await open(t, rupor, '/room/7?user=anna&about=1', { headers });
  const { id, ...about } = JSON.parse((await anna.messages(1))[0]);
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.deepEqual(about, {
    worker: 0, path: '/room/7', query: '1', agent: 'ws/1', cookie: '4sk3', user: 'anna',
  });
  assert.equal(await ask(anna, 'say привет'), 'привет');
  anna.ws.send(Buffer.from([1, 2, 255]));
  assert.deepEqual((await anna.messages(3))[2], Buffer.from([255, 2, 1]));
  anna.ws.send('close enough');
  assert.deepEqual(await inTime(anna.closed, 'the close'), { code: 4001, reason: 'enough' });
  assert.deepEqual(await watcher.messages(1), ['anna 4001 enough']);
});

test('a handler sends to users and channels, and asks who is online', async (t) => {
  const rupor = await withPhp(t);
  const anna = await open(t, rupor, '/?user=anna');
  const nobody = await open(t, rupor);
  assert.equal(await ask(anna, 'online boris'), 'no');
  nobody.ws.send('user boris');
  await eventually(() => ask(anna, 'online boris'), (answer) => answer === 'yes', 'boris');
  anna.ws.send('to boris hello');
  assert.deepEqual(await nobody.messages(1), ['hello']);
  nobody.ws.send('join news');
  assert.equal(await ask(nobody, 'say joined'), 'joined');
  anna.ws.send('channel news first');
  assert.equal((await nobody.messages(3))[2], 'first');
  nobody.ws.send('leave news');
  assert.equal(await ask(nobody, 'say left'), 'left');
  anna.ws.send('channel news second');
  assert.equal(await ask(anna, 'say after'), 'after');
  assert.equal(await ask(nobody, 'say nothing'), 'nothing');
});

// It was answered with 0, so that "nobody has this name" and "nobody can have it" were the same.
test('a question for a name that nobody can have is an error', async (t) => {
  const rupor = await withPhp(t);
  const anna = await open(t, rupor, '/?channel=a-b');
  assert.equal(await ask(anna, 'subscribers a-b'), '1');
  assert.equal(await ask(anna, 'subscribers a-c'), '0');
  anna.ws.send('subscribers a b');
  assert.equal((await inTime(anna.closed, 'the close')).code, 1011);
  await rupor.waitFor(/RuntimeException: a channel's name is/);
  const boris = await open(t, rupor);
  boris.ws.send('online ');
  assert.equal((await inTime(boris.closed, 'the close')).code, 1011);
  await rupor.waitFor(/RuntimeException: a user's name is/);
});

test('a handler hears that what it wanted was refused', async (t) => {
  const rupor = await withPhp(t, ['--subscriptions-per-connection-max', '2']);
  const anna = await open(t, rupor, '/?user=anna');
  for (const channel of ['one', 'two', 'three']) anna.ws.send(`join ${channel}`);
  anna.ws.send('join no name');
  anna.ws.send('user boris');
  const refused = await anna.messages(3);
  assert.match(refused[0], /^refused subscribe three: too_many_subscriptions, this connection has as many/);
  assert.match(refused[1], /^refused subscribe no name: bad_channel_name, a channel's name is/);
  assert.match(refused[2], /^refused user boris: another_user, /);
  assert.equal(await ask(anna, 'say on'), 'on');
  assert.equal(await value(rupor, 'rupor_php_commands_refused_total{pool="*"}'), 3);
});

test('a handler refuses upgrades, and says who comes', async (t) => {
  const rupor = await withPhp(t);
  assert.equal((await refusal(t, `ws://${rupor.browsers}/?refuse=1`)).status, 403);
  const member = await open(t, rupor, '/?as=clara&about=1');
  assert.equal(JSON.parse((await member.messages(1))[0]).user, 'clara');
  const other = await open(t, rupor);
  other.ws.send('channel members hello');
  other.ws.send('to clara again');
  assert.deepEqual((await member.messages(3)).slice(1), ['hello', 'again']);
});

test('what a handler prints is logged and hurts nobody', async (t) => {
  const rupor = await withPhp(t);
  const anna = await open(t, rupor);
  anna.ws.send('print a stray "echo" \u001b[31m');
  assert.equal(await ask(anna, 'say unharmed'), 'unharmed');
  await rupor.waitFor(/php: a stray "echo" \\u\{1b\}\[31m/);
  anna.ws.send('throw');
  assert.equal((await inTime(anna.closed, 'the close')).code, 1011);
  await rupor.waitFor(/RuntimeException: as told/);
  assert.equal(await value(rupor, 'rupor_php_events_failed_total{pool="*"}'), 0);
});

for (const [how, reason, flags] of [
  ['exit', 'died', []],
  ['memory', 'died', []],
  ['hang', 'exec_ttl', ['--php-exec-ttl', '1s']],
  ['garbage', 'not_frames', []],
  ['kill', 'died', []],
]) {
  test(`${how}: the process ends, the connection stays, and the event is counted`, async (t) => {
    const rupor = await withPhp(t, flags);
    const anna = await open(t, rupor, '/?user=anna');
    anna.ws.send('attach 7 of hearts');
    const first = await ask(anna, 'pid');
    if (how === 'kill') process.kill(Number(first), 'SIGKILL');
    else anna.ws.send(how);
    assert.deepEqual((await anna.messages(2))[1], 'resumed "7 of hearts"');
    assert.notEqual(await ask(anna, 'pid'), first);
    await counted(rupor, `rupor_php_worker_ends_total{pool="*",reason="${reason}"}`, 1);
    const failed = await value(rupor, 'rupor_php_events_failed_total{pool="*"}');
    assert.ok(how === 'kill' ? failed <= 1 : failed === 1, `${failed} failed`);
    assert.equal(await value(rupor, 'rupor_connections'), 1);
  });
}

test('events wait for a process that does not read, and come in their order', async (t) => {
  const rupor = await withPhp(t, ['--messages-per-second', '0']);
  const anna = await open(t, rupor);
  const pid = Number(await ask(anna, 'pid'));
  process.kill(pid, 'SIGSTOP');
  t.after(() => process.kill(pid, 'SIGCONT'));
  const count = 10_000;
  for (let n = 0; n < count; n += 1) anna.ws.send(`say ${n}`);
  const waiting = () => value(rupor, 'rupor_php_events_waiting{pool="*"}');
  await eventually(waiting, (events) => events > count - 200, 'the events to wait');
  process.kill(pid, 'SIGCONT');
  const answers = (await anna.messages(count + 1)).slice(1);
  assert.deepEqual(answers, Array.from({ length: count }, (_, n) => String(n)));
});

test('who finds no room is closed with 1013 and counted', async (t) => {
  const rupor = await withPhp(t, ['--php-queue-events-max', '100']);
  const anna = await open(t, rupor);
  const pid = Number(await ask(anna, 'pid'));
  process.kill(pid, 'SIGSTOP');
  t.after(() => process.kill(pid, 'SIGCONT'));
  for (let n = 0; n < 500; n += 1) anna.ws.send(`say ${n}`);
  assert.equal((await inTime(anna.closed, 'the close')).code, 1013);
  assert.equal(await value(rupor, 'rupor_php_events_dropped_total{pool="*",event="message"}'), 1);
});

test('all events of a connection go to one of several processes, in order', async (t) => {
  const rupor = await withPhp(t, ['--php-workers', '3']);
  const listeners = await Promise.all(Array.from({ length: 20 }, () => open(t, rupor)));
  const workers = new Set();
  for (const listener of listeners) {
    const worker = await ask(listener, 'worker');
    workers.add(worker);
    assert.equal(await ask(listener, 'worker'), worker);
  }
  assert.deepEqual([...workers].sort(), ['0', '1', '2']);
  const of = (worker) => listeners.filter(({ received }) => received[0] === worker);
  const [teller] = of('1');
  teller.ws.send('tell so');
  for (const listener of [...of('0'), ...of('2')]) {
    assert.equal((await listener.messages(3))[2], 'worker 1 told: so');
  }
  assert.equal(await ask(teller, 'say alone'), 'alone');
});

test('a room has its process', async (t) => {
  const rupor = await withPhp(t, ['--php-num-workers', '4', '--php-key', 'path']);
  for (const room of ['/a', '/b', '/c']) {
    const [first, second] = await Promise.all([open(t, rupor, room), open(t, rupor, room)]);
    assert.equal(await ask(first, 'pid'), await ask(second, 'pid'));
  }
});

test('the site writes lines to the handlers, and gets their replies', async (t) => {
  const at = folder(t);
  const socket = join(at, 'lines.sock');
  const rupor = await withPhp(t, ['--php-workers', '2', '--php-lines', 'tcp://127.0.0.1:0', '--php-lines', `unix://${socket}`]);
  const [, port] = await rupor.waitFor(/lines for handlers on tcp:\/\/127\.0\.0\.1:(\d+)/);
  const listener = await open(t, rupor, '/?user=anna&channel=lines');
  const replied = await run('php', ['-r', `
    $socket = stream_socket_client('tcp://127.0.0.1:${port}');
    fwrite($socket, "who anna\\r\\n\\nwho nobody\\n");
    stream_socket_shutdown($socket, STREAM_SHUT_WR);
    echo stream_get_contents($socket);`]);
  assert.deepEqual(replied, { code: 0, stdout: 'yes\nno\n', stderr: '' });
  assert.deepEqual(await listener.messages(2), ['1 who anna', '1 who nobody']);
  // Writes and goes away, without a line end.
  await run('php', ['-r', `fwrite(stream_socket_client('unix://${socket}'), str_repeat("x\\n", 500) . 'last');`]);
  const lines = (await listener.messages(503)).slice(2);
  assert.deepEqual(lines, [...Array(500).fill('2 x'), '2 last']);
  const taken = await run(process.env.RUPOR_BIN ?? repository('target/release/rupor'), [
    'demo', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0', '--php', HANDLERS, '--php-lines', `tcp://127.0.0.1:${port}`]);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /choose another port with --php-lines/);
});

test('a timer ticks', async (t) => {
  const rupor = await withPhp(t, [], { env: { TICKS: '1' } });
  const listener = await open(t, rupor, '/?channel=ticks');
  for (const tick of await listener.messages(3)) assert.match(tick, /^tick \d+$/);
});

// It was ignored without a word. The library asks for no such timer, so these handlers speak the protocol themselves.
test('a timer out of its limits is logged and counted, and does not end the worker', async (t) => {
  const script = join(folder(t), 'timer.php');
  writeFileSync(script, `<?php
$gateway = fopen('php://fd/3', 'r+');
$hello = json_encode(['protocol' => 1, 'timer_ms' => [9, 10, 3600000, 3600001][getenv('RUPOR_WORKER')]]);
fwrite($gateway, pack('NCJ', 9 + strlen($hello), 65, 0) . $hello);
while (fread($gateway, 8192) !== '');
`);
  const rupor = await withPhp(t, ['--php-workers', '4'], { script });
  await rupor.waitFor(/no timer: timer_ms is not from 10 to 3600000\. Fix: .*worker=0 timer_ms=9\b/);
  await rupor.waitFor(/no timer: .*worker=3 timer_ms=3600001/);
  await counted(rupor, 'rupor_php_commands_refused_total{pool="*"}', 2);
  await counted(rupor, 'rupor_php_workers{pool="*"}', 4);
});

test('SIGHUP reads the handlers again, and no connection and no message is lost', async (t) => {
  const at = folder(t);
  const script = join(at, 'handlers.php');
  const version = (n) => `<?php require '${repository('clients/php/rupor.php')}';
    (new Rupor\\Worker)->onMessage(fn ($connection, $message) => $connection->send("$message by ${n}"))->run();`;
  writeFileSync(script, version(0));
  const rupor = await withPhp(t, ['--php-watch=false'], { script });
  const listeners = await Promise.all(Array.from({ length: 5 }, () => open(t, rupor)));
  let sent = 0;
  for (let n = 1; n <= 100; n += 1) {
    writeFileSync(script, version(n));
    rupor.child.kill('SIGHUP');
    while (!listeners[0].received.at(-1)?.endsWith(`by ${n}`)) {
      for (const { ws } of listeners) ws.send(String(sent));
      sent += 1;
      await listeners[0].messages(sent);
    }
  }
  for (const listener of listeners) {
    const answers = await listener.messages(sent);
    assert.deepEqual(answers.map((text) => Number(text.split(' ')[0])), Array.from({ length: sent }, (_, n) => n));
    assert.match(await ask(listener, 'last'), /by 100$/);
  }
  writeFileSync(script, '<?php typo(');
  rupor.child.kill('SIGHUP');
  await rupor.waitFor(/PHP cannot read the handlers: .*handlers\.php/);
  assert.match(await ask(listeners[0], 'still'), /by 100$/);
  assert.equal(await value(rupor, 'rupor_opened_total'), 5);
  assert.equal(await value(rupor, 'rupor_php_events_failed_total{pool="*"}'), 0);
});

test('saved code runs, and no connection notices', async (t) => {
  const at = folder(t);
  const script = join(at, 'handlers.php');
  writeFileSync(script, `<?php require '${repository('clients/php/rupor.php')}'; require 'lib/answer.php';
    (new Rupor\\Worker)->onMessage(fn ($connection, $message) => $connection->send(answer($message)))->run();`);
  mkdirSync(join(at, 'lib'));
  const save = (word) => writeFileSync(join(at, 'lib/answer.php'), `<?php function answer($message) { return "${word} $message"; }`);
  save('old');
  const rupor = await withPhp(t, [], { script });
  const anna = await open(t, rupor);
  assert.equal(await ask(anna, 'code'), 'old code');
  save('newer');
  await eventually(() => ask(anna, 'code'), (answer) => answer === 'newer code', 'the new code');
  await rupor.waitFor(/a PHP file has changed/);
  save('"; } typo( "');
  await rupor.waitFor(/PHP cannot read the handlers: .*answer\.php/);
  assert.equal(await ask(anna, 'code'), 'newer code', 'code that cannot run replaced what ran');
  save('newest');
  await eventually(() => ask(anna, 'code'), (answer) => answer === 'newest code', 'the code that was mended');
  assert.equal(await value(rupor, 'rupor_php_worker_ends_total{pool="*",reason="reload"}'), 2);
  assert.equal(await value(rupor, 'rupor_opened_total'), 1);
});

test('a process is replaced after its jobs, and over its memory', async (t) => {
  const rupor = await withPhp(t, ['--php-max-jobs', '50', '--php-max-worker-memory', '100MiB']);
  const anna = await open(t, rupor);
  const texts = Array.from({ length: 200 }, (_, n) => String(n));
  for (const text of texts) anna.ws.send(`say ${text}`);
  await eventually(() => anna.received.filter((text) => /^\d+$/.test(text)).length, (n) => n === 200, 'all answers');
  assert.deepEqual(anna.received.filter((text) => /^\d+$/.test(text)), texts);
  await eventually(() => value(rupor, 'rupor_php_worker_ends_total{pool="*",reason="max_jobs"}'), (n) => n >= 1, 'a replacement');
  for (let n = 0; n < 3; n += 1) anna.ws.send('leak');
  await eventually(
    () => value(rupor, 'rupor_php_worker_ends_total{pool="*",reason="max_worker_memory"}'), (n) => n >= 1, 'a replacement');
  assert.equal(await value(rupor, 'rupor_php_events_failed_total{pool="*"}'), 0);
});

test('a connection whose opening ends processes is closed, and the others go on', async (t) => {
  const rupor = await withPhp(t);
  const anna = await open(t, rupor);
  const poison = await open(t, rupor, '/?open=exit');
  assert.equal((await inTime(poison.closed, 'the close')).code, 1011);
  await eventually(() => ask(anna, 'say here'), (answer) => answer === 'here', 'an answer');
});

test('a connection can be closed when its event failed', async (t) => {
  const rupor = await withPhp(t, ['--php-failed-event', 'close']);
  const anna = await open(t, rupor);
  const boris = await open(t, rupor);
  anna.ws.send('exit');
  assert.deepEqual(await inTime(anna.closed, 'the close'), { code: 1011, reason: 'the handlers failed' });
  await eventually(() => ask(boris, 'say here'), (answer) => answer === 'here', 'an answer');
});

test('handlers that cannot run are named with the fix', async (t) => {
  const at = folder(t);
  const wrong = join(at, 'wrong.php');
  writeFileSync(wrong, '<?php this is no PHP');
  const broken = await withPhp(t, [], { script: wrong });
  await broken.waitFor(/Parse error.*\n(.*\n)*.*the PHP worker ended before it was ready\. Fix:/);
  const absent = await withPhp(t, ['--php-binary', 'no-such-php']);
  await absent.waitFor(/there is no program no-such-php to run the handlers\. Fix: install PHP/);
  const response = await refusal(t, `ws://${absent.browsers}/`);
  assert.equal(response.status, 503);
});

test('while no process starts, who needs one is told at once; mended handlers go on with who stayed', async (t) => {
  const at = folder(t);
  const script = join(at, 'handlers.php');
  const broken = '<?php this is no PHP';
  const whole = `<?php require '${repository('clients/php/rupor.php')}'; $opened = 0;
    (new Rupor\\Worker)->onOpen(function () use (&$opened) { $opened++; })
      ->onMessage(function ($connection) use (&$opened) { $connection->send("$opened opened"); })->run();`;
  writeFileSync(script, broken);
  const rupor = await withPhp(t, ['--php-watch=false'], { script });
  await rupor.waitFor(/5 PHP processes in a row ended before they handled one event.*Fix:/);
  // Nobody has said yet whether upgrades are to be asked about.
  assert.equal((await refusal(t, `ws://${rupor.browsers}/`)).status, 503);
  assert.equal(await value(rupor, 'rupor_php_workers_failing{pool="*"}'), 1);
  const ready = () => fetch(`http://${rupor.browsers}/readyz`).then(async (response) => [response.status, await response.text()]);
  assert.deepEqual(await ready(), [503, 'handlers fail to start: *\n']);

  const mend = async () => {
    writeFileSync(script, whole);
    rupor.child.kill('SIGHUP');
    await eventually(() => value(rupor, 'rupor_php_workers{pool="*"}'), (workers) => workers === 1, 'a process');
    assert.equal(await value(rupor, 'rupor_php_workers_failing{pool="*"}'), 0);
    assert.deepEqual(await ready(), [200, 'ready\n']);
  };
  await mend();
  const [stays, sends] = [await open(t, rupor, '/stays'), await open(t, rupor, '/sends')];
  for (const listener of [stays, sends]) assert.match(await ask(listener, 'there?'), /^\d opened$/);
  const waits = await open(t, rupor, '/waits');
  assert.match(await ask(waits, 'there?'), /^\d opened$/);
  // PHP can read this, so it replaces what runs.
  writeFileSync(script, '<?php exit(1);');
  rupor.child.kill('SIGHUP');
  await eventually(() => value(rupor, 'rupor_php_workers{pool="*"}'), (workers) => workers === 0, 'its end');
  // This waits for a process until none is expected any more.
  waits.ws.send('nobody hears this either');
  assert.deepEqual(await inTime(waits.closed, 'the close'), { code: 1013, reason: 'overloaded: the server has too much to do; connect again later' });
  await eventually(() => value(rupor, 'rupor_php_workers_failing{pool="*"}'), (workers) => workers === 1, 'the breaker');
  sends.ws.send('nobody hears this');
  assert.equal((await inTime(sends.closed, 'the close')).code, 1013);
  const comes = await open(t, rupor, '/comes');
  assert.equal((await inTime(comes.closed, 'the close')).code, 1013);
  assert.equal(await value(rupor, 'rupor_php_events_dropped_total{pool="*",event="message"}'), 2);
  assert.equal(await value(rupor, 'rupor_php_events_dropped_total{pool="*",event="open"}'), 1);

  await mend();
  // It and the two that were closed are told of once each, to a process that had not had them.
  assert.equal(await ask(stays, 'there?'), '3 opened');
  await rupor.waitFor(/takes events again/);
});

test('a worker that failed at the end is not said to take events again', async (t) => {
  const script = join(folder(t), 'handlers.php');
  writeFileSync(script, '<?php this is no PHP');
  const rupor = await withPhp(t, ['--drain', '100ms', '--php-watch=false'], { script });
  await rupor.waitFor(/5 PHP processes in a row ended before they handled one event/);
  rupor.child.kill('SIGTERM');
  assert.equal((await inTime(rupor.exited, 'the end')).code, 0);
  assert.doesNotMatch(rupor.output, /takes events again/);
});

test('processes end with the gateway', async (t) => {
  const rupor = await withPhp(t, ['--drain', '100ms']);
  const anna = await open(t, rupor);
  const pid = await ask(anna, 'pid');
  rupor.child.kill('SIGTERM');
  assert.equal((await inTime(rupor.exited, 'the end')).code, 0);
  assert.equal((await run('sh', ['-c', `kill -0 ${pid}`])).code, 1);
});
