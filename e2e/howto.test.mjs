// What the pages in docs/howto show for a database, Redis, the shell and the log, done as it stands there: only addresses and names are
// replaced. Servers are real ones of the test's own.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

import { all, block } from './support/document.mjs';
import { Listener } from './support/listener.mjs';
import { MariaDb } from './support/mariadb.mjs';
import { counted } from './support/metrics.mjs';
import { Postgres } from './support/postgres.mjs';
import { binary, demo, eventually, folder, freePort, repository, run, start } from './support/program.mjs';
import { put } from './support/proxies.mjs';
import { Redis } from './support/redis.mjs';

/** A folder that has `rupor`, and other scripts by their names, to be first in PATH. */
function programs(t, scripts = {}) {
  const place = join(folder(t), 'bin');
  mkdirSync(place);
  for (const [name, script] of Object.entries({ rupor: `exec '${binary}' "$@"`, ...scripts })) {
    writeFileSync(join(place, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(place, name), 0o755);
  }
  return `${place}:${process.env.PATH}`;
}

async function shell(code, options) {
  const { code: exit, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', code], options);
  assert.equal(exit, 0, `${code}\n${stdout}${stderr}`);
  return stdout;
}

const php = async (code) => {
  const { code: exit, stdout, stderr } = await run('php', ['-r', code]);
  assert.deepEqual([exit, stderr], [0, ''], stdout);
  return stdout;
};

for (const [Database, kind, client] of [[Postgres, 'postgresql', 'psql'], [MariaDb, 'mysql', 'mysql']]) {
  test(`docs/howto/outbox.md in ${client}: installed, by SQL, by PDO, and dead letters`, async (t) => {
    const PAGE = 'docs/howto/outbox.md';
    const database = await Database.start(t);
    // The reader's client knows his server.
    const ours = { psql: `/usr/bin/psql -q -v ON_ERROR_STOP=1 -p ${database.port} -d postgres`, mysql: `/usr/bin/mariadb --no-defaults -P ${database.port} -D site` };
    const scripts = { [client]: `[ "$1" = site ] && exec ${ours[client]} -h 127.0.0.1 -${client === 'psql' ? 'U' : 'u'} rupor` };
    const env = { PATH: programs(t, scripts), PGPASSWORD: database.password, MYSQL_PWD: database.password };
    await shell(block(PAGE, `run: ${kind}`), { env });
    await database.sql("CREATE TABLE orders (id int, paid boolean); INSERT INTO orders VALUES (7, false), (8, false);");

    const rupor = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url } });
    await counted(rupor, 'rupor_outbox_reading', 1);
    const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
    await database.sql(block(PAGE, 'run: insert'));
    assert.deepEqual(await tester.messages(1), ['order 7 is paid']);
    await php(`${database.pdo} $id = 8; $user = 'tester01'; ${block(PAGE, 'run: pdo')}`);
    assert.deepEqual(await tester.messages(2), ['order 7 is paid', 'order 8 is paid']);
    assert.match(await database.sql('SELECT paid FROM orders'), /^(t\nt|1\n1)$/);

    const left = () => database.sql('SELECT id FROM rupor_outbox WHERE error IS NOT NULL');
    await database.sql("INSERT INTO rupor_outbox (payload) VALUES ('no JSON'), ('nor this')");
    const dead = await eventually(left, (ids) => ids.includes('\n'), 'dead letters');
    const [seen, again, forgotten] = block(PAGE, 'run: dead').split(';').map((statement) => statement.replace(/^ *--.*$/m, ''));
    assert.match(await database.sql(`${seen};`), /no JSON\n.*nor this$/);
    const [id] = dead.split('\n');
    await database.sql(`UPDATE rupor_outbox SET payload = '{"user":"tester01","message":"mended"}' WHERE id = ${id}; ${put(again, { 'id = 7': `id = ${id}` })};`);
    assert.deepEqual((await tester.messages(3))[2], 'mended');
    await database.sql(`${forgotten};`);
    assert.equal(await left(), '');
  });
}

test('docs/howto/postgresql.md: both ways to notify', async (t) => {
  const database = await Postgres.start(t);
  const rupor = await demo(t, [], { env: { RUPOR_POSTGRES_URL: database.url } });
  await counted(rupor, 'rupor_postgres_connected', 1);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  await database.sql(put(block('docs/howto/postgresql.md', 'run: notify'), { 'FROM …': "FROM (VALUES ('tester01', 'selected')) AS people (name, text)" }));
  assert.deepEqual(await tester.messages(2), ['test', 'selected']);
});

