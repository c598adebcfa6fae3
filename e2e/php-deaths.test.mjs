// What ends a PHP process in the middle of its work: no connection is lost, nothing is out of order within one, and what was
// lost is counted, event by event.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { open } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { demo, eventually, folder, repository } from './support/program.mjs';

const HANDLERS = repository('e2e/support/handlers.php');
/** Events that a process has without having said that they are handled: as many may be lost when it is killed. */
const UNDER_WAY_MAX = 64;

const withPhp = (t, flags) => demo(t, ['--php', HANDLERS, '--messages-per-second', '0', ...flags]);

/** What came for `say`: a number each. */
const said = ({ received }) => received.filter((text) => /^\d+$/.test(text)).map(Number);

/** Whether a process runs, and is not only waited for. */
function runs(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const isAscending = (list) => list.every((number, at) => at === 0 || list[at - 1] < number);

for (const [how, reason, failedMax, flags] of [
  // The library's last words say which event it was.
  ['exit', 'died', 1, []],
  ['fatal', 'died', 1, []],
  ['memory', 'died', 1, []],
  ['hang', 'exec_ttl', UNDER_WAY_MAX, ['--php-exec-ttl', '1s']],
  ['garbage', 'not_frames', UNDER_WAY_MAX, []],
  ['kill', 'died', UNDER_WAY_MAX, []],
]) {
  test(`${how}: all stay connected, in order, and no more is missing than was counted`, async (t) => {
    const rupor = await withPhp(t, flags);
    const listeners = await Promise.all(Array.from({ length: 4 }, () => open(t, rupor)));
    const asks = await open(t, rupor);
    asks.ws.send('pid');
    const pid = Number((await asks.messages(1))[0]);
    const each = 500;
    for (let n = 0; n < each; n += 1) {
      if (n === each / 2 && how !== 'kill') asks.ws.send(how);
      for (const { ws } of listeners) ws.send(`say ${n}`);
    }
    if (how === 'kill') process.kill(pid, 'SIGKILL');
    await counted(rupor, `rupor_php_worker_ends_total{pool="*",reason="${reason}"}`, 1);
    // Whoever is answered after all of that has been answered all of it.
    for (const { ws } of listeners) ws.send(`say ${each}`);
    await eventually(() => listeners.map((listener) => said(listener).at(-1)), (last) => last.every((n) => n === each), 'the last answers');
    const missing = listeners.reduce((sum, listener) => sum + each + 1 - said(listener).length, 0);
    const counts = await metrics(rupor);
    const failed = counts.get('rupor_php_events_failed_total{pool="*"}');
    // The message that ended the process has failed, too, and asked for no answer.
    const unanswered = how === 'kill' ? failed : failed - 1;
    assert.ok(missing <= unanswered && failed <= failedMax, `${missing} answers are missing, ${failed} events failed`);
    for (const listener of listeners) assert.ok(isAscending(said(listener)), 'in order');
    assert.equal(counts.get('rupor_connections'), 5);
    assert.equal(counts.get('rupor_opened_total'), 5);
    assert.equal(counts.get('rupor_php_events_dropped_total{pool="*",event="message"}'), 0);
  });
}

test('a process that hangs does not outlive a gateway that was killed', async (t) => {
  const at = folder(t);
  const script = join(at, 'handlers.php');
  // Not for ever, lest it stay when this fails.
  writeFileSync(script, `<?php require '${repository('clients/php/rupor.php')}';
    (new Rupor\\Worker)->onMessage(function () {
      touch('${at}/' . getmypid() . '.hangs');
      sleep(120);
    })->run();`);
  const rupor = await demo(t, ['--php', script, '--php-exec-ttl', '1h', '--php-workers', '2']);
  // So many that each process has one.
  for (const { ws } of await Promise.all(Array.from({ length: 16 }, () => open(t, rupor)))) ws.send('hang');
  const hanging = () => readdirSync(at).filter((name) => name.endsWith('.hangs')).map((name) => parseInt(name, 10));
  const pids = await eventually(hanging, (list) => list.length === 2, 'both to hang');
  assert.deepEqual(pids.filter(runs), pids);
  await rupor.stop();
  await eventually(() => pids.filter(runs), (left) => left.length === 0, 'the processes to end');
});

test('a worker that is slow holds up its own connections only, and loses nothing', async (t) => {
  const at = folder(t);
  const [script, gate] = [join(at, 'handlers.php'), join(at, 'gate')];
  writeFileSync(script, `<?php require '${repository('clients/php/rupor.php')}';
    $worker = new Rupor\\Worker;
    $worker->onMessage(function ($connection, $message) use ($worker) {
      if ($message === 'wait') touch('${gate}.waited for');
      while ($message === 'wait' && !file_exists('${gate}') && is_dir('${at}')) { usleep(5000); clearstatcache(); }
      $connection->send($message === 'worker' ? 'worker ' . $worker->number() : $message);
    })->run();`);
  const rupor = await demo(t, ['--php', script, '--php-workers', '3', '--php-exec-ttl', '1h', '--messages-per-second', '0']);
  const listeners = await Promise.all(Array.from({ length: 12 }, () => open(t, rupor)));
  const workers = await Promise.all(listeners.map(async (listener) => {
    listener.ws.send('worker');
    return (await listener.messages(1))[0];
  }));
  const isSlow = (_, at) => workers[at] === workers[0];
  const [slow, fast] = [listeners.filter(isSlow), listeners.filter((_, at) => !isSlow(_, at))];
  slow[0].ws.send('wait');
  await eventually(() => existsSync(`${gate}.waited for`), Boolean, 'it to wait');
  const texts = Array.from({ length: 1000 }, (_, n) => String(n));
  for (const text of texts) for (const { ws } of listeners) ws.send(text);
  for (const listener of fast) assert.deepEqual((await listener.messages(1001)).slice(1), texts);
  for (const listener of slow) assert.equal(listener.received.length, 1, 'its worker waits');
  writeFileSync(gate, '');
  for (const [at, listener] of slow.entries()) {
    const expected = at === 0 ? ['wait', ...texts] : texts;
    assert.deepEqual((await listener.messages(expected.length + 1)).slice(1), expected);
  }
  const counts = await metrics(rupor);
  assert.equal(counts.get('rupor_php_events_failed_total{pool="*"}'), 0);
  assert.equal(counts.get('rupor_connections'), 12);
});
