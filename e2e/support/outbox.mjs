// What holds of the outbox in every database: rows by SQL and by PHP, and everything that ends meanwhile.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';

import { Listener } from './listener.mjs';
import { counted, metrics } from './metrics.mjs';
import { binary, demo, eventually, freePort, run } from './program.mjs';

const rows = (name) => `rupor_outbox_rows_total{result="${name}"}`;
const reading = (rupor) => counted(rupor, 'rupor_outbox_reading', 1);
const ready = async (rupor) => (await run('curl', ['-sS', `http://${rupor.browsers}/readyz`])).stdout;
const left = (database) => database.sql('SELECT id FROM rupor_outbox ORDER BY id');

/** Makes the table as an administrator does. */
async function install(database) {
  const { code, stdout, stderr } = await run(binary, ['outbox', 'install', database.kind]);
  assert.equal(code, 0, stderr);
  await database.sql(stdout);
  await database.sql(stdout); // and once more, as a second deployment would
}

async function gateway(t, database, flags = []) {
  const rupor = await demo(t, flags, { env: { RUPOR_OUTBOX_URL: database.url } });
  await reading(rupor);
  return rupor;
}

const row = (payload, publication) =>
  `INSERT INTO rupor_outbox (payload, publication) VALUES ('${payload}', ${publication ? `'${publication}'` : 'NULL'});`;
const toAnna = (message) => JSON.stringify({ user: 'anna', message });

