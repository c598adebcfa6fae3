// Whom a line may be addressed to, seen by node's `ws`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { line, lines } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { demo, run } from './support/program.mjs';

/** Opens a connection for each query string. */
const open = (t, rupor, ...queries) =>
  Promise.all(queries.map((query) => Listener.open(t, `ws://${rupor.browsers}/${query}`)));

test('users, channel and all reach exactly those', async (t) => {
  const rupor = await demo(t, ['--workers', '2']);
  const [ann, bob, cid] = await open(
    t, rupor, '?user=ann&channel=news', '?user=bob&channel=news&channel=sport', '?user=cid',
  );
  const answers = await lines(rupor.inlet, [
    { users: ['ann', 'cid', 'nobody'], message: 'two users' },
    { channel: 'news', message: 'news' },
    { channel: 'sport', message: 'sport' },
    { channel: 'empty', message: 'nobody hears' },
    { user: 'nobody', message: 'nobody hears' },
    { all: true, message: 'end' },
  ]);
  assert.deepEqual(answers.map((answer) => answer.connections), [2, 2, 1, 0, 0, 3]);
  assert.ok(answers.every((answer) => answer.ok));
  assert.deepEqual(await ann.messages(3), ['two users', 'news', 'end']);
  assert.deepEqual(await bob.messages(3), ['news', 'sport', 'end']);
  assert.deepEqual(await cid.messages(2), ['two users', 'end']);
});

test('what was written on one inlet connection arrives in that order on every worker', async (t) => {
  const rupor = await demo(t, ['--workers', '4']);
  const listeners = await open(t, rupor, ...Array.from({ length: 8 }, () => '?channel=news'));
  const texts = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
  const answers = await lines(rupor.inlet, texts.map((message) => ({ channel: 'news', message })));
  assert.ok(answers.every((answer) => answer.ok && answer.connections === 8));
  for (const listener of listeners) assert.deepEqual(await listener.messages(2000), texts);
});

test('exclude leaves one connection out', async (t) => {
  const rupor = await demo(t);
  const [first] = await open(t, rupor, '?user=ann');
  const status = await fetch(`http://${rupor.browsers}/api/users/ann`, {
    headers: { Authorization: `Bearer ${rupor.key}` },
  });
  const id = /"([0-9a-f]{16})"/.exec(await status.text())[1];
  const [second] = await open(t, rupor, '?user=ann');
  const answer = await line(rupor.inlet, { user: 'ann', message: 'not to the first', exclude: id });
  assert.deepEqual(answer, { ok: true, connections: 1 });
  await line(rupor.inlet, { all: true, message: 'end' });
  assert.deepEqual(await second.messages(2), ['not to the first', 'end']);
  assert.deepEqual(await first.messages(1), ['end']);
});

test('a bad line is answered with a code and the next one still works', async (t) => {
  const rupor = await demo(t);
  const answers = await lines(rupor.inlet, [
    '{"user":"ann"',
    { user: 'ann', message: 'x', colour: 'red' },
    { message: 'x' },
    { user: 'ann', channel: 'news', message: 'x' },
    { user: 'ann' },
    { user: ['ann'], message: 'x', id: 5 },
    { user: 'ann', message: 'y'.repeat(1024 * 1024) },
    { user: 'ann', message: 'x', id: 'last' },
  ]);
  assert.deepEqual(
    answers.map((answer) => answer.code),
    ['bad_json', 'unknown_field', 'no_target', 'several_targets', 'no_message', 'bad_value', 'line_too_long', undefined],
  );
  assert.ok(answers.slice(0, 7).every((answer) => answer.ok === false && answer.error.length > 5));
  assert.deepEqual(answers[7], { ok: true, id: 'last', connections: 0 });
});

test('a web page cannot publish by posting to the inlet', async (t) => {
  const rupor = await demo(t);
  const [ann] = await open(t, rupor, '?user=ann');
  const body = '{"user":"ann","message":"forged"}\n';
  const posted = await fetch(`http://${rupor.inlet}/`, { method: 'POST', body }).then(
    (response) => response.status,
    () => 'no HTTP',
  );
  assert.equal(posted, 'no HTTP');
  // curl shows the one line that it is answered. It may be cut off while it still sends.
  const { stdout } = await run('curl', ['-s', '--http0.9', '-d', body, `http://${rupor.inlet}/`]);
  assert.equal(JSON.parse(stdout).code, 'http');
  await line(rupor.inlet, { all: true, message: 'end' });
  assert.deepEqual(await ann.messages(1), ['end']);
});
