// `rupor serve` as a real site runs it: tokens that the site signs, rules for channels, foreign pages.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { line } from './support/lines.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { folder, start } from './support/program.mjs';

const SECRET = 'a secret of more than thirty-two bytes, only for this test';
const API_KEY = 'an-api-key-of-more-than-32-characters-for-this-test';

/** A JSON Web Token as a site makes it, HS256. */
function token(claims, { algorithm = 'HS256', secret = SECRET } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: algorithm, typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const soon = () => Math.floor(Date.now() / 1000) + 600;
const ann = () => token({ sub: 'ann', exp: soon() });

/** Starts `rupor serve` with a configuration file of its own. */
async function serve(t, more = '') {
  const place = folder(t);
  writeFileSync(join(place, 'jwt.key'), SECRET);
  writeFileSync(join(place, 'api.key'), API_KEY);
  const file = join(place, 'rupor.toml');
  writeFileSync(file, `
listen = ["127.0.0.1:0"]
inlet = ["tcp://127.0.0.1:0"]
origin = ["https://example.org"]
api_key_file = "${place}/api.key"
${more}

[[jwt]]
algorithm = "HS256"
key_file = "${place}/jwt.key"

[[channel]]
name = "news"
subscribe = "anyone"

[[channel]]
name = "inbox-{user}"
subscribe = "users"
`);
  const rupor = start(t, ['serve', '--config', file]);
  rupor.browsers = (await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  return rupor;
}

test('a token in the query, in a subprotocol or in the first message names the user', async (t) => {
  const rupor = await serve(t);
  const url = `ws://${rupor.browsers}/`;
  const query = await Listener.open(t, `${url}?token=${ann()}`);
  const offered = await Listener.open(t, url, ['rupor.plain', `rupor.jwt.${ann()}`]);
  assert.equal(offered.ws.protocol, 'rupor.plain');
  const message = await Listener.open(t, url, ['rupor.v1']);
  message.ws.send(JSON.stringify({ type: 'auth', token: ann(), id: 1 }));
  const types = (await message.messages(2)).map((text) => JSON.parse(text).type);
  assert.deepEqual(types, ['welcome', 'authenticated']);

  assert.deepEqual(await line(rupor.inlet, { user: 'ann', message: 'test' }), { ok: true, connections: 3 });
  assert.deepEqual(await query.messages(1), ['test']);
  assert.deepEqual(await offered.messages(1), ['test']);
  assert.deepEqual(JSON.parse((await message.messages(3))[2]), { type: 'message', user: 'ann', message: 'test' });
  assert.ok(!rupor.output.includes('eyJ'), 'a token is in the log');
});

test('a token that cannot be believed is refused with 401', async (t) => {
  const rupor = await serve(t);
  const payload = Buffer.from(JSON.stringify({ sub: 'ann', exp: soon() })).toString('base64url');
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
  const bad = {
    expired: token({ sub: 'ann', exp: soon() - 1200 }),
    'without exp': token({ sub: 'ann' }),
    'signed by another': token({ sub: 'ann', exp: soon() }, { secret: 'x'.repeat(40) }),
    'of another algorithm': token({ sub: 'ann', exp: soon() }, { algorithm: 'HS512' }),
    unsigned,
    'no token': 'ann',
  };
  for (const [name, value] of Object.entries(bad)) {
    const { status } = await refusal(t, `ws://${rupor.browsers}/?token=${value}`);
    assert.equal(status, 401, name);
  }
  // `?user=` is of demo mode only; without a token the first message has to bring one.
  const claimed = await Listener.open(t, `ws://${rupor.browsers}/?user=ann`);
  assert.deepEqual(await line(rupor.inlet, { user: 'ann', message: 'secret' }), { ok: true, connections: 0 });
  claimed.ws.send('not a token');
  const { code } = await claimed.closed;
  assert.equal(code, 3500);
  assert.deepEqual(claimed.received, []);
});

test('pages of other origins are refused, those of the list and programs are not', async (t) => {
  const rupor = await serve(t);
  const url = `ws://${rupor.browsers}/?token=${ann()}`;
  for (const origin of ['https://evil.example', 'http://example.org', 'https://example.org:444', 'null', 'file://']) {
    assert.equal((await refusal(t, url, [], { origin })).status, 403, origin);
  }
  await Listener.open(t, url, [], { origin: 'https://example.org' });
  await Listener.open(t, url, [], { origin: `http://${rupor.browsers}` });
  await Listener.open(t, url);
});

test('channels are open to whom the rules say', async (t) => {
  const rupor = await serve(t);
  const url = `ws://${rupor.browsers}/?token=${ann()}`;
  const listener = await Listener.open(t, `${url}&channel=news&channel=inbox-ann`);
  assert.equal((await refusal(t, `${url}&channel=inbox-bob`)).status, 403);
  assert.equal((await refusal(t, `${url}&channel=unheard-of`)).status, 403);
  await line(rupor.inlet, { channel: 'news', message: 'to all' });
  await line(rupor.inlet, { channel: 'inbox-ann', message: 'to ann' });
  assert.deepEqual(await listener.messages(2), ['to all', 'to ann']);
});

test('there are no demo pages, and the API wants the configured key', async (t) => {
  const rupor = await serve(t);
  const at = `http://${rupor.browsers}`;
  assert.equal((await fetch(`${at}/`)).status, 404);
  assert.equal((await fetch(`${at}/console`)).status, 404);
  assert.equal((await fetch(`${at}/healthz`)).status, 200);
  assert.equal((await fetch(`${at}/metrics`)).status, 401);
  const user = (key) =>
    fetch(`${at}/api/users/ann`, { headers: { Authorization: `Bearer ${key}` } }).then((r) => r.status);
  assert.equal(await user(API_KEY), 200);
  assert.equal(await user(`${API_KEY}x`), 401);
  assert.equal(await user(API_KEY.slice(1)), 401);
});
