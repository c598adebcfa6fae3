// `rupor doctor` by the public address, through a real nginx: as docs/howto/nginx.md says, and with each line of that left out that
// people leave out.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { certificate } from './support/certificate.mjs';
import { MariaDb } from './support/mariadb.mjs';
import { Postgres } from './support/postgres.mjs';
import { binary, eventually, folder, freePort, repository, run, start } from './support/program.mjs';
import { PASSWORD, Redis } from './support/redis.mjs';

const NGINX = '/usr/sbin/nginx';
const KEY = 'c4f1e09a7b3d58264e9f10b2a6d7c835f0e1d2c3b4a59687';
const HOWTO = readFileSync(repository('docs/howto/nginx.md'), 'utf8');
const [, SERVER] = /```nginx\n(.*?)```/s.exec(HOWTO);
const [, OPTIONS] = /```toml\n(.*?)```/s.exec(HOWTO);

/** Each `[from, to]` put into `text`, where it must be. */
const changed = (text, changes) =>
  changes.reduce((sofar, [from, to]) => {
    assert.ok(sofar.includes(from), `there is no ${from}`);
    return sofar.replaceAll(from, to);
  }, text);

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

/** `rupor serve` behind nginx, the configuration of each changed: what the doctor says about its public address. */
async function examined(t, { nginx = [], rupor = [], flags = [] }) {
  const place = folder(t);
  const { cert, key } = await certificate(place, 'localhost');
  const config = join(place, 'rupor.toml');
  const options = changed(OPTIONS, [['127.0.0.1:8000', '127.0.0.1:0'], ...rupor]);
  writeFileSync(config, `auth = "none"\napi_key = "${KEY}"\ninlet = []\n${options}`);
  const running = start(t, ['serve', '--config', config]);
  const [, browsers] = await running.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/);

  const port = await freePort();
  const server = changed(SERVER, [
    ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`], ['site.example;', 'localhost;'],
    ['/etc/ssl/site.example.pem', cert], ['/etc/ssl/site.example.key', key], ['127.0.0.1:8000', browsers], ...nginx,
  ]);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${place}/${name};`);
  const file = join(place, 'nginx.conf');
  writeFileSync(file, `
daemon off;
master_process off;
pid ${place}/nginx.pid;
error_log stderr;
events {}
http {
access_log off;
${temporary.join('\n')}
${server}
}
`);
  const proxy = start(t, ['-e', 'stderr', '-p', place, '-c', file], { program: NGINX });
  await eventually(() => proxy.closed || answers(port), Boolean, 'nginx to listen');
  assert.ok(!proxy.closed, proxy.output);

  const url = `wss://localhost:${port}/ws/`;
  const args = ['doctor', '--config', config, '--listen', browsers, '--ca', cert, '--json', url, ...flags];
  const { code, stdout, stderr } = await run(binary, args);
  assert.ok(!`${stdout}${stderr}`.includes(KEY), 'the key is not shown');
  const { findings } = JSON.parse(stdout);
  const shown = stdout + stderr;
  const problems = findings.filter(({ level }) => level === 'problem');
  assert.equal(code, problems.length ? 1 : 0, shown);
  const found = (level, what) => findings.find((finding) => finding.level === level && finding.what.includes(what));
  return {
    /** That there is no problem, and this is said to be right. */
    fine(...whats) {
      assert.deepEqual(problems, [], shown);
      for (const what of whats) assert.ok(found('ok', what), `no ${what} in ${shown}`);
    },
    /** That this is a problem, and this its fix. */
    wrong(what, fix) {
      const problem = found('problem', what);
      assert.ok(problem, `no ${what} in ${shown}`);
      assert.ok(problem.fix.includes(fix), `no ${fix} in ${problem.fix}`);
    },
  };
}

test('behind nginx as the documentation sets it up nothing is wrong', async (t) => {
  const doctor = await examined(t, { flags: ['--idle', '1s'] });
  doctor.fine('a WebSocket opens', 'the client is 127.0.0.1 for rupor, by ws://: the proxy is believed', 'held for 1 s');
});

test('nginx takes the upgrade off', async (t) => {
  const without = [['        proxy_set_header Upgrade $http_upgrade;\n', ''], ['        proxy_set_header Connection "upgrade";\n', '']];
  (await examined(t, { nginx: without })).wrong('without its upgrade', 'proxy_set_header Upgrade $http_upgrade');
});

test('nginx does not pass the Host header on', async (t) => {
  const without = [['        proxy_set_header Host $http_host;\n', '']];
  const doctor = await examined(t, { nginx: without });
  doctor.wrong('the Host header arrives as 127.0.0.1:', 'proxy_set_header Host $http_host');
  doctor.wrong('status 403', 'option `origin`');
});

test('nginx is not in trusted_proxy', async (t) => {
  const doctor = await examined(t, { rupor: [['trusted_proxy = ["127.0.0.1"]', 'trusted_proxy = []']] });
  doctor.wrong('what it says about the client is not believed', 'trusted_proxy = ["127.0.0.1"]');
});

