// permessage-deflate (RFC 7692) of `rupor serve`, with compressors that nobody here wrote at the other end: node's `ws`
// and python's `websockets`, both by the C zlib. A tap between them sees what is compressed on the wire.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { line, lines } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { eventually, folder, inTime, repository, start } from './support/program.mjs';
import { Tap } from './support/tap.mjs';

const API_KEY = 'an-api-key-of-more-than-32-characters-for-this-test';
const MIB = 1024 * 1024;

/** Everything that there is to agree to. */
const WIDE = `
[deflate]
enabled = true
server_takeover = true
client_takeover = true
server_window_bits = 15
client_window_bits = 15
`;
const DEFAULTS = '[deflate]\nenabled = true\n';

/** `rupor serve` with an echo, a channel for everybody and no limits on rates. */
async function serve(t, deflate, { workers = 1, limit = MIB } = {}) {
  const place = folder(t);
  writeFileSync(join(place, 'api.key'), API_KEY);
  const file = join(place, 'rupor.toml');
  writeFileSync(file, `
auth = "none"
listen = ["127.0.0.1:0"]
inlet = ["tcp://127.0.0.1:0"]
api_key_file = "${place}/api.key"
workers = ${workers}

[[channel]]
name = "news"
subscribe = "anyone"

[[channel]]
name = "prices"
subscribe = "anyone"
slow = "drop-oldest"

[[application]]
path = "/echo"
name = "echo"

[limits]
message_bytes_max = ${limit}
messages_per_second = 0
bytes_per_second = 0
backlog_stall_ms = 60000
${deflate}`);
  const rupor = start(t, ['serve', '--config', file]);
  rupor.browsers = (await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.key = API_KEY;
  return rupor;
}

/** A client that offers compression, seen on the wire: `sent` and `received` are the program's frames. */
async function tapped(t, rupor, path, offer = {}, options = {}, subprotocols = []) {
  const tap = await Tap.open(t, rupor.browsers);
  const perMessageDeflate = offer && { threshold: 0, ...offer };
  const listener = await Listener.open(t, `ws://${tap.address}${path}`, subprotocols, { perMessageDeflate, ...options });
  const [{ head, sent, received }] = tap.connections;
  const agreed = /^sec-websocket-extensions: (.*)\r$/im.exec(head())?.[1];
  assert.equal(listener.ws.extensions, agreed ? 'permessage-deflate' : '');
  return { listener, agreed, sent, received };
}

/** Letters that do not repeat soon, the same for a seed each time. */
function letters(count, seed) {
  const made = Buffer.alloc(count);
  for (let i = 0; i < count; i += 1) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    made[i] = 97 + ((seed >> 16) & 15);
  }
  return made.toString();
}

/** What chats and dashboards send. */
const json = (n) => JSON.stringify({ type: 'message', id: n, channel: 'news', text: `item ${(n * 37) % 90} costs ${n * 13}.00` });

/** Texts with matches at every distance that a window has, and some that do not compress. */
const TEXTS = [
  '', 'text', 'Привет, 世界 🧭', 'x'.repeat(200_000), letters(60_000, 1), letters(60_000, 1),
  ...[8, 9, 10, 11, 12, 13, 14, 15].flatMap((bits) => {
    const block = letters(1 << bits, bits);
    return [block, block + block, block.slice(0, 300)];
  }),
];

/** Sends each and waits until all are back. */
async function echoes(listener, texts) {
  const before = listener.received.length;
  for (const each of texts) listener.ws.send(each);
  await listener.messages(before + texts.length);
  assert.deepEqual(listener.received.slice(before), texts);
}

/** Publishes what comes to the listener as one message; its frame. */
async function arrives(rupor, { listener, sent }, value) {
  const before = listener.received.length;
  assert.equal((await line(rupor.inlet, value)).ok, true);
  assert.equal((await listener.messages(before + 1)).at(-1), value.message);
  return sent.at(-1);
}

