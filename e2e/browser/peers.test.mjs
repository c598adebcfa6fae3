// Chromium and Firefox as peers: the same in both, against the release build.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { line, lines } from '../support/lines.mjs';
import { counted, metrics } from '../support/metrics.mjs';
import { demo, eventually, inTime } from '../support/program.mjs';
import { both } from './support/both.mjs';
import { online } from './support/pages.mjs';

const MIB = 1024 * 1024;

// With takeover both ways. Firefox does not let its window be limited, so that with a smaller one it is asked to do without.
const DEFLATE = ['--deflate-enabled', '--deflate-server-takeover', '--deflate-client-takeover', '--deflate-client-window-bits', '15'];

/** The program with room for messages of 2 MiB, as many as a page likes. */
const roomy = (t, flags = []) =>
  demo(t, ['--message-bytes-max', `${2 * MIB}`, '--bytes-per-second', '0', '--messages-per-second', '0', ...flags]);

/** A page with a connection. */
async function connected(t, browser, url, options = {}) {
  const page = await browser.open(t);
  const agreed = await ask(page, (given) => connect(given), { url, ...options });
  assert.ok('subprotocol' in agreed, `the connection ended: ${JSON.stringify(agreed)}`);
  return { page, ...agreed };
}

/** What a function gives in the page, in time. */
const ask = (page, wanted, argument) => inTime(page.evaluate(wanted, argument), `${wanted}`);
const messages = (page, count) => ask(page, (wanted) => messages(wanted), count);
const send = (page, text) => ask(page, (given) => peer.ws.send(given), text);
const ended = (page) => ask(page, () => peer.ended);

/** Disconnects a user by the HTTP API. */
async function disconnect(rupor, body) {
  const headers = { Authorization: `Bearer ${rupor.key}`, 'Content-Type': 'application/json' };
  const url = `http://${rupor.browsers}/api/disconnect`;
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
}

