// `bench/run.py`, which compares rupor with other servers, as far as it goes without them: nothing is built.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { binary, folder, repository, run } from './support/program.mjs';

// Server and generator get a core each.
const tooFew = availableParallelism() < 2 && 'there is one core';

test('bench/run.py measures rupor and writes its page around what stands there', { skip: tooFew }, async (t) => {
  const place = folder(t);
  const [page, results] = [join(place, 'page.md'), join(place, 'results.json')];
  writeFileSync(page, '# Performance\n\nBy hand.\n');
  const files = ['--page', page, '--results', results];
  const tiny = ['--no-build', '--peers', 'rupor', '--seconds', '0.2', '--warmup', '0', '--repeats', '1'];
  const cells = ['echo-64-x1-d1', 'push-x1000-d1000', 'wss-1k-x100-d1'];
  const first = await run('python3', [repository('bench/run.py'), '--program', binary, ...tiny, ...files, ...cells]);
  assert.equal(first.code, 0, first.stdout + first.stderr);

  const { cells: measured } = JSON.parse(readFileSync(results, 'utf8'));
  assert.deepEqual(Object.keys(measured).sort(), [...cells].sort());
  for (const cell of Object.values(measured)) {
    const [{ runs: [figures] }] = cell.passes;
    assert.ok(figures.messages > 0 && figures.messages_per_cpu_s > 0, JSON.stringify(figures));
  }
  const text = readFileSync(page, 'utf8');
  assert.match(text, /^# Performance\n\nBy hand\.\n/);
  assert.match(text, /\| `push-x1000-d1000` \| rupor, the gateway \| ≥ 300,000 messages per CPU second \| [\d,]+ \|/);
  assert.match(text, /\| `echo-64-x1-d1` \| rupor \| ≥ 0\.95 × floor \| +\| not measured \|/);

  // Written again it is the same: nothing by hand is lost, nothing comes twice.
  const again = await run('python3', [repository('bench/run.py'), '--page-only', ...files]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(readFileSync(page, 'utf8'), text);
});

test('bench/run.py names what there is, and what there is not', { skip: tooFew }, async () => {
  const { code, stdout } = await run('python3', [repository('bench/run.py'), '--list']);
  assert.equal(code, 0);
  assert.match(stdout, /^idle-100k +100,000 opened/m);
  const wrong = await run('python3', [
    repository('bench/run.py'), '--no-build', '--peers', 'rupor', '--program', binary, 'no-such-cell',
  ]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--list/);
});
