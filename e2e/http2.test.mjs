// WebSockets over HTTP/2 (RFC 8441), with the HTTP/2 of node and the frames of ws.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { test } from 'node:test';

import { Receiver, Sender } from 'ws';

import { certificate } from './support/certificate.mjs';
import { line } from './support/lines.mjs';
import { counted } from './support/metrics.mjs';
import { demo, eventually, folder, inTime, run } from './support/program.mjs';

/** The demo with a certificate. */
async function secure(t, flags = []) {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  const rupor = await demo(t, ['--tls-cert', cert, '--tls-key', key, ...flags]);
  return Object.assign(rupor, { cert });
}

/** An HTTP/2 connection that knows what the server allows. */
async function http2(t, rupor) {
  const connection = connect(`https://${rupor.browsers}`, { ca: readFileSync(rupor.cert) });
  t.after(() => connection.destroy());
  const [settings] = await inTime(once(connection, 'remoteSettings'), 'the settings');
  assert.equal(settings.enableConnectProtocol, true);
  return connection;
}

/** Asks for a WebSocket; resolves to the stream and its status. */
async function ask(connection, path, headers = {}) {
  const stream = connection.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', ...headers,
  });
  const [answer] = await inTime(once(stream, 'response'), 'an answer');
  return { stream, answer, status: answer[':status'] };
}

/** A WebSocket on a stream of the connection. */
async function open(connection, path, headers) {
  const { stream, answer, status } = await ask(connection, path, headers);
  assert.equal(status, 200);
  const received = [];
  const receiver = new Receiver({ isServer: false });
  const peer = { stream, answer, received, ended: null, sender: new Sender(stream) };
  receiver.on('message', (data, isBinary) => received.push(isBinary ? data : data.toString()));
  receiver.on('conclude', (code, reason) => (peer.ended = { code, reason: reason.toString() }));
  stream.pipe(receiver);
  peer.send = (data) => peer.sender.send(data, { binary: typeof data !== 'string', mask: true, fin: true });
  peer.messages = (count) => eventually(() => received, (seen) => seen.length >= count, `${count} messages`);
  return peer;
}

test('several WebSockets share one HTTP/2 connection with pages and the API', async (t) => {
  const rupor = await secure(t);
  const connection = await http2(t, rupor);
  const [anna, boris, echo] = await Promise.all([
    open(connection, '/?user=anna'), open(connection, '/?user=boris'), open(connection, '/echo'),
  ]);
  await counted(rupor, 'rupor_http2_opened_total', 3);
  assert.equal((await line(rupor.inlet, { user: 'anna', message: 'for anna' })).connections, 1);
  assert.deepEqual(await anna.messages(1), ['for anna']);

  const call = connection.request({
    ':method': 'POST', ':path': '/api/publish', 'content-type': 'application/json', authorization: `Bearer ${rupor.key}`,
  });
  call.end('{"user":"boris","message":"for boris"}');
  const [answer] = await inTime(once(call, 'response'), 'the answer of the API');
  assert.equal(answer[':status'], 200);
  assert.deepEqual(await boris.messages(1), ['for boris']);

  const large = 'ж'.repeat(30_000);
  echo.send(large);
  echo.send(Buffer.from([0, 255, 1]));
  assert.deepEqual(await echo.messages(2), [large, Buffer.from([0, 255, 1])]);
  assert.deepEqual(anna.received, ['for anna']);
});

test('closing ends the stream on both sides, and the others live on', async (t) => {
  const rupor = await secure(t);
  const connection = await http2(t, rupor);
  const [one, other] = [await open(connection, '/echo'), await open(connection, '/echo')];
  const over = once(one.stream, 'end');
  one.sender.close(4001, 'enough', true);
  await inTime(over, 'END_STREAM behind the close frame');
  assert.deepEqual(one.ended, { code: 4001, reason: '' });
  one.stream.end();
  await inTime(once(one.stream, 'close'), 'the end of the stream');
  await counted(rupor, 'rupor_closed_total{code="4xxx"}', 1);
  other.send('still here');
  assert.deepEqual(await other.messages(1), ['still here']);
  // A stream that is torn off is an end without a close frame.
  other.stream.close(8);
  await counted(rupor, 'rupor_closed_total{code="1006"}', 1);
  await counted(rupor, 'rupor_connections', 0);
});

test('refusals end a stream and not the connection', async (t) => {
  const rupor = await secure(t);
  const connection = await http2(t, rupor);
  for (const [headers, status] of [
    [{ ':protocol': 'connect-udp' }, 501],
    [{ 'sec-websocket-version': '8' }, 400],
    [{ origin: 'https://evil.example' }, 403],
  ]) {
    const refused = await ask(connection, '/echo', headers);
    assert.equal(refused.status, status, JSON.stringify(headers));
  }
  const echo = await open(connection, '/echo', { 'sec-websocket-protocol': 'mqtt, rupor.v1' });
  assert.equal(echo.answer['sec-websocket-protocol'], 'rupor.v1');
});

test('compression is agreed to over HTTP/2 too', async (t) => {
  const rupor = await secure(t, ['--deflate-enabled']);
  const connection = await http2(t, rupor);
  const { answer } = await open(connection, '/echo', { 'sec-websocket-extensions': 'permessage-deflate' });
  assert.match(answer['sec-websocket-extensions'], /^permessage-deflate/);
});

test('it can be turned off, and plain HTTP/1.1 is as it was', async (t) => {
  const rupor = await secure(t, ['--tls-http2=false']);
  const version = ['-sS', '-o', '/dev/null', '-w', '%{http_version}', '--cacert', rupor.cert];
  assert.equal((await run('curl', [...version, `https://${rupor.browsers}/`])).stdout, '1.1');
  const other = await secure(t);
  assert.equal((await run('curl', [...version, '--cacert', other.cert, `https://${other.browsers}/`])).stdout, '2');
  const old = ['--http1.1', ...version, '--cacert', other.cert, `https://${other.browsers}/`];
  assert.equal((await run('curl', old)).stdout, '1.1');
});