const windows = [9, 10, 11, 12, 13, 14, 15];
const AGREEMENTS = [
  [WIDE, {}, 'client_max_window_bits=15'],
  [WIDE, { serverNoContextTakeover: true }, 'server_no_context_takeover; client_max_window_bits=15'],
  [WIDE, { clientNoContextTakeover: true }, 'client_no_context_takeover; client_max_window_bits=15'],
  [
    WIDE, { serverNoContextTakeover: true, clientNoContextTakeover: true },
    'server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15',
  ],
  ...windows.map((bits) => [
    WIDE, { serverMaxWindowBits: bits, clientMaxWindowBits: bits },
    `server_max_window_bits=${bits}; client_max_window_bits=${bits}`,
  ]),
  [DEFAULTS, {}, 'server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12'],
];

for (const [config, offer, answer] of AGREEMENTS) {
  const of = config === WIDE ? 'all of it' : 'the defaults';
  test(`node ws offers ${JSON.stringify(offer)} where ${of} is configured: both ways`, async (t) => {
    const rupor = await serve(t, config);
    const { listener, agreed, sent, received } = await tapped(t, rupor, '/echo', offer);
    assert.equal(agreed, `permessage-deflate; ${answer}`);
    const binary = Buffer.from(letters(100_000, 7));
    await echoes(listener, [...TEXTS, binary, Buffer.alloc(0), ...TEXTS]);
    await echoes(listener, Array.from({ length: 300 }, (_, n) => json(n)));
    // As fragments; and a Pong in between, which is never compressed.
    const [pong, before] = [once(listener.ws, 'pong'), listener.received.length];
    for (const [part, fin] of [['in ', false], ['three ', false], ['parts', true]]) listener.ws.send(part, { fin });
    listener.ws.ping('payload');
    assert.equal((await inTime(pong, 'a Pong'))[0].toString(), 'payload');
    assert.equal((await listener.messages(before + 1))[before], 'in three parts');

    // Something that does not repeat in itself comes a second time: cheap with takeover, if the window reaches back.
    const text = letters(240, 99); // the smallest window is 512 bytes, of which zlib looks back over 250
    const from = { sent: sent.length, received: received.length };
    await echoes(listener, [text, text]);
    const second = { sent: sent[from.sent + 1], received: received[from.received + 1] };
    const takeover = { sent: !answer.includes('server_no'), received: !answer.includes('client_no') };
    for (const way of ['sent', 'received']) {
      assert.equal(second[way].payload < 40, takeover[way], `${way}: ${second[way].payload} bytes`);
    }
    assert.ok([...sent, ...received].every(({ rsv1, opcode }) => !(rsv1 && opcode >= 8)), 'no control frame is compressed');
    const closed = listener.closed;
    listener.ws.close(4000, 'done');
    assert.equal((await inTime(closed, 'the close')).code, 4000);
  });
}

const PYTHON = [
  {},
  { server_no_context_takeover: true },
  { client_no_context_takeover: true },
  { server_no_context_takeover: true, client_no_context_takeover: true },
  { client_max_window_bits: null },
  ...windows.map((bits) => ({ server_max_window_bits: bits, client_max_window_bits: bits })),
];

/** A python client by that offer: see deflated.py. */
const python = (t, how, url, offer) =>
  start(t, [repository('e2e/support/deflated.py'), how, url, JSON.stringify(offer)], {
    program: repository('e2e/.venv/bin/python'),
  });

test('python websockets, with and without takeover and with every window: both ways', async (t) => {
  const rupor = await serve(t, WIDE);
  for (const offer of PYTHON) {
    const client = python(t, 'talk', `ws://${rupor.browsers}/echo`, offer);
    const [, agreed] = await client.waitFor(/^agreed (permessage-deflate.*)$/m);
    for (const name of ['server_no_context_takeover', 'client_no_context_takeover']) {
      assert.equal(agreed.includes(name), offer[name] ?? false, `${JSON.stringify(offer)}: ${agreed}`);
    }
    await client.waitFor(/^ok$/m);
    assert.deepEqual(await inTime(client.exited, 'the end'), { code: 0, signal: null });
  }
  const sent = (await metrics(rupor)).get('rupor_deflate_messages_total{direction="sent"}');
  assert.ok(sent > 300 * PYTHON.length, `${sent} compressed`);
});

const safari = (version) =>
  `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${version} Safari/605.1.15`;

