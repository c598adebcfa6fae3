// The site is asked: who it is, and what he may. By the PHP that the how-to shows, and by a site that answers badly.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';

import { block } from './support/document.mjs';
import { line } from './support/lines.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { eventually, folder, inTime, start } from './support/program.mjs';
import { serve as serveWith } from './support/serve.mjs';

const KEY = randomBytes(32).toString('hex');
const ORIGIN = 'https://example.org';

const serve = (t, url, { auth = ['webhook'], before = '', table = '' } = {}) => serveWith(t, `
${before}
origin = ["${ORIGIN}"]
auth = ${JSON.stringify(auth)}
[auth_webhook]
url = "${url}"
key = "${KEY}"
${table}
[[channel]]
name = "orders.*"
subscribe = "webhook"
publish = "webhook"
`);

/** The site of the how-to. */
async function site(t) {
  const place = folder(t);
  writeFileSync(join(place, 'index.php'), block('docs/howto/auth-webhook.md', 'run: webhook'));
  const server = start(t, ['-S', '127.0.0.1:0', join(place, 'index.php')], { program: 'php', env: { RUPOR_AUTH_KEY: KEY } });
  const [, address] = await server.waitFor(/\(http:\/\/(127\.0\.0\.1:\d+)\) started/);
  return `http://${address}/`;
}

/** A site in this process; `answer(question, response)`. */
async function scripted(t, answer) {
  const questions = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const signed = `${request.headers['rupor-timestamp']}.${body}`;
    assert.equal(request.headers['rupor-signature'], `v1=${createHmac('sha256', KEY).update(signed).digest('hex')}`);
    questions.push(JSON.parse(body));
    answer(questions.at(-1), response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}/`, questions };
}

const from = (cookie, origin = ORIGIN) => ({ ...(origin && { origin }), headers: cookie ? { cookie } : {} });
const refused = (reason) => `rupor_identities_refused_total{way="webhook",reason="${reason}"}`;
const right = (name) => `rupor_forbidden_total{right="${name}"}`;

test('a site in PHP says who it is and what he may', async (t) => {
  const rupor = await serve(t, await site(t));
  const url = `ws://${rupor.browsers}/`;
  const anna = await Listener.open(t, url, ['rupor.v1'], from('sid=secret-of-anna; other=1'));
  const boris = await Listener.open(t, `${url}?channel=orders.boris`, [], from('sid=secret-of-boris'));
  await line(rupor.inlet, { user: 'anna', message: 'to anna' });
  await line(rupor.inlet, { channel: 'all-customers', message: 'to all' });
  await line(rupor.inlet, { channel: 'orders.boris', message: 'to boris' });
  assert.deepEqual(await boris.messages(2), ['to all', 'to boris']);
  assert.match((await anna.messages(3)).join(), /"user":"anna".*to anna.*to all/);

  const ask = async (request) => {
    anna.ws.send(JSON.stringify({ ...request, id: 'x' }));
    const answered = () => anna.received.findIndex((one) => one.includes('"id":"x"'));
    const place = await eventually(answered, (at) => at >= 0, 'an answer');
    return JSON.parse(anna.received.splice(place, 1)[0]);
  };
  assert.equal((await ask({ type: 'subscribe', channel: 'orders.anna' })).type, 'subscribed');
  assert.equal((await ask({ type: 'subscribe', channel: 'orders.anna' })).type, 'subscribed');
  assert.equal((await ask({ type: 'publish', channel: 'orders.anna', message: 'mine' })).type, 'published');
  await anna.messages(4);
  assert.match(anna.received.join(), /mine/);
  for (const type of ['subscribe', 'publish']) {
    const { code, text } = await ask({ type, channel: 'orders.boris', ...(type === 'publish' && { message: 'x' }) });
    assert.equal(code, 'forbidden');
    assert.match(text, new RegExp(`rule orders\\.\\* \\(.*rupor\\.toml:\\d+.*\\): ${type} = "webhook", and the site does not allow it: not your order`));
    await counted(rupor, right(type), 1);
  }
  await rupor.waitFor(/subscribe of channel orders\.boris by user anna is refused: rule orders/);

  const { status, text } = await refusal(t, `${url}?channel=orders.anna`, [], from('sid=secret-of-boris'));
  assert.equal(status, 403);
  assert.match(text, /orders\.anna: .*not your order/);
  assert.equal((await refusal(t, url, [], from('sid=guessed'))).status, 401);
  // A cookie goes along, so the page has to be the site's.
  for (const [origin, why] of [[null, 'origin'], ['https://evil.example', undefined]]) {
    assert.equal((await refusal(t, url, [], from('sid=secret-of-anna', origin))).status, 403);
    if (why) await counted(rupor, refused(why), 1);
  }
  assert.ok(!/secret-of|guessed/.test(rupor.output), rupor.output);
});

