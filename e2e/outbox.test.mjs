// The outbox in a real PostgreSQL, an own one on a free port.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { outbox } from './support/outbox.mjs';
import { PASSWORD, Postgres } from './support/postgres.mjs';
import { binary, demo, run } from './support/program.mjs';

outbox(Postgres);

// What cannot be converted, or not be stored, would stop all that stands behind it.
test('a row that the encoding of its database does not fit holds nobody up', async (t) => {
  const database = await Postgres.start(t);
  const { stdout: install } = await run(binary, ['outbox', 'install']);
  const row = (payload) => `INSERT INTO rupor_outbox (payload) VALUES (${payload});`;
  for (const [encoding, came, wrong] of [
    ['SQL_ASCII', ['before', 'after'], ['not UTF-8: JSON is written in UTF-8', 'unknown field `\\u{43a}`']],
    ['LATIN1', ['before', 'ÿ', 'after'], ['unknown field `\\u{43a}`']],
  ]) {
    const name = encoding.toLowerCase();
    const message = (text) => {
      const bytes = Buffer.from(JSON.stringify({ user: 'anna', message: text }), 'latin1');
      return row(`convert_from('\\x${bytes.toString('hex')}', '${encoding}')`);
    };
    await database.sql(`CREATE DATABASE ${name} ENCODING '${encoding}' TEMPLATE template0`);
    const there = `\\connect ${name}\n`;
    await database.sql(there + install);
    const rupor = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url.replace(/postgres$/, name) } });
    const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
    const rows = [message('before'), message('ÿ'), row(`'{"\\u043a":1}'`), message('after')];
    await database.sql(there + rows.join(''));
    assert.deepEqual(await anna.messages(came.length), came);
    await counted(rupor, 'rupor_outbox_dead_letters', wrong.length);
    const errors = (await database.sql(`${there}SELECT error FROM rupor_outbox ORDER BY id`)).split('\n');
    for (const [n, error] of errors.entries()) assert.ok(error.startsWith(wrong[n]), error);
  }
});

test('a right on the table that is lacking is told once, with what to do, before anything is published', async (t) => {
  const database = await Postgres.start(t);
  const { stdout: install } = await run(binary, ['outbox', 'install']);
  await database.sql(install + `CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'; GRANT SELECT, UPDATE ON rupor_outbox TO reader;`);
  await database.sql(`INSERT INTO rupor_outbox (payload) VALUES ('{"connection":"00c0ffee00000001","message":"test"}')`);
  const rupor = await demo(t, [], { env: { RUPOR_OUTBOX_URL: database.url.replace(/\/\/\w+:/, '//reader:') } });
  await rupor.waitFor(/the outbox cannot be read.*permission denied.*Fix: GRANT/);
  await counted(rupor, 'rupor_publications_total', 0);
  await database.sql('GRANT DELETE ON rupor_outbox TO reader');
  await counted(rupor, 'rupor_outbox_rows_total{result="published"}', 1);
  assert.doesNotMatch(rupor.output, /database is lost/);
  assert.equal(rupor.output.match(/permission denied/g).length, 1, rupor.output);
});

test('the SQL is made for the table that is named, and a wrong name is told', async () => {
  const { stdout } = await run(binary, ['outbox', 'install', '--table', 'push.queue']);
  assert.match(stdout, /CREATE TABLE IF NOT EXISTS push\.queue \(/);
  const { code, stderr } = await run(binary, ['outbox', 'install', '--table', 'a"; DROP']);
  assert.equal(code, 2);
  assert.match(stderr, /--table: .* is no name of a table/);
});