test('what cannot be agreed to is declined, and all goes plain', async (t) => {
  const rupor = await serve(t, WIDE);
  for (const [offer, options] of [
    [{ serverMaxWindowBits: 8 }, {}],
    [{ clientMaxWindowBits: 8 }, {}],
    [false, {}],
    // What Safari 15 and programs on Apple's network stack say; they break on compressed messages.
    [{}, { headers: { 'User-Agent': safari('15.1') } }],
    [{}, { headers: { 'User-Agent': 'Site/1 CFNetwork/1240.0.4 Darwin/20.6.0' } }],
  ]) {
    const { listener, agreed, sent } = await tapped(t, rupor, '/echo', offer, options);
    assert.equal(agreed, undefined, JSON.stringify([offer, options]));
    await echoes(listener, [json(1), 'x'.repeat(10_000)]);
    assert.ok(sent.every(({ rsv1 }) => !rsv1));
  }
  const { agreed } = await tapped(t, rupor, '/echo', {}, { headers: { 'User-Agent': safari('18.0') } });
  assert.ok(agreed, 'later ones can');
});

test('short messages go plain, those of the least length do not', async (t) => {
  for (const [config, least] of [[DEFAULTS, 256], [WIDE, 32]]) {
    const rupor = await serve(t, config);
    const anna = await tapped(t, rupor, '/?user=anna');
    for (const [length, compressed] of [[least, true], [least - 1, false], [0, false]]) {
      const frame = await arrives(rupor, anna, { user: 'anna', message: 'x'.repeat(length) });
      assert.equal(frame.rsv1, compressed, `${length}`);
    }
    // Nor what does not become shorter.
    const { listener, sent } = await tapped(t, rupor, '/echo');
    await echoes(listener, [randomBytes(2000), json(1).repeat(4)]);
    assert.deepEqual(sent.map(({ rsv1 }) => rsv1), [false, true]);
  }
});

test('"compress":false goes plain to everybody and is nobody’s history', async (t) => {
  const rupor = await serve(t, WIDE);
  const anna = await tapped(t, rupor, '/?user=anna&channel=news');
  const secret = letters(500, 3);
  const plain = [false, secret.length];
  for (const target of [{ user: 'anna' }, { users: ['anna', 'bob'] }, { channel: 'news' }, { all: true }]) {
    const { rsv1, payload } = await arrives(rupor, anna, { ...target, message: secret, compress: false });
    assert.deepEqual([rsv1, payload], plain, JSON.stringify(target));
  }
  const published = await fetch(`http://${rupor.browsers}/api/publish`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'anna', message: secret, compress: false }),
  });
  assert.equal((await published.json()).connections, 1);
  await anna.listener.messages(5);
  assert.deepEqual([anna.sent[4].rsv1, anna.sent[4].payload], plain);
  // Also as JSON of rupor.v1.
  const v1 = await tapped(t, rupor, '/?user=boris', {}, {}, ['rupor.v1']);
  await v1.listener.messages(1);
  await line(rupor.inlet, { user: 'boris', message: secret, compress: false });
  assert.equal(JSON.parse((await v1.listener.messages(2))[1]).message, secret);
  assert.equal(v1.sent[1].rsv1, false);
  // Compressed now: not behind itself, for it was plain until here; the next time it is.
  for (const alone of [true, false]) {
    const { rsv1, payload } = await arrives(rupor, anna, { user: 'anna', message: secret });
    assert.deepEqual([rsv1, payload > 200], [true, alone], `${payload} bytes`);
  }
});

/** Those in one channel: how many of each, and what they offer. */
const MIXTURE = [
  [3, {}],
  [3, { serverNoContextTakeover: true }],
  [3, false],
  [2, { serverMaxWindowBits: 9 }],
  [2, { serverMaxWindowBits: 12 }],
  [2, { serverMaxWindowBits: 9, serverNoContextTakeover: true }],
];

