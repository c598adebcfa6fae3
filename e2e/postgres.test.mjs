// Notifications of a real PostgreSQL, an own one on a free port, by psql.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { certificate } from './support/certificate.mjs';
import { Listener } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { PASSWORD, Postgres, unprivileged } from './support/postgres.mjs';
import { demo, folder, run } from './support/program.mjs';

const result = (name) => `rupor_postgres_notifications_total{result="${name}"}`;
const listening = (rupor) => counted(rupor, 'rupor_postgres_connected', 1);
const ready = async (rupor) => (await run('curl', ['-sS', `http://${rupor.browsers}/readyz`])).stdout;
const notify = (payload, channel = 'rupor') => `NOTIFY ${channel}, '${payload}';`;

test('what is notified of arrives when it is committed, and what is no publication is counted', async (t) => {
  const database = await Postgres.start(t);
  const flags = ['--postgres-channel', 'rupor', '--postgres-channel', 'Other', '--publish-bytes-max', '7990'];
  const rupor = await demo(t, flags, { env: { RUPOR_POSTGRES_URL: database.url } });
  await listening(rupor);
  assert.equal(await ready(rupor), 'ready\n');
  const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);

  await database.sql(notify('{"user":"anna","message":"by psql"}'));
  await database.sql(notify('{"all":true,"message":{"n":1}}', '"Other"'));
  await database.sql(`BEGIN; ${notify('{"all":true,"message":"taken back"}')} ROLLBACK;`);
  await database.sql(`BEGIN; ${notify('{"all":true,"message":"committed"}')} COMMIT;`);
  assert.deepEqual(await anna.messages(3), ['by psql', '{"n":1}', 'committed']);

  // As long as it may be, and one byte more.
  const frame = '{"all":true,"message":""}'.length;
  const long = (bytes) => notify(`{"all":true,"message":"${'x'.repeat(bytes - frame)}"}`);
  await database.sql(long(7990));
  assert.equal((await anna.messages(4))[3].length, 7990 - frame);
  await database.sql(long(7991));
  await counted(rupor, result('too_long'), 1);
  // PostgreSQL itself takes no more than 7999.
  await database.sql(long(7999));
  await assert.rejects(database.sql(long(8000)), /payload string too long/);
  await counted(rupor, result('too_long'), 2);

  await database.sql(notify('no JSON'));
  await database.sql('NOTIFY rupor;');
  await database.sql(notify('{"message":"to nobody"}'));
  await database.sql(notify('{"channel":"","message":1}'));
  await counted(rupor, result('wrong'), 3);
  await counted(rupor, result('refused'), 1);
  await rupor.waitFor(/a message from PostgreSQL was not published/);
  await database.sql(notify('{"all":true,"message":"the last"}'));
  assert.equal((await anna.messages(5))[4], 'the last');
  await counted(rupor, result('published'), 5);
  assert.ok(!rupor.output.includes(PASSWORD));
});

test('a PostgreSQL that is not there yet, goes and comes back is listened to again', async (t) => {
  const database = await Postgres.make(t);
  const rupor = await demo(t, [], { env: { RUPOR_POSTGRES_URL: database.url } });
  await rupor.waitFor(/PostgreSQL cannot be listened to/);
  assert.equal(await ready(rupor), 'ready, but: PostgreSQL is away\n');
  await database.start();
  await listening(rupor);
  const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  await database.sql(notify('{"all":true,"message":"before"}'));
  await anna.messages(1);

  await database.stop();
  await rupor.waitFor(/what is notified meanwhile is lost/);
  await counted(rupor, 'rupor_postgres_connections_lost_total', 1);
  assert.equal(await ready(rupor), 'ready, but: PostgreSQL is away\n');
  await database.start();
  await listening(rupor);
  await database.sql(notify('{"all":true,"message":"after"}'));
  assert.deepEqual(await anna.messages(2), ['before', 'after']);
  assert.ok(!rupor.output.includes(PASSWORD));
});

test('a wrong password and a server without TLS are told without the password', async (t) => {
  const database = await Postgres.start(t);
  for (const [address, why] of [
    [database.url.replace(PASSWORD, `${PASSWORD}-wrong`), /password authentication failed/],
    [`${database.url}?sslmode=require`, /server does not support TLS/],
  ]) {
    const rupor = await demo(t, [], { env: { RUPOR_POSTGRES_URL: address } });
    await rupor.waitFor(why);
    assert.ok(!rupor.output.includes(PASSWORD));
  }
});

test('by TLS only what an authority vouches for, that of SSL_CERT_FILE too; without one the fix names it', async (t) => {
  const database = await Postgres.make(t);
  const place = folder(t);
  const { cert, key } = await certificate(place, 'postgres');
  writeFileSync(join(database.data, 'postgresql.auto.conf'), `ssl = on\nssl_cert_file = '${cert}'\nssl_key_file = '${key}'\n`);
  await unprivileged(place, key);
  await database.start();
  const env = { RUPOR_POSTGRES_URL: `${database.url}?sslmode=require` };
  const stranger = await demo(t, [], { env });
  await stranger.waitFor(/invalid peer certificate: UnknownIssuer. Fix: .*SSL_CERT_FILE/);
  await listening(await demo(t, [], { env: { ...env, SSL_CERT_FILE: cert } }));
});
