// The test console: over ws and wss, with text, files, round trips and close codes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { lines } from '../support/lines.mjs';
import { demo, run } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { ARRIVALS, tls } from './support/pages.mjs';

const open = browser();

/** Opens the console and connects it to the address that it suggests. */
async function connected(t, origin, options) {
  const page = await open(t, `${origin}/console`, options);
  await page.click('#connect');
  await shows(page, 'state', 'open');
  return page;
}

const rows = (page, kind, wanted) => texts(page, `#log .${kind} .text`, wanted);

test('it shows the browser’s view of a connection from opening to close', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`);
  assert.equal(await page.inputValue('#address'), `ws://${rupor.browsers}/echo`);
  await shows(page, 'ready-state', '–');
  assert.ok(await page.isDisabled('#send') && await page.isDisabled('#disconnect') && await page.isDisabled('#ping-start'));

  await page.click('#connect');
  await shows(page, 'ready-state', '1 OPEN');
  await shows(page, 'url', `ws://${rupor.browsers}/echo`);
  await shows(page, 'protocol', '(none)');
  await shows(page, 'extensions', '(none)');
  await shows(page, 'buffered-amount', '0 B');
  assert.ok(await page.isHidden('#mixed-content'));

  const typed = 'Привет, <img src=x onerror=alert(1)>\nsecond line';
  await page.fill('#message', typed);
  await page.click('#send');
  assert.deepEqual(await rows(page, 'received', (all) => all.length === 1), [typed]);
  assert.deepEqual(await page.locator('#log .sent .size').allTextContents(), [`${Buffer.byteLength(typed)} B`]);
  assert.deepEqual(await page.locator('#log .received .type').allTextContents(), ['text']);
  assert.match((await page.locator('#log .received .time').allTextContents())[0], /^\d\d:\d\d:\d\d\.\d{3}$/);
  assert.equal(await page.locator('#log img').count(), 0, 'a peer’s text became markup');

  await page.fill('#close-code', '4001');
  await page.fill('#close-reason', 'done for today ✓');
  await shows(page, 'close-reason-bytes', '18/123 bytes');
  await page.click('#disconnect');
  await shows(page, 'ready-state', '3 CLOSED');
  await shows(page, 'close-seen', '4001');
  await shows(page, 'close-meaning', /^The application’s own code/);
  await shows(page, 'close-clean', 'true');
  await rows(page, 'noted', (all) => all.includes('closing, code 4001 “done for today ✓”'));
});

test('a close by the server comes with its code, meaning and reason', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`);
  await page.fill('#address', `ws://${rupor.browsers}/?user=tester01`);
  await page.click('#connect');
  await shows(page, 'state', 'open');
  const response = await fetch(`http://${rupor.browsers}/api/disconnect`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${rupor.key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'tester01', code: 4500, reason: 'вход с другого места ✓' }),
  });
  assert.equal(response.status, 200, await response.text());
  await shows(page, 'close-seen', '4500');
  await shows(page, 'close-meaning', /the client stays away\.$/);
  await shows(page, 'close-seen-reason', 'вход с другого места ✓');
  await shows(page, 'close-clean', 'true');
  await rows(page, 'noted', (all) => all.includes('closed, code 4500 “вход с другого места ✓”, clean'));
});

test('a registered close code comes with its meaning, and none is 1005', async (t) => {
  const rupor = await demo(t);
  const page = await connected(t, `http://${rupor.browsers}`);
  await page.click('#disconnect');
  await shows(page, 'close-seen', '1000');
  await shows(page, 'close-meaning', /^Normal Closure\./);

  await page.click('#connect');
  await shows(page, 'state', 'open');
  await page.fill('#close-code', '');
  await page.click('#disconnect');
  await shows(page, 'close-seen', '1005');
  await shows(page, 'close-meaning', /^No Status Received\./);
});