test('receivers of every kind in one channel get all that is right, private messages in between', async (t) => {
  const rupor = await serve(t, WIDE, { workers: 2 });
  const url = (user) => `ws://${rupor.browsers}/?user=${user}&channel=news`;
  const [all, expected] = [new Map(), new Map()];
  for (const [count, perMessageDeflate] of MIXTURE) {
    for (let n = 0; n < count; n += 1) {
      const user = `u${all.size}`;
      all.set(user, await Listener.open(t, url(user), [], { perMessageDeflate }));
    }
  }
  const pythons = new Map([['p0', {}], ['p1', { server_max_window_bits: 10 }]]);
  for (const [user, offer] of pythons) {
    pythons.set(user, python(t, 'listen', url(user), offer));
    await pythons.get(user).waitFor(/^agreed/m);
  }
  const users = [...all.keys(), ...pythons.keys()];
  for (const user of users) expected.set(user, []);

  // By turns: for all, for one of them, long and short, some that repeat what was sent long before, some uncompressed.
  const values = Array.from({ length: 1500 }, (_, n) => {
    const user = users[(n * 7) % users.length];
    const target = n % 3 === 1 ? { user } : n % 50 === 0 ? { all: true } : { channel: 'news' };
    const message = n % 11 === 0 ? letters(3000, n % 5) + n : n % 97 === 0 ? letters(40_000, n) : json(n);
    return { ...target, message, ...(n % 13 === 0 && { compress: false }) };
  });
  for (const { user, message } of values) {
    for (const to of user ? [user] : users) expected.get(to).push(message);
  }
  for (let from = 0; from < values.length; from += 100) {
    const answers = await lines(rupor.inlet, values.slice(from, from + 100));
    assert.ok(answers.every(({ ok }) => ok), JSON.stringify(answers));
  }
  for (const [user, listener] of all) {
    await listener.messages(expected.get(user).length);
    assert.deepEqual(listener.received, expected.get(user), user);
  }
  for (const [user, client] of pythons) {
    const received = () => client.output.split('\n').slice(1, -1).map((text) => text.slice('received '.length));
    await eventually(() => received().length, (count) => count === expected.get(user).length, `all messages of ${user}`);
    assert.deepEqual(received().map((text) => JSON.parse(text)), expected.get(user), user);
  }
});

test('a slow reader misses whole publications, and what is compressed behind others comes right', async (t) => {
  const rupor = await serve(t, WIDE);
  const fast = await Listener.open(t, `ws://${rupor.browsers}/?channel=prices`, [], { perMessageDeflate: true });
  const slow = await Listener.open(t, `ws://${rupor.browsers}/?channel=prices&user=anna`, [], { perMessageDeflate: true });
  await line(rupor.inlet, { user: 'anna', message: 'private before' });
  await slow.messages(1);
  slow.ws.pause();
  // Several times of what the system's own buffers take, however well it is compressed.
  const [count, atOnce] = [400, 2];
  const publication = (n) => `${n} ${letters(32_000, n)}`;
  for (let from = 0; from < count; from += atOnce) {
    const some = Array.from({ length: atOnce }, (_, n) => ({ channel: 'prices', message: publication(from + n) }));
    const answers = await lines(rupor.inlet, [...some, { user: 'anna', message: `private ${json(from)}` }]);
    assert.ok(answers.every(({ ok }) => ok), JSON.stringify(answers));
    await fast.messages(from + atOnce);
  }
  slow.ws.resume();
  await line(rupor.inlet, { user: 'anna', message: 'private end' });
  await eventually(() => slow.received.at(-1), (last) => last === 'private end', 'the last message');
  const isPrivate = (text) => text.startsWith('private');
  const between = Array.from({ length: count / atOnce }, (_, n) => `private ${json(n * atOnce)}`);
  assert.deepEqual(slow.received.filter(isPrivate), ['private before', ...between, 'private end']);
  const came = slow.received.filter((text) => !isPrivate(text)).map((text) => Number(text.split(' ')[0]));
  const left = (await metrics(rupor)).get('rupor_left_out_publications_total{policy="drop-oldest",reason="backlog_soft"}');
  assert.ok(left > 0 && came.length === count - left, `${came.length} came, ${left} did not`);
  assert.deepEqual(slow.received.filter((text) => !isPrivate(text)), came.map(publication));
  assert.deepEqual(came, came.toSorted((a, b) => a - b));
  assert.deepEqual(fast.received, Array.from({ length: count }, (_, n) => publication(n)));
});

