// A page of a site behind each proxy, in Chromium: on a path of the site and at a name beside it, over a reload.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { counted } from '../support/metrics.mjs';
import { inTime } from '../support/program.mjs';
import { BESIDE, SITE, apache, behind, caddy, haproxy, haproxyChanges, nginx, place } from '../support/proxies.mjs';
import { browser } from './support/browser.mjs';

const open = browser([`--host-resolver-rules=MAP ${SITE} 127.0.0.1, MAP ${BESIDE} 127.0.0.1`]);

const PROXIES = {
  nginx,
  // To the host that the page came from, WebSockets go over the same HTTP/2 connection (RFC 8441).
  haproxy: (t, at, rupor) => {
    const only = { 'option forwardfor': 'option forwardfor\n    http-request deny if { path_beg /ws/ } !{ fc_http_major 2 }' };
    return haproxy(t, at, rupor, { ...haproxyChanges(at, rupor), ...only });
  },
  caddy,
  apache,
};

for (const [name, run] of Object.entries(PROXIES)) {
  test(`a page behind ${name}`, async (t) => {
    const at = await place(t);
    const rupor = await behind(t, name, at);
    const proxy = await run(t, at, rupor);
    // At a reload Caddy says a close of its own, beside the one that it hands on from rupor.
    const expected = name === 'caddy' ? [/Close received after close/] : [];
    const page = await open(t, `https://${SITE}:${at.port}/`, { ignoreHTTPSErrors: true, expected });
    assert.equal(await page.title(), 'site');
    await page.addScriptTag({ path: new URL('support/peer.js', import.meta.url).pathname });
    const ask = (wanted, argument) => inTime(page.evaluate(wanted, argument), `${wanted}`);
    /** Sends a text and resolves to what came back, at last. */
    const answer = async (text, count) => {
      await ask((message) => peer.ws.send(message), text);
      return (await ask((wanted) => messages(wanted), count))[count - 1];
    };

    // The browser is on this machine, so that is its address; port 0 says that the proxy named it.
    const from = 'from 127.0.0.1:0, cookie anna';
    const urls = [`wss://${SITE}:${at.port}/ws/`, `wss://${BESIDE}:${at.port}/`];
    for (const url of urls) {
      assert.deepEqual(await ask((address) => connect({ url: address }), url), { subprotocol: '', extensions: '' });
      assert.equal(await answer('hi', 1), `hi ${from}`);
      await ask(() => peer.ws.close(4001, 'bye'));
      assert.deepEqual(await ask(() => peer.ended), { code: 4001, reason: '', wasClean: true });
    }
    await counted(rupor, 'rupor_closed_total{code="4xxx"}', 2);

    await ask((url) => connect({ url }), urls[0]);
    assert.equal(await answer('before', 1), `before ${from}`);
    await proxy.reload();
    if (name === 'caddy') {
      // It keeps none: the page connects again.
      await ask(() => peer.ended);
      await ask((url) => connect({ url }), urls[0]);
      assert.equal(await answer('after', 1), `after ${from}`);
    } else {
      assert.equal(await answer('after', 2), `after ${from}`);
    }
  });
}
