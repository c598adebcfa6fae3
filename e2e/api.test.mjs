// The HTTP API, called with curl as the README shows.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Listener } from './support/listener.mjs';
import { demo, run } from './support/program.mjs';

/** Calls curl; resolves to status and body (parsed if it is JSON). */
async function curl(url, ...args) {
  const { code, stdout, stderr } = await run('curl', ['-sS', '-w', '\n%{http_code}', ...args, url]);
  assert.equal(code, 0, stderr);
  const [, body, status] = /^([^]*)\n(\d+)$/.exec(stdout);
  const json = /^[[{]/.test(body);
  return { status: Number(status), body: json ? JSON.parse(body) : body };
}

const JSON_TYPE = ['-H', 'Content-Type: application/json'];

test('publish sends to a user and says to how many connections', async (t) => {
  const rupor = await demo(t);
  const key = ['-H', `Authorization: Bearer ${rupor.key}`];
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=tester01`);
  const url = `http://${rupor.browsers}/api/publish`;

  const one = await curl(url, ...key, ...JSON_TYPE, '-d', '{"user":"tester01","message":"test"}');
  assert.equal(one.status, 200);
  assert.deepEqual(one.body, { ok: true, connections: 1 });

  const two = await curl(
    url, ...key, ...JSON_TYPE, '-d', '[{"user":"tester01","message":"a"},{"user":"nobody","message":"b"}]',
  );
  assert.equal(two.status, 200);
  assert.deepEqual(two.body.map((answer) => answer.connections), [1, 0]);
  assert.deepEqual(await tester.messages(2), ['test', 'a']);
});

test('calls that must not work are told why, by status and code', async (t) => {
  const rupor = await demo(t);
  const url = `http://${rupor.browsers}/api/publish`;
  const key = ['-H', `Authorization: Bearer ${rupor.key}`];
  const body = ['-d', '{"user":"tester01","message":"test"}'];
  const large = JSON.stringify({ user: 'a', message: 'x'.repeat(1024 * 1024) });

  const { code, stdout } = await run(
    'curl', ['-sS', '-w', '\n%{http_code}', ...key, ...JSON_TYPE, '--data-binary', '@-', url], { input: large },
  );
  assert.equal(code, 0);
  assert.match(stdout, /\n413$/);

  const cases = [
    [401, [...JSON_TYPE, ...body]],
    [401, ['-H', 'Authorization: Bearer wrong', ...JSON_TYPE, ...body]],
    [401, ['-u', `rupor:${rupor.key}`, ...JSON_TYPE, ...body]],
    [403, [...key, ...JSON_TYPE, ...body, '-H', 'Origin: https://evil.example']],
    [421, [...key, ...JSON_TYPE, ...body, '-H', 'Host: evil.example']],
    [415, [...key, ...body]],
    [400, [...key, ...JSON_TYPE, '-d', '{"user":']],
    [422, [...key, ...JSON_TYPE, '-d', '{"message":"to nobody"}']],
    [422, [...key, ...JSON_TYPE, '-d', '{"user":"a","message":"b","colour":"red"}']],
    [405, [...key]],
  ];
  for (const [status, args] of cases) {
    const answer = await curl(url, ...args);
    assert.equal(answer.status, status, `${args.join(' ')}: ${JSON.stringify(answer)}`);
    if (status !== 405) assert.equal(typeof answer.body.code, 'string', JSON.stringify(answer));
  }
});

test('users, channels and disconnect', async (t) => {
  const rupor = await demo(t);
  const key = ['-H', `Authorization: Bearer ${rupor.key}`];
  const api = `http://${rupor.browsers}/api`;
  const ann = await Listener.open(t, `ws://${rupor.browsers}/?user=ann&channel=news`);

  const online = await curl(`${api}/users/ann`, ...key);
  assert.equal(online.status, 200);
  assert.equal(online.body.online, true);
  assert.equal(online.body.connections.length, 1);
  const absent = await curl(`${api}/users/bob`, ...key);
  assert.equal(absent.body.online, false);
  const channel = await curl(`${api}/channels/news`, ...key);
  assert.equal(channel.status, 200);
  assert.match(JSON.stringify(channel.body), /\b1\b/);

  const closing = await curl(
    `${api}/disconnect`, ...key, ...JSON_TYPE, '-d', '{"user":"ann","code":4001,"reason":"signed out"}',
  );
  assert.equal(closing.status, 200, JSON.stringify(closing.body));
  assert.deepEqual(await ann.closed, { code: 4001, reason: 'signed out' });
});

test('health, readiness and metrics answer', async (t) => {
  const rupor = await demo(t);
  await Listener.open(t, `ws://${rupor.browsers}/?user=ann`);
  const at = `http://${rupor.browsers}`;
  assert.equal((await curl(`${at}/healthz`)).status, 200);
  assert.equal((await curl(`${at}/readyz`)).status, 200);
  const key = ['-H', `Authorization: Bearer ${rupor.key}`];
  const metrics = await curl(`${at}/metrics`, ...key);
  assert.equal(metrics.status, 200);
  assert.match(metrics.body, /^# TYPE rupor_\w+ \w+$/m);
  assert.match(metrics.body, /^rupor_\w*connections\w*(\{[^}]*\})? 1$/m);
  assert.ok(!metrics.body.includes(rupor.key));
});
