// The outbox and notifications in a PostgreSQL 12, the oldest that rupor promises to work with.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { outbox } from './support/outbox.mjs';
import { OldestPostgres } from './support/postgres.mjs';
import { demo } from './support/program.mjs';

const skip = OldestPostgres.missing;

if (!skip) outbox(OldestPostgres);

test('a notification of PostgreSQL 12 arrives', { skip }, async (t) => {
  const database = await OldestPostgres.start(t);
  assert.match(await database.sql('SHOW server_version'), /^12\./);
  const rupor = await demo(t, [], { env: { RUPOR_POSTGRES_URL: database.url } });
  await counted(rupor, 'rupor_postgres_connected', 1);
  const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`);
  await database.sql(`NOTIFY rupor, '{"user":"anna","message":"from 12"}';`);
  assert.deepEqual(await anna.messages(1), ['from 12']);
});