for (const { name, browser } of both()) {
  test(`${name}: text goes both ways, whatever is in it`, async (t) => {
    const rupor = await demo(t);
    const { page } = await connected(t, browser, `ws://${rupor.browsers}/echo?user=anna`);
    const texts = ['', 'text', 'Привет, 世界', 'astral 🧭 𝒳 👩‍👩‍👧', '\u0000 \u001f \u2028', 'a'.repeat(125), 'b'.repeat(126), 'ж'.repeat(32_768)];
    for (const text of texts) await send(page, text);
    assert.deepEqual(await messages(page, texts.length), texts);
    // Half a pair is no character: browsers send U+FFFD for it.
    await ask(page, () => peer.ws.send('\ud83e end'));
    assert.equal((await messages(page, texts.length + 1)).at(-1), '\ufffd end');
    const fromSite = 'from the site: 🧭 „ж“';
    assert.equal((await line(rupor.inlet, { user: 'anna', message: fromSite })).connections, 1);
    assert.equal((await messages(page, texts.length + 2)).at(-1), fromSite);
  });

  for (const [binaryType, type] of [['arraybuffer', 'ArrayBuffer'], ['blob', 'Blob']]) {
    test(`${name}: binary goes both ways and comes as ${type}`, async (t) => {
      const rupor = await demo(t);
      const { page } = await connected(t, browser, `ws://${rupor.browsers}/echo`, { binaryType });
      await ask(page, () => {
        peer.ws.send(new ArrayBuffer(0));
        peer.ws.send(new Uint8Array([0, 255, 128]).buffer);
        peer.ws.send(new Uint8Array([9, 8, 7, 6]).subarray(1, 3));
        peer.ws.send(new Blob([new Uint8Array([1, 2]), 'ж']));
      });
      const expected = [[], [0, 255, 128], [8, 7], [1, 2, 0xd0, 0xb6]];
      assert.deepEqual(await messages(page, 4), expected.map((bytes) => ({ type, bytes })));
    });
  }

  test(`${name}: the subprotocol is the one that the program chose`, async (t) => {
    const rupor = await demo(t, ['--subprotocol', 'soap', '--subprotocol', 'wamp']);
    const chosen = async (...subprotocols) => {
      const { page, subprotocol } = await connected(t, browser, `ws://${rupor.browsers}/`, { subprotocols });
      await page.close();
      return subprotocol;
    };
    assert.equal(await chosen(), '');
    assert.equal(await chosen('mqtt', 'wamp'), 'wamp');
    assert.equal(await chosen('wamp', 'soap'), 'wamp');
    assert.equal(await chosen('rupor.v1'), 'rupor.v1');
  });

  test(`${name}: the page closes, and the program sees code and reason`, async (t) => {
    const rupor = await demo(t, ['--log', 'rupor::gateway=debug']);
    const longest = `${'ж'.repeat(61)}!`; // 123 bytes
    const cases = [
      { args: [], code: 1005, metric: '1005', reason: '' },
      { args: [1000, 'bye'], code: 1000, metric: '1000', reason: 'bye' },
      { args: [3000, ''], code: 3000, metric: '3xxx', reason: '' },
      { args: [4999, longest], code: 4999, metric: '4xxx', reason: longest },
    ];
    for (const { args, code, metric, reason } of cases) {
      const { page } = await connected(t, browser, `ws://${rupor.browsers}/`);
      await ask(page, (given) => peer.ws.close(...given), args);
      // The program answers with the same code.
      const seen = await ended(page);
      assert.deepEqual([seen.code, seen.wasClean], [code, true]);
      await counted(rupor, `rupor_closed_total{code="${metric}"}`, 1);
      const escaped = reason.replaceAll('ж', '\\u{436}').slice(0, 80);
      await rupor.waitFor(new RegExp(`code.{0,9}=.{0,9}${code}\\b.*${escaped.replaceAll(/[\\{}]/g, '.+')}`));
      await page.close();
    }
  });

  test(`${name}: the program closes, and the page sees code and reason`, async (t) => {
    const rupor = await demo(t, ['--message-bytes-max', '1000']);
    const url = `ws://${rupor.browsers}/?user=anna`;
    const reason = 'достаточно 🧭';
    for (const [body, expected] of [
      [{}, { code: 1000, reason: '' }],
      [{ code: 4001, reason }, { code: 4001, reason }],
      [{ code: 3999, reason: 'x'.repeat(123) }, { code: 3999, reason: 'x'.repeat(123) }],
    ]) {
      const { page } = await connected(t, browser, url);
      assert.equal((await disconnect(rupor, { user: 'anna', ...body })).connections, 1);
      const seen = await ended(page);
      assert.deepEqual({ ...seen, ...expected, wasClean: true }, seen);
      await page.close();
    }
    const { page } = await connected(t, browser, url);
    await send(page, 'x'.repeat(1001));
    assert.equal((await ended(page)).code, 1009);

    const { page: last } = await connected(t, browser, url);
    rupor.child.kill('SIGTERM');
    const seen = await ended(last);
    assert.deepEqual([seen.code, seen.wasClean], [1001, true]);
  });

  test(`${name}: compression is agreed to where it is on, and goes both ways`, async (t) => {
    const off = await demo(t);
    assert.equal((await connected(t, browser, `ws://${off.browsers}/echo`)).extensions, '');
    for (const flags of [DEFLATE, ['--deflate-enabled']]) {
      const rupor = await roomy(t, flags);
      const { page, extensions } = await connected(t, browser, `ws://${rupor.browsers}/echo`);
      // Chromium has the parameters there too.
      assert.match(extensions, /^permessage-deflate\b/);
      const texts = ['Привет, 世界 🧭'.repeat(100), '', 'x'.repeat(100_000), 'x'.repeat(100_000), 'ж'];
      for (const text of texts) await send(page, text);
      assert.deepEqual(await messages(page, texts.length), texts);
      for (const way of ['sent', 'received']) {
        const compressed = async () => (await metrics(rupor)).get(`rupor_deflate_messages_total{direction="${way}"}`);
        await eventually(compressed, (count) => count >= 3, `what was ${way} to be compressed`);
      }
      await page.close();
    }
  });

  test(`${name}: many short messages come in their order, compressed behind each other`, async (t) => {
    const rupor = await roomy(t, DEFLATE);
    const { page } = await connected(t, browser, `ws://${rupor.browsers}/echo?user=anna&channel=news`);
    const count = 3000;
    const numbered = (from) => Array.from({ length: count }, (_, n) => `{"type":"message","from":"${from}","number":${n}}`);
    await ask(page, (given) => given.forEach((text) => peer.ws.send(text)), numbered('the page'));
    assert.deepEqual(await messages(page, count), numbered('the page'));
    // Private ones and those for a channel in one order.
    const values = numbered('the site').map((message, n) => ({ ...(n % 3 ? { channel: 'news' } : { user: 'anna' }), message }));
    const answers = await lines(rupor.inlet, values);
    assert.ok(answers.every(({ connections }) => connections === 1));
    assert.deepEqual((await messages(page, 2 * count)).slice(count), numbered('the site'));
    await counted(rupor, 'rupor_deflate_messages_total{direction="sent"}', 2 * count);
    await counted(rupor, 'rupor_deflate_messages_total{direction="received"}', count);
    const all = await metrics(rupor);
    for (const way of ['sent', 'received']) {
      const bytes = (what) => all.get(`rupor_deflate_${what}_bytes_total{direction="${way}"}`);
      assert.ok(bytes('wire') * 2 < bytes('plain'), `${way}: ${bytes('wire')} of ${bytes('plain')}`);
    }
  });

  for (const [how, flags] of [['', []], [', compressed', DEFLATE]]) {
    test(`${name}: a message of 1 MiB comes back as it went${how}`, async (t) => {
      const rupor = await roomy(t, flags);
      const { page } = await connected(t, browser, `ws://${rupor.browsers}/echo`);
      for (const binary of [false, true]) {
        assert.equal(await ask(page, (given) => echoes(given), { length: MIB, binary }), true);
      }
    });

    test(`${name}: bufferedAmount falls to nothing${how}`, async (t) => {
      const rupor = await roomy(t, flags);
      // Nobody answers on this path, so all that moves is what the page sends.
      const { page } = await connected(t, browser, `ws://${rupor.browsers}/`);
      const before = (await metrics(rupor)).get('rupor_received_messages_total');
      const amount = await ask(page, (given) => flood(given), { count: 16, length: MIB });
      assert.ok(amount > 0, `bufferedAmount was ${amount}`);
      await eventually(() => page.evaluate(() => peer.ws.bufferedAmount), (seen) => seen === 0, 'bufferedAmount to be 0');
      await counted(rupor, 'rupor_received_messages_total', before + 16);
    });
  }

  test(`${name}: a page that is loaded again leaves with 1001`, async (t) => {
    const rupor = await demo(t, DEFLATE);
    const { page } = await connected(t, browser, `ws://${rupor.browsers}/?user=anna`);
    await page.reload();
    await counted(rupor, 'rupor_closed_total{code="1001"}', 1);
    await counted(rupor, 'rupor_connections', 0);
    // And the page, loaded again, connects again.
    await ask(page, (given) => connect(given), { url: `ws://${rupor.browsers}/?user=anna` });
    await online(rupor, 'anna');
  });

  test(`${name}: a tab that is closed leaves at once`, async (t) => {
    const rupor = await demo(t, DEFLATE);
    const { page } = await connected(t, browser, `ws://${rupor.browsers}/?user=anna`);
    const { page: stays } = await connected(t, browser, `ws://${rupor.browsers}/?user=anna`);
    await page.close();
    await counted(rupor, 'rupor_closed_total{code="1001"}', 1);
    await counted(rupor, 'rupor_connections', 1);
    await line(rupor.inlet, { user: 'anna', message: 'still here' });
    assert.deepEqual(await messages(stays, 1), ['still here']);
  });

  test(`${name}: pings are answered while the page does nothing`, async (t) => {
    const rupor = await demo(t, ['--ping-interval-ms', '100', '--pong-timeout-ms', '5000']);
    const { page } = await connected(t, browser, `ws://${rupor.browsers}/?user=anna`);
    // A Pong with its masking key is 6 bytes or more.
    const received = async () => (await metrics(rupor)).get('rupor_received_bytes_total');
    await eventually(received, (bytes) => bytes >= 5 * 6, 'five Pongs');
    await line(rupor.inlet, { user: 'anna', message: 'still here' });
    assert.deepEqual(await messages(page, 1), ['still here']);
  });

  test(`${name}: every tab of a user gets what is sent to him`, async (t) => {
    const rupor = await demo(t, ['--workers', '2']);
    const tabs = [];
    for (let i = 0; i < 8; i++) tabs.push(await connected(t, browser, `ws://${rupor.browsers}/?user=anna`));
    assert.equal((await line(rupor.inlet, { user: 'anna', message: 'to all tabs' })).connections, tabs.length);
    for (const { page } of tabs) assert.deepEqual(await messages(page, 1), ['to all tabs']);
  });
}