test('docs/howto/redis.md: PHP publishes', async (t) => {
  const redis = await Redis.start(t);
  const rupor = await demo(t, [], { env: { RUPOR_REDIS_URL: redis.url } });
  await counted(rupor, 'rupor_redis_connected', 1);
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  await php(`$redis = new Redis(); $redis->connect('127.0.0.1', ${redis.port}); ${block('docs/howto/redis.md', 'run: publish')}`);
  assert.deepEqual(await tester.messages(1), ['test']);
});

test('docs/howto/signed-url.md: the library signs as it is shown', async () => {
  const code = put(block('docs/howto/signed-url.md', 'run: library'), { '<?php': '', "'rupor.php'": `'${repository('clients/php/rupor.php')}'` });
  assert.match(await php(`$user = 'anna'; $key = str_repeat('k', 32); ${code} echo $url;`), /^wss:\/\/example\.org\/ws\?user=anna&expires=\d+&signature=[0-9a-f]{64}$/);
});

test('docs/howto/channels.md: the log says why, word for word', async (t) => {
  const PAGE = 'docs/howto/channels.md';
  const cwd = folder(t);
  const [rules] = all(PAGE).filter(({ language }) => language === 'toml');
  const key = `\n[[jwt]]\nalgorithm = "HS256"\nkey = "${randomBytes(32).toString('hex')}"\n`;
  writeFileSync(join(cwd, 'rupor.toml'), rules.code + key);
  const flags = ['--config', 'rupor.toml', '--auth', 'none', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0'];
  const rupor = start(t, ['serve', ...flags], { cwd });
  const [url] = await rupor.waitFor(/ws:\/\/127\.0\.0\.1:[1-9]\d*/);
  const anna = await Listener.open(t, `${url}/?user=anna`, ['rupor.v1']);
  await anna.messages(1);
  anna.ws.send(JSON.stringify({ type: 'subscribe', channel: 'private-orders.5' }));
  await anna.messages(2);
  await rupor.waitFor(/private-orders\.5.*\n/);
  assert.ok(rupor.output.includes(block(PAGE, 'run: log')), rupor.output);
});

test('docs/howto/doctor.md: what it prints of a port that is taken', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address();
  const cwd = folder(t);
  writeFileSync(join(cwd, 'rupor.toml'), `auth = "none"\nlisten = ["127.0.0.1:${port}"]\ninlet = []\n`);
  const { code, stdout } = await run(binary, ['doctor'], { cwd });
  assert.equal(code, 1);
  const shown = put(block('docs/howto/doctor.md', 'run: output'), { '0.0.0.0:8443': `127.0.0.1:${port}`, ':8443': `:${port}` });
  for (const line of shown.trim().split('\n').slice(0, -1)) assert.ok(stdout.includes(`${line}\n`), `no ${line} in:\n${stdout}`);
  assert.match(stdout, /^1 problem, \d+ warnings?$/m);
});

test('docs/howto/measure.md: echo, latency, broadcast and push are measured, without an error', async (t) => {
  const PAGE = 'docs/howto/measure.md';
  const ports = [await freePort(), await freePort(), await freePort()];
  const here = (code) => code.replaceAll(/--connections 1000\b/g, '--connections 20')
    .replaceAll('127.0.0.1:9000', `127.0.0.1:${ports[0]}`).replaceAll('127.0.0.1:8000', `127.0.0.1:${ports[1]}`).replaceAll('127.0.0.1:1234', `127.0.0.1:${ports[2]}`);
  // A reader needs more than a moment's figures.
  const rupor = `case "$1" in
bench) exec '${binary}' "$@" --duration 200ms --warmup 0s ;;
demo) exec '${binary}' "$@" --listen 127.0.0.1:${ports[1]} --inlet tcp://127.0.0.1:${ports[2]} ;;
*) exec '${binary}' "$@" ;;
esac`;
  const PATH = programs(t, { rupor });
  for (const names of [['echo', 'latency'], ['channels']]) {
    const code = names.map((name) => here(block(PAGE, `run: ${name}`))).join('\n');
    const stdout = await shell(`trap 'kill $(jobs -p)' EXIT\n${code}`, { env: { PATH }, cwd: folder(t) });
    assert.equal(stdout.match(/^errors +none$/gm)?.length, 2, stdout);
  }
});
