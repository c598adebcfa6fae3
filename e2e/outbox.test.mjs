// The outbox in a real PostgreSQL, an own one on a free port.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { outbox } from './support/outbox.mjs';
import { Postgres } from './support/postgres.mjs';
import { binary, run } from './support/program.mjs';

outbox(Postgres);

test('the SQL is made for the table that is named, and a wrong name is told', async () => {
  const { stdout } = await run(binary, ['outbox', 'install', '--table', 'push.queue']);
  assert.match(stdout, /CREATE TABLE IF NOT EXISTS push\.queue \(/);
  const { code, stderr } = await run(binary, ['outbox', 'install', '--table', 'a"; DROP']);
  assert.equal(code, 2);
  assert.match(stderr, /--table: .* is no name of a table/);
});
