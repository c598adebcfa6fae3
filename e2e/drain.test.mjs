// How the program ends and reloads, as clients see it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { demo, inTime } from './support/program.mjs';

const opened = (t, rupor, count) =>
  Promise.all(
    Array.from({ length: count }, (_, i) => Listener.open(t, `ws://${rupor.browsers}/?user=u${i}`)),
  );

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} closes every connection with 1001 and ends well`, async (t) => {
    const rupor = await demo(t, ['--drain', '1s', '--workers', '2']);
    const listeners = await opened(t, rupor, 20);
    rupor.child.kill(signal);
    for (const listener of listeners) {
      assert.equal((await inTime(listener.closed, 'a close')).code, 1001);
    }
    assert.deepEqual(await inTime(rupor.exited, 'the end'), { code: 0, signal: null });
  });
}

test('while it drains nobody new comes in, and it says that it is not ready', async (t) => {
  const rupor = await demo(t, ['--drain', '15s']);
  const listeners = await opened(t, rupor, 30);
  rupor.child.kill('SIGTERM');
  // The first close shows that the drain has begun.
  await inTime(Promise.race(listeners.map((listener) => listener.closed)), 'a first close');
  await assert.rejects(Listener.open(t, `ws://${rupor.browsers}/?user=late`));
  const ready = await fetch(`http://${rupor.browsers}/readyz`).then(
    (response) => response.status,
    () => 'refused',
  );
  assert.ok(ready === 503 || ready === 'refused', `readyz: ${ready}`);
});

test('a second signal ends it at once', async (t) => {
  const rupor = await demo(t, ['--drain', '600s']);
  const listeners = await opened(t, rupor, 50);
  rupor.child.kill('SIGTERM');
  await inTime(Promise.race(listeners.map((listener) => listener.closed)), 'a first close');
  rupor.child.kill('SIGTERM');
  // Long before the drain of ten minutes: the deadline of everything here is shorter.
  await inTime(rupor.exited, 'the end');
  for (const listener of listeners) await inTime(listener.closed, 'the end of every connection');
});
