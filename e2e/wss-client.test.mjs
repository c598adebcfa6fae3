// The client of rupor-server (its example client) by TLS, by a proxy and against refusals, with node's https, http and ws
// at the other end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import { test } from 'node:test';

import { WebSocketServer } from 'ws';

import { certificate } from './support/certificate.mjs';
import { asyncClient as program } from './support/clients.mjs';
import { folder, inTime, start } from './support/program.mjs';

/** Starts a server of node's on a free port and ends it with the test; the port. */
async function listen(t, server) {
  server.listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await inTime(once(server, 'listening'), 'a port');
  return server.address().port;
}

/** A server for wss://localhost:PORT that says welcome, wants it back, and closes. */
async function secure(t) {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) });
  const webSockets = new WebSocketServer({ server });
  webSockets.on('connection', (ws) => {
    ws.send('welcome');
    ws.on('message', (payload) => ws.close(4000, `you said ${payload}`));
  });
  const port = await listen(t, server);
  return { cert, url: `wss://localhost:${port}/` };
}

/** A proxy that knows one user: `asked` are the places that it was asked to connect to. */
async function proxy(t, credentials) {
  const asked = [];
  const server = createServer();
  server.on('connect', (request, stream, head) => {
    stream.on('error', () => {});
    asked.push(request.url);
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (request.headers['proxy-authorization'] !== authorization) {
      stream.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="a"\r\n\r\n');
      return;
    }
    const [, port] = request.url.split(':');
    const onward = connect(Number(port), '127.0.0.1', () => {
      stream.write('HTTP/1.1 200 Connection established\r\nVia: 1.1 a\r\n\r\n');
      onward.write(head);
      stream.pipe(onward).pipe(stream);
    });
    onward.on('error', () => stream.destroy());
    stream.on('close', () => onward.destroy());
  });
  const port = await listen(t, server);
  return { asked, at: `127.0.0.1:${port}` };
}

/** Runs the client to its end, which must be a failure; what it said. */
async function fails(t, url, env = {}) {
  const running = start(t, [url, 'echo'], { program, env });
  assert.deepEqual(await inTime(running.exited, 'the client’s end'), { code: 1, signal: null });
  await running.waitFor(/^client: .*\n$/);
  return running.output;
}

async function succeeds(t, url, env = {}) {
  const running = start(t, [url, 'echo'], { program, env });
  await running.waitFor(/^closed: 4000 you said welcome$/m);
  assert.deepEqual(await inTime(running.exited, 'the client’s end'), { code: 0, signal: null });
}

test('wss: who has a certificate of the system’s authorities is believed, another is not', async (t) => {
  const { cert, url } = await secure(t);
  await succeeds(t, url, { SSL_CERT_FILE: cert });
  await succeeds(t, url.replace('localhost', '127.0.0.1'), { SSL_CERT_FILE: cert });
  const stranger = await certificate(folder(t), 'stranger.test');
  assert.match(await fails(t, url, { SSL_CERT_FILE: stranger.cert }), /no TLS: .*certificate/i);
  assert.match(await fails(t, url.replace('wss', 'ws'), {}), /not opened: /);
});

test('a proxy of the environment is used, with its credentials, and is never told in an error', async (t) => {
  const { cert, url } = await secure(t);
  const { asked, at } = await proxy(t, 'user:p@ss word');
  const place = new URL(url).host;
  const given = { SSL_CERT_FILE: cert, https_proxy: `http://user:p%40ss%20word@${at}` };
  await succeeds(t, url, given);
  assert.deepEqual(asked.splice(0), [place]);
  await succeeds(t, url, { ...given, no_proxy: 'example.org, localhost' });
  assert.deepEqual(asked.splice(0), []);

  const wrong = await fails(t, url, { ...given, https_proxy: `http://user:secret@${at}` });
  assert.match(wrong, /proxy.*password.*407/);
  assert.doesNotMatch(wrong, /secret/);
  const unknown = await fails(t, url, { ...given, https_proxy: `socks5://user:secret@${at}` });
  assert.match(unknown, /https_proxy.*SOCKS/);
  assert.doesNotMatch(unknown, /secret/);
});

test('a redirect is told and not followed, and a refusal says why', async (t) => {
  const seen = [];
  const server = createServer((request, response) => response.writeHead(200).end('a page'));
  server.on('upgrade', (request, stream) => {
    seen.push(request.url);
    if (request.url.startsWith('/moved')) {
      const [, query] = request.url.split('?');
      stream.end(`HTTP/1.1 302 Found\r\nLocation: ws://${request.headers.host}/there?${query}\r\nContent-Length: 0\r\n\r\n`);
    } else {
      stream.end('HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nlog in\r\n0\r\n\r\n');
    }
  });
  const port = await listen(t, server);
  const moved = await fails(t, `ws://127.0.0.1:${port}/moved?token=secret`);
  assert.match(moved, /status 302.*\/there.*not followed/);
  assert.doesNotMatch(moved, /secret/);
  assert.match(await fails(t, `ws://127.0.0.1:${port}/private`), /status 401.*: log in/);
  assert.deepEqual(seen, ['/moved?token=secret', '/private']);

  const pages = createServer((request, response) => response.end('a page'));
  const other = await listen(t, pages);
  assert.match(await fails(t, `ws://127.0.0.1:${other}/`), /status 200.*no WebSocket.*: a page/);
});
