// Classes that were written for other libraries, unchanged, behind the real gateway: `ws` clients against `rupor demo --php`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { metrics } from './support/metrics.mjs';
import { demo, eventually, inTime, repository } from './support/program.mjs';

const handlers = (name) => repository(`clients/php/tests/handlers/${name}.php`);

const withHandlers = (t, name, flags = []) => demo(t, ['--php', handlers(name), ...flags]);

/** Waits for a message that is as wanted, however many others come before it. */
const hears = (listener, wanted) =>
  eventually(() => listener.received, (all) => all.some((text) => wanted.test(text)), `${wanted}`);

const headers = { Cookie: 'a=1; PHPSESSID=4sk3', 'X-Real-IP': '198.51.100.7' };

test('Ratchet: a component from the tutorials chats', async (t) => {
  const rupor = await withHandlers(t, 'ratchet_chat');
  const open = (user) => Listener.open(t, `ws://${rupor.browsers}/?user=${user}`, [], { headers });
  const anna = await open('anna');
  const hello = (await anna.messages(1))[0];
  assert.match(hello, /^hello anna #\d+ of 127\.0\.0\.1, a=1; PHPSESSID=4sk3$/);
  const boris = await open('boris');
  assert.notEqual((await boris.messages(1))[0].match(/#(\d+)/)[1], hello.match(/#(\d+)/)[1]);

  boris.ws.send('привет');
  assert.equal((await anna.messages(2))[1], 'boris: привет');
  anna.ws.send('again');
  assert.equal((await boris.messages(2))[1], 'anna: again');
  boris.ws.close();
  assert.equal((await anna.messages(3))[2], 'boris left, 1 here');
});

test('Ratchet: onError hears of exceptions and errors, and closes', async (t) => {
  const rupor = await withHandlers(t, 'ratchet_chat');
  for (const [message, told] of [['throw', /php: error: thrown/], ['error', /php: error: Call to undefined function null_call/]]) {
    const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna`, [], { headers });
    anna.ws.send(message);
    assert.equal((await inTime(anna.closed, 'the close')).code, 1000);
    await rupor.waitFor(told);
  }
  assert.equal((await metrics(rupor)).get('rupor_php_events_failed_total{pool="*"}'), 0);
});

test('Ratchet: a component goes on with its connections in another process', async (t) => {
  const rupor = await withHandlers(t, 'ratchet_chat');
  const [anna, boris] = await Promise.all(['anna', 'boris'].map((user) =>
    Listener.open(t, `ws://${rupor.browsers}/?user=${user}`, [], { headers })));
  await Promise.all([anna.messages(1), boris.messages(1)]);
  rupor.child.kill('SIGHUP');
  // The component knows nothing of processes: it greets everybody again.
  await Promise.all([anna.messages(2), boris.messages(2)]);
  assert.equal(anna.received[1], anna.received[0]);
  anna.ws.send('still here');
  assert.equal((await boris.messages(3))[2], 'anna: still here');
});

test('morozovsk/websocket: a daemon chats, and its timer ticks', async (t) => {
  const rupor = await withHandlers(t, 'daemon_chat');
  await rupor.waitFor(/php: started as \d+/);
  const open = (id) => Listener.open(t, `ws://${rupor.browsers}/?userId=${id}`, [], { headers });
  const anna = await open(5);
  const you = `from 127\\.0\\.0\\.1:\\d+, ${rupor.browsers}, 198\\.51\\.100\\.7, a=1; PHPSESSID=4sk3$`;
  await hears(anna, new RegExp(`^you are #1 ${you}`));
  const boris = await open(6);
  await hears(boris, new RegExp(`^you are #2 ${you}`));

  boris.ws.send('hi');
  await hears(anna, /^#2: hi \(text\)$/);
  await hears(boris, /^#2: hi \(text\)$/);
  boris.ws.send(Buffer.from('raw'));
  await hears(anna, /^#2: raw \(binary\)$/);
  await hears(anna, /^tick$/);

  boris.ws.send('bye');
  assert.equal((await inTime(boris.closed, 'the close')).code, 1000);
  await hears(anna, /^#2 left, 1 here$/);
});

test('morozovsk/websocket: names are unique over all workers, because one master keeps them', async (t) => {
  const rupor = await withHandlers(t, 'daemon_master', ['--php-workers', '3']);
  const clients = await Promise.all(Array.from({ length: 12 }, () => Listener.open(t, `ws://${rupor.browsers}/`)));
  for (const { ws } of clients) ws.send('anna');
  const answer = (client) => client.received.find((text) => /^(you are anna|anna is taken)$/.test(text));
  await eventually(() => clients.map(answer), (all) => all.every(Boolean), 'an answer for everybody');
  assert.equal(clients.filter((client) => answer(client) === 'you are anna').length, 1);

  clients[0].ws.send('boris');
  await hears(clients[0], /^you are boris$/);
  // Whoever lives in another process than boris hears of him.
  await eventually(() => clients.filter(({ received }) => received.includes('boris came')).length, (n) => n >= 1, 'the news');
});