test('nginx cuts a connection before the first ping', async (t) => {
  const doctor = await examined(t, { nginx: [['proxy_read_timeout 60s', 'proxy_read_timeout 2s']], flags: ['--idle', '15s'] });
  doctor.wrong('the connection was cut after', 'proxy_read_timeout 60s');
});

test('nginx leads elsewhere', async (t) => {
  const doctor = await examined(t, { nginx: [['proxy_pass http', 'proxy_pass http://127.0.0.1:1; #']] });
  doctor.wrong('status 502', 'does not reach rupor');
});

test('a page of another origin', async (t) => {
  const doctor = await examined(t, { flags: ['--page', 'https://shop.example'] });
  doctor.wrong('pages of https://shop.example may not connect', 'origin = ["https://shop.example"]');
  doctor.wrong('status 403', 'option `origin`');
});


test('a Redis that wants a password', async (t) => {
  const place = folder(t);
  const { password, port } = await Redis.start(t, PASSWORD);
  const doctor = async (user) => {
    const env = { RUPOR_REDIS_URL: `redis://${user}127.0.0.1:${port}/0` };
    const flags = ['--auth', 'none', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0'];
    const { code, stdout } = await run(binary, ['doctor', ...flags], { env, cwd: place });
    assert.ok(!stdout.includes('hush'), stdout);
    return { code, stdout };
  };
  const right = await doctor(`:${password}@`);
  assert.equal(right.code, 0, right.stdout);
  assert.match(right.stdout, /^ok +redis: Redis answers$/m);
  for (const user of ['', ':hush@']) {
    const { code, stdout } = await doctor(user);
    assert.equal(code, 1);
    assert.match(stdout, /^problem +redis: .*\n +Fix: .* password.*redis\.url/m);
  }
});

/** What the doctor says with these variables, which have a password. */
async function said(t, env) {
  const flags = ['--auth', 'none', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0'];
  const { code, stdout, stderr } = await run(binary, ['doctor', ...flags], { env, cwd: folder(t) });
  assert.ok(!`${stdout}${stderr}`.includes('hush'), stdout + stderr);
  assert.equal(code, /^problem /m.test(stdout) ? 1 : 0, stdout);
  return stdout;
}

test('a PostgreSQL that notifies, and one that is away', async (t) => {
  const database = await Postgres.start(t);
  const env = { RUPOR_POSTGRES_URL: database.url };
  assert.match(await said(t, env), /^ok +postgres: PostgreSQL answers$/m);
  await database.stop();
  assert.match(await said(t, env), /^problem +postgres: .*\n +Fix: start PostgreSQL/m);
});

/** A user of his own, who is given rights on the outbox; the table as a right on it is given. */
const READER = {
  postgresql: ['reader', (password) => `CREATE ROLE reader LOGIN PASSWORD '${password}';`, 'rupor_outbox'],
  mysql: ['reader@127.0.0.1', (password) => `CREATE USER reader@127.0.0.1 IDENTIFIED BY '${password}';`, 'site.rupor_outbox'],
};

for (const [Database, name] of [[Postgres, 'PostgreSQL'], [MariaDb, 'MySQL or MariaDB']]) {
  test(`an outbox in ${name}: without the table, with it, without a right, and away`, async (t) => {
    const database = await Database.start(t);
    const { kind } = database;
    const asRoot = (sql) => (database.root ?? database.sql).call(database, sql);
    assert.match(await said(t, { RUPOR_OUTBOX_URL: database.url }), /^problem +outbox: .*(does not|doesn't) exist\n +Fix: `rupor outbox install/m);

    await database.sql((await run(binary, ['outbox', 'install', kind])).stdout);
    await database.sql(`INSERT INTO rupor_outbox (payload) VALUES ('{"all":true,"message":"stays"}')`);
    assert.match(await said(t, { RUPOR_OUTBOX_URL: database.url }), new RegExp(`^ok +outbox: ${name} answers, with the table rupor_outbox$`, 'm'));
    assert.equal(await database.sql("SELECT count(*) FROM rupor_outbox WHERE error IS NULL"), '1', 'nothing was changed');

    const [reader, made, table] = READER[kind];
    const asReader = { RUPOR_OUTBOX_URL: database.url.replace('rupor:', 'reader:') };
    await asRoot(`${made(database.password)} GRANT SELECT, UPDATE ON ${table} TO ${reader};`);
    assert.match(await said(t, asReader), /^problem +outbox: .*denied.*\n +Fix: GRANT its user what it lacks/m);
    await asRoot(`GRANT DELETE ON ${table} TO ${reader};`);
    assert.match(await said(t, asReader), /^ok +outbox: /m);

    await database.stop();
    assert.match(await said(t, { RUPOR_OUTBOX_URL: database.url }), new RegExp(`^problem +outbox: .*\n +Fix: start ${name}`, 'm'));
  });
}
