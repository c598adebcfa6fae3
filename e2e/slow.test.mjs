// Browsers that stop reading, beside others that go on: what each rule for slow readers leaves them.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { lines } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { eventually, folder, inTime, start } from './support/program.mjs';

const API_KEY = 'an-api-key-of-more-than-32-characters-for-this-test';
const POLICIES = ['disconnect', 'drop-newest', 'drop-oldest', 'latest'];

// Several times of what the system's own buffers take of a connection that is not read.
const COUNT = 400;
const PADDING = 'x'.repeat(16_000);
const KEYS = 3;
// Fewer bytes at once than the soft limit: so who reads is never over it.
const AT_ONCE = 4;

/** `rupor serve` with a channel for each policy, named after it. */
async function serve(t) {
  const place = folder(t);
  writeFileSync(join(place, 'api.key'), API_KEY);
  const rules = POLICIES.map((slow) => `[[channel]]\nname = "${slow}"\nsubscribe = "anyone"\nslow = "${slow}"\n`);
  const file = join(place, 'rupor.toml');
  writeFileSync(file, `
auth = "none"
listen = ["127.0.0.1:0"]
inlet = ["tcp://127.0.0.1:0"]
api_key_file = "${place}/api.key"

[limits]
backlog_stall_ms = 60000

${rules.join('\n')}`);
  const rupor = start(t, ['serve', '--config', file]);
  rupor.browsers = (await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.key = API_KEY;
  return rupor;
}

const numbers = (texts) => texts.map((text) => Number(text.split(' ')[0]));

/** A connection in a channel that does not read; and what it heard, once it reads again. */
class Slow {
  static async open(t, rupor, channel) {
    const slow = new Slow();
    slow.listener = await Listener.open(t, `ws://${rupor.browsers}/?channel=${channel}`, ['rupor.v1']);
    await slow.listener.messages(1);
    slow.listener.ws.pause();
    return slow;
  }

  /** Reads again until every publication has come or is known not to. */
  async rest() {
    this.listener.ws.resume();
    const heard = () => this.listener.received.map((text) => JSON.parse(text));
    const of = (type) => heard().filter((event) => event.type === type);
    const leftOut = () => of('left_out').reduce((sum, { count }) => sum + count, 0);
    await eventually(
      () => [of('message').length, leftOut()],
      ([came, left]) => came + left === COUNT,
      `${COUNT} publications, received or left out`,
    );
    return { came: numbers(of('message').map(({ message }) => message)), leftOut: leftOut() };
  }
}

/** Publishes to a channel, no faster than the fast one reads; it gets all. */
async function publish(t, rupor, channel) {
  const fast = await Listener.open(t, `ws://${rupor.browsers}/?channel=${channel}`);
  for (let from = 0; from < COUNT; from += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, index) => from + index);
    const values = some.map((n) => ({ channel, key: n % KEYS, message: `${n} ${PADDING}` }));
    const answers = await lines(rupor.inlet, values);
    assert.ok(answers.every(({ ok }) => ok), JSON.stringify(answers));
    await fast.messages(from + AT_ONCE);
  }
  assert.deepEqual(numbers(fast.received), Array.from({ length: COUNT }, (_, n) => n));
}

/** What a slow reader of a channel gets, and that what it does not get is counted. */
async function spared(t, policy, reason) {
  const rupor = await serve(t);
  const slow = await Slow.open(t, rupor, policy);
  await publish(t, rupor, policy);
  const name = `rupor_left_out_publications_total{policy="${policy}",reason="${reason}"}`;
  const { came, leftOut } = await slow.rest();
  assert.ok(leftOut > 0 && came.length > 0, `${came.length} came, ${leftOut} did not`);
  await counted(rupor, name, leftOut);
  const all = await metrics(rupor);
  const total = [...all].filter(([each]) => each.startsWith('rupor_left_out')).reduce((sum, [, value]) => sum + value, 0);
  assert.equal(total, leftOut, 'and nothing else was left out');
  assert.deepEqual(came, came.toSorted((a, b) => a - b), 'in their order');
  return came;
}

test('drop-newest: a slow reader gets what was published first', async (t) => {
  const came = await spared(t, 'drop-newest', 'backlog_soft');
  // Later ones come too, where there was room again: the system takes more as it sees fit.
  const first = came.slice(0, 8);
  assert.deepEqual(first, Array.from(first, (_, n) => n));
});

test('drop-oldest: a slow reader gets what was published last', async (t) => {
  const came = await spared(t, 'drop-oldest', 'backlog_soft');
  // At least half of the soft limit is there in one piece.
  const last = came.slice(-8);
  assert.deepEqual(last, Array.from(last, (_, n) => COUNT - 8 + n));
});

test('latest: a slow reader gets the newest of each key', async (t) => {
  const came = await spared(t, 'latest', 'replaced');
  for (let n = COUNT - KEYS; n < COUNT; n += 1) assert.ok(came.includes(n), `${n} is the newest of its key`);
});

test('disconnect: a slow reader is closed with 3008, and nothing is left out', async (t) => {
  const rupor = await serve(t);
  const slow = await Slow.open(t, rupor, 'disconnect');
  await publish(t, rupor, 'disconnect');
  await counted(rupor, 'rupor_dropped_total{reason="backlog_bytes"}', 1);
  slow.listener.ws.resume();
  assert.deepEqual(await inTime(slow.listener.closed, 'the close'), { code: 3008, reason: 'reads too slowly' });
  const came = numbers(slow.listener.received.slice(1).map((text) => JSON.parse(text).message));
  assert.deepEqual(came, Array.from(came, (_, n) => n), 'without a hole until then');
  const all = await metrics(rupor);
  for (const [name, value] of all) assert.ok(!name.startsWith('rupor_left_out') || value === 0, name);
});
