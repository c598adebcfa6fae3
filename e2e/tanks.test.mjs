// The rules of the tank game, held by the server: real handlers in PHP, players played by `ws`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { demo, eventually, inTime, repository } from './support/program.mjs';

const game = (t) => demo(t, ['--php', repository('examples/tanks/handlers.php'), '--messages-per-second', '0']);

/** A player whose newest view is `seen`. */
class Player {
  static async enter(t, rupor, name) {
    const player = new Player();
    player.listener = await Listener.open(t, `ws://${rupor.browsers}/?name=${encodeURIComponent(name)}`);
    const { you } = JSON.parse((await player.listener.messages(1))[0]);
    player.id = you;
    await player.until((seen) => seen.tanks.some(([id]) => id === you), 'itself');
    return player;
  }

  get messages() {
    return this.listener.received.map((text) => JSON.parse(text));
  }

  get seen() {
    return this.messages.findLast((message) => message.at);
  }

  /** Waits until what it sees is as wanted. */
  until(wanted, what) {
    return eventually(() => this.seen, (seen) => seen && wanted(seen), `a player to see ${what}`);
  }

  hears(wanted) {
    return eventually(() => this.messages.map((message) => message.news ?? message.said), (all) => all.includes(wanted), wanted);
  }

  wants(wish) {
    this.listener.ws.send(JSON.stringify(wish));
  }

  /** Ids of the tanks that it sees, without its own. */
  get others() {
    return this.seen.tanks.map(([id]) => id).filter((id) => id !== this.id);
  }
}

test('tanks: a player is told of what is near, and of nothing else', async (t) => {
  const rupor = await game(t);
  const anna = await Player.enter(t, rupor, 'anna');
  const boris = await Player.enter(t, rupor, 'boris');
  const clara = await Player.enter(t, rupor, 'clara');
  await boris.until((seen) => seen.tanks.length === 3, 'both others');
  await anna.until((seen) => seen.tanks.length === 2, 'boris');
  assert.deepEqual(anna.others, [boris.id]);
  assert.deepEqual(clara.others, [boris.id]);
  // Out of sight, boris is gone for clara.
  boris.wants({ go: 3 });
  await clara.until((seen) => seen.tanks.length === 1, 'herself alone');
  await anna.until((seen) => seen.tanks.some(([id, x]) => id === boris.id && x < 600), 'boris come nearer');
});

test('tanks: walls, edges and other tanks are in the way', async (t) => {
  const rupor = await game(t);
  const anna = await Player.enter(t, rupor, 'anna');
  const boris = await Player.enter(t, rupor, 'boris');
  assert.deepEqual(anna.seen.at, [400, 300]);
  anna.wants({ go: 1 });
  boris.wants({ go: 3 });
  const places = ({ tanks }) => [anna.id, boris.id].map((id) => tanks.find((tank) => tank[0] === id)?.slice(1, 3));
  await anna.until((seen) => {
    const [a, b] = places(seen);
    return a && b && b[0] - a[0] === 40 && a[1] === b[1]; // each is 20 to its edge
  }, 'the two side by side');
  const stand = places(anna.seen);
  await anna.listener.messages(anna.listener.received.length + 3);
  assert.deepEqual(places(anna.seen), stand);

  boris.wants({ go: null });
  anna.wants({ go: 0 });
  await anna.until(({ at }) => at[1] === 180, 'the wall above'); // which ends at 160
  anna.wants({ go: 3 });
  await anna.until(({ at }) => at[0] === 20, 'the edge');
  await anna.listener.messages(anna.listener.received.length + 3);
  assert.deepEqual(anna.seen.at, [20, 180]);
});

test('tanks: hits are counted, three knock out, and the tank comes back', async (t) => {
  const rupor = await game(t);
  const anna = await Player.enter(t, rupor, 'anna');
  const boris = await Player.enter(t, rupor, 'boris');
  anna.wants({ go: 1 });
  anna.wants({ go: null });
  anna.wants({ fire: true });
  await boris.until(({ life }) => life === 2, 'a hit');
  await anna.until(({ hits, bursts }) => hits >= 1 && bursts, 'the hit counted');
  await boris.until(({ away }) => away > 0, 'the end');
  anna.wants({ fire: false });
  await anna.hears('anna knocked out boris');
  await anna.until(({ tanks }) => tanks.length === 1, 'nobody');
  await boris.until(({ away, life }) => away === 0 && life === 3, 'the field again');
  assert.equal(anna.seen.hits, 3);
  const scores = () => boris.messages.findLast((message) => message.scores)?.scores;
  await eventually(scores, (all) => all?.[0].join() === 'anna,3', 'the scores');
});

test('tanks: what a player may not say does nothing', async (t) => {
  const rupor = await game(t);
  const anna = await Player.enter(t, rupor, 'anna\u0000');
  for (const text of ['', 'no JSON', '[]', '7', 'null', '{"go":4}', '{"go":"1"}', '{"go":[1]}', '{"fire":"yes"}', '{"say":["x"]}',
    `{"say":"${'x'.repeat(201)}"}`, '{"say":" "}', `${'['.repeat(2000)}`]) anna.listener.ws.send(text);
  anna.listener.ws.send(Buffer.from([255, 254]));
  anna.wants({ say: 'привет' });
  anna.wants({ say: 'too soon' });
  await anna.hears('привет');
  const { at } = anna.seen;
  const views = anna.listener.received.length;
  await anna.listener.messages(views + 5);
  assert.deepEqual(anna.seen.at, at);
  assert.deepEqual(anna.messages.filter(({ said }) => said).map(({ said, by }) => [by, said]), [['anna', 'привет']]);
});

test('tanks: a new process costs a new place, and neither connections nor hits', async (t) => {
  const rupor = await game(t);
  const anna = await Player.enter(t, rupor, 'anna');
  await Player.enter(t, rupor, 'boris');
  anna.wants({ fire: true });
  await anna.until(({ hits }) => hits === 1, 'a hit');
  anna.wants({ fire: false });
  await anna.until(({ shells }) => shells.length === 0, 'no shells');
  const { hits } = anna.seen;
  const fields = () => anna.messages.filter((message) => message.walls).length;
  rupor.child.kill('SIGHUP');
  await eventually(fields, (count) => count === 2, 'a new field');
  const before = anna.listener.received.length;
  await anna.listener.messages(before + 2);
  assert.equal(anna.seen.hits, hits);
  assert.equal(anna.seen.tanks.length, 2);
});

test('tanks: the field has room for 64, and who comes then is told so', async (t) => {
  const rupor = await game(t);
  const open = () => Listener.open(t, `ws://${rupor.browsers}/?name=many`);
  const players = await Promise.all(Array.from({ length: 64 }, open));
  await Promise.all(players.map((player) => player.messages(2)));
  const late = await open();
  assert.deepEqual(await inTime(late.closed, 'the close'), { code: 4013, reason: 'the field is full' });
  players[0].ws.close();
  await inTime(players[0].closed, 'the close');
  const next = await open();
  assert.match((await next.messages(1))[0], /"you":/);
});