test('whatever is no clear yes lets nobody in, and is told apart', async (t) => {
  let answer;
  const { url, questions } = await scripted(t, (question, response) => answer(question, response));
  const rupor = await serve(t, url, { auth: ['webhook', 'guest'], table: 'timeout = "500ms"\nheaders = ["x-who"]' });
  const open = `ws://${rupor.browsers}/?a=b`;
  const headers = { headers: { 'x-who': 'canary', cookie: 'not=along', 'x-else': '1' } };
  const says = (status, body, more = {}) => (question, response) => response.writeHead(status, more).end(body);
  for (const [reply, status, reason, told] of [
    [says(401, ''), 401, 'refused', /the site refuses \(401\)/],
    [says(403, '{"user":"anna"}'), 403, 'refused', /the site refuses \(403\)/],
    [says(500, 'canary'), 503, 'status', /the site answers 500/],
    [says(302, '', { location: '/else' }), 503, 'redirect', /leads elsewhere/],
    [says(200, ''), 503, 'malformed', /not understood/],
    [says(200, '{"user":"a\\nb"}'), 503, 'malformed', /not understood/],
    [says(200, '{"user":"anna","canary":1}'), 503, 'malformed', /not understood/],
    [says(200, JSON.stringify({ user: 'x'.repeat(70_000) })), 503, 'too_long', /too long/],
    [() => {}, 503, 'late', /did not answer in time/],
  ]) {
    answer = reply;
    const seen = await refusal(t, open, [], headers);
    assert.equal(seen.status, status, reason);
    assert.match(seen.text, told);
    await rupor.waitFor(new RegExp(`an upgrade is refused: auth = "webhook": .*${told.source}`));
  }
  await counted(rupor, refused('refused'), 2);
  await counted(rupor, refused('malformed'), 3);
  for (const reason of ['status', 'redirect', 'too_long', 'late']) await counted(rupor, refused(reason), 1);
  await counted(rupor, 'rupor_identities_total{way="webhook",result="failed"}', 7);
  const { ask, target, headers: told } = questions[0];
  assert.deepEqual([ask, target, told], ['identity', '/?a=b', [['x-who', 'canary']]]);

  // Nobody in particular is the next way's; what the site names ends when it says.
  for (const [status, body] of [[204, undefined], [200, '{}'], [200, '{"user":null}'], [200, '{"user":""}']]) {
    answer = says(status, body);
    await Listener.open(t, open);
  }
  await counted(rupor, 'rupor_identities_total{way="guest",result="accepted"}', 4);
  answer = says(200, JSON.stringify({ user: 7, expires: Math.floor(Date.now() / 1000) + 5 }));
  const seven = await Listener.open(t, open);
  await line(rupor.inlet, { user: '7', message: 'to 7' });
  await seven.messages(1);
  assert.equal((await inTime(seven.closed, 'the end')).code, 3000);
  assert.ok(!rupor.output.includes('canary'), rupor.output);
});

test('a question about a channel waits beside the connection, and a site that is away says no', async (t) => {
  let held;
  const { url, questions } = await scripted(t, ({ ask, channel }, response) => {
    if (ask === 'identity') response.end('{"user":"anna"}');
    else if (channel === 'orders.broken') response.writeHead(500).end();
    else held = response;
  });
  const rupor = await serve(t, url);
  const anna = await Listener.open(t, `ws://${rupor.browsers}/`, ['rupor.v1'], from());
  await anna.messages(1);
  const send = (request) => anna.ws.send(JSON.stringify(request));
  send({ type: 'subscribe', channel: 'orders.1', id: 1 });
  send({ type: 'ping', id: 2 });
  assert.deepEqual(JSON.parse((await anna.messages(2))[1]), { type: 'pong', id: 2 });
  await eventually(() => held !== undefined, Boolean, 'the question');
  held.end('{"allow":true}');
  assert.deepEqual(JSON.parse((await anna.messages(3))[2]), { type: 'subscribed', channel: 'orders.1', id: 1 });
  assert.deepEqual(questions[1], { ask: 'subscribe', channel: 'orders.1', user: 'anna' });

  send({ type: 'publish', channel: 'orders.broken', message: 'lost', id: 3 });
  const { code, text } = JSON.parse((await anna.messages(4))[3]);
  assert.equal(code, 'unavailable');
  assert.match(text, /nothing was done: rule orders.*the site answers 500/);
  assert.equal(questions[2].message, 'lost');

  // Sixteen wait; the seventeenth is too many.
  for (let id = 10; id < 27; id++) send({ type: 'subscribe', channel: `orders.${id}`, id });
  assert.deepEqual(JSON.parse((await anna.messages(5))[4]).code, 'overloaded');
  const name = (result) => `rupor_channel_questions_total{result="${result}"}`;
  for (const result of ['allowed', 'failed', 'overloaded']) await counted(rupor, name(result), 1);
});

test('a channel in an address whose token comes late is refused by its rule, which the log names', async (t) => {
  const token = (claims) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`;
  };
  const { url, questions } = await scripted(t, (_, response) => response.end('{"allow":true}'));
  const rupor = await serve(t, url, { auth: ['jwt'], before: 'token.from = ["message"]', table: `[[jwt]]\nalgorithm = "HS256"\nkey = "${KEY}"` });
  const anna = await Listener.open(t, `ws://${rupor.browsers}/?channel=orders.1`, [], from());
  anna.ws.send(token({ sub: 'anna', exp: Math.floor(Date.now() / 1000) + 60 }));
  assert.equal((await inTime(anna.closed, 'the end')).code, 3501);
  await rupor.waitFor(/subscribe of channel orders\.1 by user anna is refused: rule orders\.\* \(.*rupor\.toml:\d+.*\): subscribe = "webhook", and .* in the first message/);
  await counted(rupor, right('subscribe'), 1);
  assert.deepEqual(questions, []);
});
