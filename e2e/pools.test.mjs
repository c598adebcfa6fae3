// Several pools of handlers in one gateway, by path: real PHP processes, php-fpm and a webhook side by side.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';

import { fpm } from './support/fpm.mjs';
import { ask, open, refusal } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { eventually, folder, inTime, repository, run, start } from './support/program.mjs';

const API_KEY = 'an-api-key-of-more-than-32-characters-for-this-test';
const BINARY = process.env.RUPOR_BIN ?? repository('target/release/rupor');

/** `rupor serve` with these handlers. */
async function serve(t, at, more) {
  const file = join(at, 'rupor.toml');
  writeFileSync(file, `
listen = ["127.0.0.1:0"]
auth = "none"
drain = "100ms"
api_key = "${API_KEY}"
${more}`);
  const rupor = start(t, ['serve', '--config', file]);
  rupor.browsers = (await rupor.waitFor(/listening on ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.key = API_KEY;
  return rupor;
}

/** A file with handlers that answer with `word`, their worker's number and how many there are. */
function handlers(at, name, word) {
  const file = join(at, name);
  writeFileSync(file, `<?php require '${repository('clients/php/rupor.php')}';
    $worker = new Rupor\\Worker;
    $worker->onMessage(function ($connection, $message) use ($worker) {
      if ($message === 'exit') exit(1);
      if ($message === 'print') echo "printed by ${word}\\n";
      $connection->send("${word} " . $worker->number() . '/' . $worker->workers() . " $message");
    });
    $worker->onLine(fn ($line, $writer) => $worker->reply($writer, "${word} $line"));
    $worker->run();`);
  return file;
}

const pids = async (rupor) =>
  (await run('ps', ['-o', 'pid=', '--ppid', String(rupor.child.pid)])).stdout.split('\n').map(Number).filter(Boolean).sort();

test('two paths have two scripts, each with processes of its own', async (t) => {
  const at = folder(t);
  const [chat, game] = [handlers(at, 'chat.php', 'chat'), handlers(at, 'game.php', 'game')];
  const rupor = await serve(t, at, `
[php]
script = "${chat}"
lines = ["tcp://127.0.0.1:0"]
[[application]]
path = "/chat"
name = "php"
[[application]]
path = "/game/*"
name = "php"
script = "${game}"
workers = 2
key = "path"
lines = ["unix://${at}/game.sock"]
`);
  const [, port] = await rupor.waitFor(/lines for handlers on tcp:\/\/127\.0\.0\.1:(\d+)/);
  const [anna, boris] = [await open(t, rupor, '/chat'), await open(t, rupor, '/game/7')];
  assert.equal(await ask(anna, 'hi'), 'chat 0/1 hi');
  const answered = await ask(boris, 'hi');
  assert.match(answered, /^game [01]\/2 hi$/);
  assert.equal(await ask(await open(t, rupor, '/game/7'), 'hi'), answered, 'a room has its process');
  // Nothing answers elsewhere: the table's handlers have their rule.
  (await open(t, rupor, '/')).ws.send('hi');
  await counted(rupor, 'rupor_unanswered_messages_total{reason="no_application"}', 1);
  const line = (address) => run('php', ['-r', `
    $socket = stream_socket_client('${address}'); fwrite($socket, "line\\n");
    stream_socket_shutdown($socket, STREAM_SHUT_WR); echo stream_get_contents($socket);`]);
  assert.equal((await line(`tcp://127.0.0.1:${port}`)).stdout, 'chat line\n');
  assert.equal((await line(`unix://${at}/game.sock`)).stdout, 'game line\n');

  boris.ws.send('print');
  await rupor.waitFor(/handlers\{pool="\/game\/\*"\}: php: printed by game/);
  boris.ws.send('exit');
  await counted(rupor, 'rupor_php_events_failed_total{pool="/game/*"}', 1);
  const counts = await metrics(rupor);
  assert.equal(counts.get('rupor_php_events_failed_total{pool="/chat"}'), 0);
  assert.equal(counts.get('rupor_php_workers{pool="/chat"}'), 1);
  assert.equal(await ask(boris, 'still'), answered.replace('hi', 'still'));

  // SIGHUP reads all of them again, and nobody notices.
  handlers(at, 'chat.php', 'new chat');
  handlers(at, 'game.php', 'new game');
  rupor.child.kill('SIGHUP');
  await eventually(() => ask(anna, 'hi'), (answer) => answer === 'new chat 0/1 hi', 'the new chat');
  await eventually(() => ask(boris, 'hi'), (answer) => answer === `new ${answered}`, 'the new game');
  assert.equal((await metrics(rupor)).get('rupor_opened_total'), 4);
  const processes = await pids(rupor);
  assert.equal(processes.length, 3);
  rupor.child.kill('SIGTERM');
  assert.equal((await inTime(rupor.exited, 'the end')).code, 0);
  for (const pid of processes) assert.throws(() => process.kill(pid, 0));
});

test('a saved file replaces the processes of its own pool', async (t) => {
  const at = folder(t);
  const [one, two] = [folder(t), folder(t)];
  const [chat, game] = [handlers(one, 'chat.php', 'chat'), handlers(two, 'game.php', 'game')];
  const rupor = await serve(t, at, `
[php]
watch = true
[[application]]
path = "/chat"
name = "php"
script = "${chat}"
[[application]]
path = "/game"
name = "php"
script = "${game}"
`);
  const [anna, boris] = [await open(t, rupor, '/chat'), await open(t, rupor, '/game')];
  assert.equal(await ask(anna, 'hi'), 'chat 0/1 hi');
  assert.equal(await ask(boris, 'hi'), 'game 0/1 hi');
  handlers(two, 'game.php', 'new game');
  await eventually(() => ask(boris, 'hi'), (answer) => answer === 'new game 0/1 hi', 'the new game');
  await counted(rupor, 'rupor_php_worker_ends_total{pool="/game",reason="reload"}', 1);
  assert.equal((await metrics(rupor)).get('rupor_php_worker_ends_total{pool="/chat",reason="reload"}'), 0);
  assert.equal(await ask(anna, 'hi'), 'chat 0/1 hi');
});

test('php-fpm on one path, webhooks on two others, and processes everywhere else', async (t) => {
  const at = folder(t);
  const socket = await fpm(t);
  const called = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const { event, message } = JSON.parse(body);
    called.push(`${request.url} ${event}`);
    if (request.url === '/fails') return response.writeHead(500).end();
    response.end(event === 'message' ? JSON.stringify([{ do: 'send', message: `hook ${message}` }]) : '');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const hook = `http://127.0.0.1:${server.address().port}`;
  const rupor = await serve(t, at, `
[php]
script = "${handlers(at, 'rest.php', 'rest')}"
[fpm]
address = "unix://${socket}"
[webhook]
url = "${hook}/one"
key = "a-key-of-at-least-32-bytes-for-this-test"
[[application]]
path = "/fpm"
name = "fpm"
script = "${repository('e2e/support/fpm.php')}"
events = ["upgrade", "message"]
[[application]]
path = "/hook"
name = "webhook"
[[application]]
path = "/fails"
name = "webhook"
url = "${hook}/fails"
events = ["message"]
`);
  assert.equal((await refusal(t, `ws://${rupor.browsers}/fpm?refuse=1`)).status, 401);
  assert.equal(await ask(await open(t, rupor, '/fpm'), 'say hi'), 'hi');
  assert.equal(await ask(await open(t, rupor, '/hook'), 'hi'), 'hook hi');
  assert.equal(await ask(await open(t, rupor, '/anything'), 'hi'), 'rest 0/1 hi');
  (await open(t, rupor, '/fails')).ws.send('x');
  await counted(rupor, 'rupor_call_events_total{to="webhook",pool="/fails",result="failed"}', 1);
  const counts = await metrics(rupor);
  assert.equal(counts.get('rupor_call_events_total{to="webhook",pool="/hook",result="failed"}'), 0);
  assert.equal(counts.get('rupor_call_events_total{to="fpm",pool="/fpm",result="failed"}'), 0);
  assert.equal(counts.get('rupor_php_events_total{pool="*"}') > 0, true);
  await rupor.waitFor(/handlers\{pool="\/fails"\}: .*an event failed and is not tried again/);
  assert.deepEqual(called.filter((call) => call.startsWith('/fails')), ['/fails message'], 'it was told what its rule says');
});

test('a rule that has no handlers is named with its line and the fix', async (t) => {
  const at = folder(t);
  const file = join(at, 'rupor.toml');
  const said = async (more) => {
    writeFileSync(file, `auth = "none"\n${more}`);
    const { code, stderr } = await run(BINARY, ['check', '--config', file]);
    assert.notEqual(code, 0);
    return stderr;
  };
  assert.match(await said('[[application]]\npath = "/a"\nname = "php"\nworkers = 2'), /rupor\.toml:4.*`script`/s);
  assert.match(await said('[[application]]\npath = "/a"\nname = "fpm"\nscript = "/nowhere.php"'), /rupor\.toml:5.*cannot be read/s);
  assert.match(await said('[[application]]\npath = "/a"\nname = "chat"\nurl = "http://a/"'), /rupor\.toml:5.*write name = "webhook"/s);
});