test('a close that the browser would refuse is refused with a reason', async (t) => {
  const rupor = await demo(t);
  const page = await connected(t, `http://${rupor.browsers}`);
  for (const [code, reason, complaint] of [
    ['1001', '', /1000 or 3000 to 4999/],
    ['2999', '', /1000 or 3000 to 4999/],
    ['5000', '', /1000 or 3000 to 4999/],
    ['4e3', '', /1000 or 3000 to 4999/],
    ['1000', 'ж'.repeat(62), /this one takes 124/],
    ['', 'why', /needs a code/],
  ]) {
    await page.fill('#close-code', code);
    await page.fill('#close-reason', reason);
    await page.click('#disconnect');
    await shows(page, 'close-error', complaint);
    await shows(page, 'state', 'open');
  }
  // The longest that fits: 123 bytes.
  const longest = `${'ж'.repeat(61)}!`;
  await page.fill('#close-code', '3000');
  await page.fill('#close-reason', longest);
  await page.click('#disconnect');
  await shows(page, 'close-seen', '3000');
  await shows(page, 'close-error', '');
  await rows(page, 'noted', (all) => all.includes(`closing, code 3000 “${longest}”`));
  await shows(page, 'close-meaning', /^Unauthorized\./);
});

test('a binary file comes back byte for byte, as either binaryType', async (t) => {
  const rupor = await demo(t);
  const page = await connected(t, `http://${rupor.browsers}`);
  const bytes = Buffer.from([0, 1, 2, 0xff, 0xfe, ...Buffer.from('ABC\n')]);
  await page.setInputFiles('#file', { name: 'some.bin', mimeType: 'application/octet-stream', buffer: bytes });
  await shows(page, 'file-about', /some\.bin, 9 bytes/);
  const shown = '00 01 02 ff fe 41 42 43 0a  |.....ABC.|';
  await page.click('#send-file');
  assert.deepEqual(await rows(page, 'received', (all) => all.length === 1), [shown]);
  assert.deepEqual(await rows(page, 'sent', () => true), [shown]);
  assert.deepEqual(await page.locator('#log .received .type').allTextContents(), ['binary']);
  assert.deepEqual(await page.locator('#log .received .size').allTextContents(), ['9 B']);

  await page.selectOption('#binary-type', 'blob');
  await page.click('#send-file');
  assert.deepEqual(await rows(page, 'received', (all) => all.length === 2), [shown, shown]);
});

test('round trips are measured through the echo', async (t) => {
  const rupor = await demo(t);
  const page = await connected(t, `http://${rupor.browsers}`);
  await page.fill('#ping-count', '5');
  await page.fill('#ping-interval', '1');
  await page.click('#ping-start');
  const result = await shows(page, 'ping-result', /^5 round trips/);
  const [, min, avg, max] = /min ([\d.]+), avg ([\d.]+), max ([\d.]+) ms$/.exec(result).map(Number);
  assert.ok(min >= 0 && min <= avg && avg <= max, result);
  await rows(page, 'noted', (all) => all.filter((text) => /^ping \d: [\d.]+ ms$/.test(text)).length === 5);
  assert.deepEqual(await rows(page, 'received', () => true), [], 'probes are no messages');

  // It can be stopped, and a wrong number is said to be one.
  await page.fill('#ping-count', '1000');
  await page.fill('#ping-interval', '60000');
  await page.click('#ping-start');
  await shows(page, 'ping-start', 'Stop');
  await rows(page, 'noted', (all) => all.filter((text) => /^ping 1: /.test(text)).length === 2);
  await page.click('#ping-start');
  await shows(page, 'ping-result', /^1 round trips?: /);
  await page.fill('#ping-count', '1001');
  await page.click('#ping-start');
  await shows(page, 'ping-result', 'A whole number from 1 to 1000, please.');
});

test('a subprotocol is offered and what the server chose is shown', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`, { expected: [/WebSocket connection to/] });
  await page.fill('#subprotocols', 'nobody.speaks.this, rupor.v1');
  await page.fill('#address', `ws://${rupor.browsers}/?user=tester01`);
  await page.click('#connect');
  await shows(page, 'state', 'open');
  await shows(page, 'protocol', 'rupor.v1');
  await page.click('#disconnect');
  await shows(page, 'state', 'closed');

  await page.fill('#subprotocols', 'twice, twice');
  await page.click('#connect');
  await shows(page, 'connect-error', /may be offered once/);
});