/** Registers the tests; `Database` is how one of the kind is started. */
export function outbox(Database) {
  test('a row in a transaction of the site is a push', async (t) => {
    const database = await Database.start(t);
    await install(database);
    const rupor = await gateway(t, database);
    const plain = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
    const structured = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`, ['rupor.v1']);

    await database.sql(`BEGIN; ${row(toAnna('taken back'))} ROLLBACK;`);
    await database.sql(`BEGIN; ${row(toAnna('first'))} ${row(toAnna('second'), 'order-7')} COMMIT;`);
    assert.deepEqual(await plain.messages(2), ['first', 'second']);
    const [, first, second] = (await structured.messages(3)).map(JSON.parse);
    assert.deepEqual(first, { type: 'message', user: 'anna', publication: '2', message: 'first' });
    assert.equal(second.publication, 'order-7');
    await eventually(() => left(database), (ids) => ids === '', 'an empty table');

    const modules = (await run('php', ['-m'])).stdout;
    if (!modules.split('\n').includes(database.extension)) return t.skip(`PHP has no extension ${database.extension}`);
    const script = `${database.pdo}
      $push = $pdo->prepare('INSERT INTO rupor_outbox (payload) VALUES (?)');
      foreach (['lost' => 'rollBack', 'by PHP' => 'commit'] as $message => $end) {
          $pdo->beginTransaction();
          $push->execute([json_encode(['user' => 'anna', 'message' => $message])]);
          $pdo->$end();
      }`;
    const { stdout, stderr } = await run('php', ['-r', script]);
    assert.equal(stdout + stderr, '');
    assert.deepEqual(await plain.messages(3), ['first', 'second', 'by PHP']);
    await counted(rupor, rows('published'), 3);
  });

  test('what is no publication stays as a dead letter, is seen, and holds nobody up', async (t) => {
    const database = await Database.start(t);
    await install(database);
    const rupor = await gateway(t, database, ['--publish-bytes-max', '1000']);
    const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
    const long = (bytes) => toAnna('x'.repeat(bytes - toAnna('').length));
    const all = [
      ['no JSON, sesame'],
      [long(1000)],
      [long(1001)],
      ['{"user":"anna"}'],
      ['{"channel":"not a name","message":1}'],
      [toAnna('too long an id'), 'ü'.repeat(129)],
      [toAnna('the last')],
    ];
    await database.sql(all.map(([payload, publication]) => row(payload, publication)).join('\n'));
    assert.equal((await anna.messages(2))[1], 'the last');
    await counted(rupor, rows('dead'), 5);
    await counted(rupor, 'rupor_outbox_dead_letters', 5);
    assert.equal(await left(database), '1\n3\n4\n5\n6');
    const errors = (await database.sql('SELECT error FROM rupor_outbox ORDER BY id')).split('\n');
    const why = [/^not JSON/, /^1001 bytes, over limits.publish_bytes_max of 1000$/, /^what\?/, /^a channel's name/, /^`publication` is longer/];
    for (const [n, pattern] of why.entries()) assert.match(errors[n], pattern);
    await rupor.waitFor(/a row of the outbox is no publication.*id=1 /);
    assert.ok(!rupor.output.includes('sesame'));

    // Put right and tried again. Nothing wakes the reader for that, but it looks now and then.
    await database.sql(`UPDATE rupor_outbox SET error = NULL, payload = '${toAnna('put right')}' WHERE id = 1`);
    assert.equal((await anna.messages(3))[2], 'put right');
    await database.sql('DELETE FROM rupor_outbox');
    await counted(rupor, 'rupor_outbox_dead_letters', 0);
  });

  test('a row for nobody waits for a page that loads anew, but not for ever', async (t) => {
    const database = await Database.start(t);
    await install(database);
    const rupor = await gateway(t, database);
    await database.sql(row(toAnna('while anna is away')) + row(toAnna('still away')) + row('{"all":true,"message":"to all"}'));
    await counted(rupor, 'rupor_outbox_held', 3);
    const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
    const came = await anna.messages(3);
    assert.deepEqual(came.filter((text) => text !== 'to all'), ['while anna is away', 'still away']);
    await eventually(() => left(database), (ids) => ids === '', 'an empty table');
    await rupor.stop();

    const impatient = await gateway(t, database, ['--outbox-hold', '0s']);
    await database.sql(row(toAnna('nobody is there')));
    await counted(impatient, rows('unheard'), 1);
    assert.equal(await left(database), '');
  });

  test('10 000 rows arrive while the gateway is killed and restarted, in order for each user', async (t) => {
    const [ROWS, USERS, KILLS] = [10_000, 10, 3];
    const database = await Database.start(t);
    await install(database);
    const port = await freePort();
    const begin = () => gateway(t, database, ['--listen', `127.0.0.1:${port}`]);

    // Each user's browser connects again whenever it is cut off, and leaves out what it knows.
    let [over, repeats] = [false, 0];
    t.after(() => (over = true));
    const seen = Array.from({ length: USERS }, () => ({ known: new Set(), numbers: [] }));
    const total = () => seen.reduce((sum, { numbers }) => sum + numbers.length, 0);
    const connect = (user) => {
      if (over) return;
      const ws = new WebSocket(`ws://127.0.0.1:${port}/?user=user${user}`, ['rupor.v1'], { perMessageDeflate: false });
      t.after(() => ws.terminate());
      ws.on('error', () => {});
      ws.on('close', () => setTimeout(connect, 50, user));
      ws.on('message', (text) => {
        const { type, publication, message } = JSON.parse(text);
        if (type !== 'message') return;
        const { known, numbers } = seen[user];
        if (known.has(publication)) return (repeats += 1);
        known.add(publication);
        numbers.push(Number(message));
      });
    };
    let rupor = await begin();
    for (let user = 0; user < USERS; user += 1) connect(user);

    // Many small transactions of a site that does not know how the gateway is.
    const payload = (n) => `('${JSON.stringify({ user: `user${n % USERS}`, message: String(n) })}')`;
    const insert = (from, count) => `INSERT INTO rupor_outbox (payload) VALUES ${Array.from({ length: count }, (_, n) => payload(from + n))};`;
    const steps = Array.from({ length: 200 }, (_, step) => insert((step * ROWS) / 200, ROWS / 200));
    const inserting = database.sql(steps.join(`\n${database.pause}\n`));
    for (let kill = 1; kill <= KILLS; kill += 1) {
      await eventually(total, (count) => count >= (kill * ROWS) / (KILLS + 2), `${kill} parts to arrive`);
      await rupor.stop();
      rupor = await begin();
    }
    await inserting;
    await eventually(total, (count) => count === ROWS, `${ROWS} rows to arrive`);
    for (const [user, { numbers }] of seen.entries()) {
      assert.deepEqual(numbers, Array.from({ length: ROWS / USERS }, (_, n) => n * USERS + user));
    }
    await eventually(() => left(database), (ids) => ids === '', 'an empty table');
    t.diagnostic(`${repeats} came twice`);
  });

  test('the gateway runs on while the database is away, and says so', async (t) => {
    const database = await Database.make(t);
    const rupor = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url } });
    await rupor.waitFor(/the outbox cannot be read, and is tried again/);
    assert.equal(await ready(rupor), "ready, but: the outbox cannot be read\n");
    assert.equal((await metrics(rupor)).get('rupor_outbox_connected'), 0);
    const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);

    await database.start();
    await install(database);
    await reading(rupor);
    assert.equal(await ready(rupor), 'ready\n');
    await database.sql(row(toAnna('before')));
    await anna.messages(1);
    await eventually(() => left(database), (ids) => ids === '', 'an empty table');

    await database.stop();
    await rupor.waitFor(/the outbox's database is lost, and is tried again/);
    await counted(rupor, 'rupor_outbox_connections_lost_total', 1);
    assert.equal(await ready(rupor), "ready, but: the outbox cannot be read\n");
    await database.start();
    await database.sql(row(toAnna('after')));
    assert.deepEqual(await anna.messages(2), ['before', 'after']);
    assert.ok(!rupor.output.includes(database.password));
  });

  test('a second gateway takes over when the first is killed, and a missing table is told', async (t) => {
    const database = await Database.start(t);
    const first = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url } });
    await first.waitFor(/rupor_outbox.* (does not|doesn't) exist.*rupor outbox install/);
    await install(database);
    await reading(first);
    const second = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url } });
    await second.waitFor(/another gateway reads the outbox/);
    assert.equal((await metrics(second)).get('rupor_outbox_reading'), 0);
    assert.equal(await ready(second), 'ready\n');
    await first.stop();
    await reading(second);
    const anna = await Listener.open(t, `ws://${second.browsers}/?user=anna`);
    await database.sql(row(toAnna('to the second')));
    assert.deepEqual(await anna.messages(1), ['to the second']);
  });
}