test('a message for many is compressed once for each kind of receiver, and the metrics count what is on the wire', async (t) => {
  const rupor = await serve(t, WIDE);
  const kinds = [{}, { serverNoContextTakeover: true }, { serverMaxWindowBits: 9 }, false];
  const each = 5;
  const everybody = [];
  for (let n = 0; n < each * kinds.length; n += 1) {
    everybody.push(await tapped(t, rupor, '/echo?channel=news', kinds[n % kinds.length]));
  }
  await counted(rupor, 'rupor_deflate_connections', 15);
  const count = 40;
  const messages = Array.from({ length: count }, (_, n) => json(n).repeat(4));
  await lines(rupor.inlet, messages.map((message) => ({ channel: 'news', message })));
  for (const { listener } of everybody) assert.deepEqual(await listener.messages(count), messages);
  await counted(rupor, 'rupor_deflate_compressions_total', 3 * count);
  for (const { listener } of everybody) await echoes(listener, [json(1).repeat(4)]);

  // All of what was sent, headers too; of what was received, the payloads.
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const bytes = sum(messages.map((text) => Buffer.byteLength(text)));
  const echoed = Buffer.byteLength(json(1).repeat(4));
  for (const [way, frames, plain, wire] of [
    ['sent', everybody.flatMap(({ sent }) => sent), bytes + echoed, (frame) => frame.bytes],
    ['received', everybody.flatMap(({ received }) => received), echoed, (frame) => frame.payload],
  ]) {
    const compressed = frames.filter(({ rsv1 }) => rsv1);
    assert.equal(compressed.length, 3 * each * (way === 'sent' ? count + 1 : 1));
    await counted(rupor, `rupor_deflate_messages_total{direction="${way}"}`, compressed.length);
    await counted(rupor, `rupor_deflate_plain_bytes_total{direction="${way}"}`, 3 * each * plain);
    await counted(rupor, `rupor_deflate_wire_bytes_total{direction="${way}"}`, sum(compressed.map(wire)));
  }
});

/** A figure of the process in bytes: VmRSS is what it has in memory, VmHWM the most that it had. */
const resident = (rupor, name) =>
  Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${rupor.child.pid}/status`, 'utf8'))[1]) * 1024;

test('a connection with takeover both ways costs at most 12 KB for its first 20 messages', async (t) => {
  const rupor = await serve(t, WIDE);
  const open = () => Listener.open(t, `ws://${rupor.browsers}/echo`, [], { perMessageDeflate: { threshold: 0 } });
  // The compressor and the buffers are there once.
  await echoes(await open(), Array.from({ length: 20 }, (_, n) => json(n)));
  const [count, before] = [500, resident(rupor, 'VmRSS')];
  const all = [];
  for (let n = 0; n < count; n += 1) all.push(await open());
  for (let n = 0; n < 20; n += 1) await Promise.all(all.map((listener, index) => echoes(listener, [json(index * 100 + n)])));
  const each = (resident(rupor, 'VmRSS') - before) / count;
  t.diagnostic(`${each} bytes each`);
  assert.ok(each <= 12_000, `${each} bytes each`);
});

test('bombs of 256 MiB are closed with 1009 and cost less than the longest message', async (t) => {
  const limit = 4 * MIB;
  const rupor = await serve(t, WIDE, { limit });
  const bomb = Buffer.alloc(256 * MIB);
  const before = resident(rupor, 'VmRSS');
  for (let n = 0; n < 3; n += 1) {
    const { listener } = await tapped(t, rupor, '/echo');
    await echoes(listener, [json(1)]);
    listener.ws.send(bomb);
    assert.equal((await inTime(listener.closed, 'the close')).code, 1009);
  }
  const more = resident(rupor, 'VmHWM') - before;
  t.diagnostic(`at most ${more} bytes more`);
  assert.ok(more <= limit + 64 * 1024, `${more} bytes more`);
  // Who keeps to the limit is served, to the byte.
  const { listener } = await tapped(t, rupor, '/echo');
  await echoes(listener, ['x'.repeat(limit)]);
  listener.ws.send('x'.repeat(limit + 1));
  assert.equal((await inTime(listener.closed, 'the close')).code, 1009);
});