test('what cannot be opened is explained', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`, { expected: [/WebSocket connection to/] });
  for (const [address, complaint] of [
    ['nonsense', /not an address/],
    [`http://${rupor.browsers}/echo`, /ws:\/\/ or wss:\/\//],
    [`ws://${rupor.browsers}/echo#part`, /#fragment/],
  ]) {
    await page.fill('#address', address);
    await page.click('#connect');
    await shows(page, 'connect-error', complaint);
  }
  // No TLS there.
  await page.fill('#address', `wss://${rupor.browsers}/echo`);
  await page.click('#connect');
  await shows(page, 'close-seen', '1006');
  await shows(page, 'close-clean', 'false');
  await rows(page, 'failed', (all) => all.some((text) => text.startsWith('It never opened') && text.includes('certificate')));
  assert.ok(await page.isEnabled('#connect'));
});

test('the log is bounded, can be cleared, copied and exported', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.fill('#address', `ws://${rupor.browsers}/?user=tester01`);
  await page.click('#connect');
  await shows(page, 'state', 'open');
  const messages = Array.from({ length: 1100 }, (_, i) => `message ${i}`);
  const longest = 'x'.repeat(3000);
  await lines(rupor.inlet, [...messages, longest].map((message) => ({ user: 'tester01', message })));
  const kept = await texts(page, '#log .text', (all) => all.at(-1)?.startsWith('xxx'));
  assert.equal(kept.length, 1000);
  assert.equal(kept.at(-2), 'message 1099');
  assert.equal(kept.at(-1), `${'x'.repeat(2000)}… (1000 more characters)`);
  // Two notes (connecting, open) and 1101 messages came.
  await shows(page, 'log-count', '1000 rows, 103 older dropped');

  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#log-export')]);
  const exported = JSON.parse(readFileSync(await download.path(), 'utf8'));
  assert.equal(exported.dropped, 103);
  assert.equal(exported.entries.length, 1000);
  const { at, ...last } = exported.entries.at(-1);
  assert.deepEqual(last, { way: 'received', type: 'text', bytes: 3000, text: kept.at(-1) });
  assert.ok(!Number.isNaN(Date.parse(at)));

  await page.click('#log-copy');
  await shows(page, 'log-copy', 'Copied');
  const copied = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
  assert.equal(copied.length, 1000);
  assert.match(copied.at(-2), /^\S+\treceived\ttext\t12\t"message 1099"$/);

  await page.click('#log-clear');
  assert.equal(await page.locator('#log p').count(), 0);
  await shows(page, 'log-count', '0 rows');
});

test('it works over wss with a certificate that the user let in', async (t) => {
  const rupor = await demo(t, await tls(t));
  const page = await connected(t, `https://${rupor.browsers}`, { ignoreHTTPSErrors: true });
  await shows(page, 'url', `wss://${rupor.browsers}/echo`);
  await page.fill('#message', 'over TLS');
  await page.press('#message', 'Enter');
  assert.deepEqual(await rows(page, 'received', (all) => all.length === 1), ['over TLS']);
  await page.fill('#ping-count', '2');
  await page.click('#ping-start');
  await shows(page, 'ping-result', /^2 round trips/);
  await page.click('#disconnect');
  await shows(page, 'close-seen', '1000');

  // Mixed content is explained before it is tried.
  await page.fill('#address', `ws://${rupor.browsers}/echo`);
  assert.ok(await page.isVisible('#mixed-content'));
  await page.fill('#address', `wss://${rupor.browsers}/echo`);
  assert.ok(await page.isHidden('#mixed-content'));
});

test('the start page works over https too', async (t) => {
  const rupor = await demo(t, await tls(t));
  const page = await open(t, `https://${rupor.browsers}/`, { ignoreHTTPSErrors: true });
  await shows(page, 'listen-state', 'connected');
  await page.click('#send-button');
  await shows(page, 'send-result', 'Handed to 1 connection of tester01.');
  await page.fill('#send-message', 'by curl');
  assert.equal((await run('sh', ['-c', await page.textContent('#code-curl')])).code, 0);
  assert.deepEqual(await texts(page, ARRIVALS, (all) => all.length > 1), ['test', 'by curl']);
});
