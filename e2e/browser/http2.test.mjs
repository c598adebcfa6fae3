// Chromium opens its WebSockets on the HTTP/2 connection that the page came over (RFC 8441).

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { certificate } from '../support/certificate.mjs';
import { line } from '../support/lines.mjs';
import { counted, metrics } from '../support/metrics.mjs';
import { demo, folder, inTime } from '../support/program.mjs';
import { browser } from './support/browser.mjs';

const open = browser();

test('a page over HTTP/2 has its WebSockets on the same connection', async (t) => {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  const rupor = await demo(t, ['--tls-cert', cert, '--tls-key', key, '--deflate-enabled', '--deflate-server-takeover']);
  rupor.cert = cert;
  const trust = { ignoreHTTPSErrors: true, bypassCSP: true };
  const page = await open(t, `https://${rupor.browsers}/console`, trust);
  const before = await metrics(rupor);
  await page.addScriptTag({ path: new URL('support/peer.js', import.meta.url).pathname });
  const ask = (wanted, argument) => inTime(page.evaluate(wanted, argument), `${wanted}`);

  const agreed = await ask((url) => connect({ url }), `wss://${rupor.browsers}/echo?user=anna`);
  assert.match(agreed.extensions, /^permessage-deflate/);
  await counted(rupor, 'rupor_http2_opened_total', before.get('rupor_http2_opened_total') + 1);
  // No other connection was made for it.
  assert.equal((await metrics(rupor)).get('rupor_http2_connections_total'), before.get('rupor_http2_connections_total'));

  assert.equal(await ask(() => echoes({ length: 60_000, binary: false })), true);
  assert.equal(await ask(() => echoes({ length: 60_000, binary: true })), true);
  assert.equal((await line(rupor.inlet, { user: 'anna', message: 'from the site' })).connections, 1);
  assert.equal((await ask(() => messages(3)))[2], 'from the site');

  await ask(() => peer.ws.close(4001, 'bye'));
  assert.deepEqual(await ask(() => peer.ended), { code: 4001, reason: '', wasClean: true });
  await counted(rupor, 'rupor_closed_total{code="4xxx"}', 1);

  await ask((url) => connect({ url }), `wss://${rupor.browsers}/echo`);
  await ask(() => peer.ws.send('x'.repeat(70_000)));
  assert.equal((await ask(() => peer.ended)).code, 1009);
});
