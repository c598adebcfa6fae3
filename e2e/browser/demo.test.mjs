// The chat and the game in PHP that `rupor demo` has with it, in a real Chromium, and what is said where PHP is missing.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join as path } from 'node:path';
import { test } from 'node:test';

import { metrics } from '../support/metrics.mjs';
import { demo, eventually, folder, inTime } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { join, play, said, say, tank } from './support/examples.mjs';
import { tls } from './support/pages.mjs';

const open = browser();
const has = (wanted) => (all) => all.includes(wanted);
/** A demo whose folder goes with the test, which kills it. */
const start = (t, flags, { env = {} } = {}) => demo(t, flags, { env: { TMPDIR: folder(t), ...env } });

/** Opens an example from the start page. */
async function follow(page, name) {
  const [opened] = await Promise.all([page.context().waitForEvent('page'), page.click(`text="${name}"`)]);
  await opened.waitForLoadState();
  return opened;
}

test('chat: two tabs talk through PHP, without anything being set up', async (t) => {
  const rupor = await start(t);
  const first = await open(t, `http://${rupor.browsers}/`);
  const anna = await follow(first, 'Chat');
  assert.equal(anna.url(), `http://${rupor.browsers}/demo/chat/`);
  // No process runs before somebody wants one.
  assert.equal((await metrics(rupor)).get('rupor_php_workers{pool="/demo/chat/"}'), 0);
  await join(anna, 'Anna');
  await shows(anna, 'state', 'connected');
  assert.equal((await metrics(rupor)).get('rupor_php_workers{pool="/demo/chat/"}'), 1);
  assert.equal((await metrics(rupor)).get('rupor_php_workers{pool="/demo/tanks/"}'), 0);
  const boris = await open(t, `http://${rupor.browsers}/demo/chat`);
  await join(boris, 'Boris');
  await texts(anna, '#log .note', has('Boris came.'));
  await say(anna, 'Hello, <b>Boris</b>!');
  await said(boris, 'AnnaHello, <b>Boris</b>!');
  await say(boris, 'Hello, Anna!');
  await said(anna, 'BorisHello, Anna!');
  await boris.close();
  await texts(anna, '#here li', (names) => names.join() === 'Anna');
});

test('tanks: two tabs see each other move and shoot', async (t) => {
  const rupor = await start(t);
  const first = await open(t, `http://${rupor.browsers}/`);
  const anna = await follow(first, 'Tanks');
  await play(anna, 'Anna');
  const boris = await open(t, `http://${rupor.browsers}/demo/tanks/`);
  const boriss = await play(boris, 'Boris');
  const [, x] = await eventually(() => tank(anna, boriss), Boolean, 'Boris in Anna’s view');
  await boris.keyboard.down('ArrowLeft');
  await eventually(() => tank(anna, boriss), (seen) => seen[1] <= x - 32, 'Boris moving left');
  await boris.keyboard.up('ArrowLeft');
  // The first two tanks look at each other.
  await anna.bringToFront();
  await anna.keyboard.down('Space');
  await shows(boris, 'life', '♥♥');
  await anna.keyboard.up('Space');
  await shows(anna, 'hits', /^[1-9]$/);
});

test('handlers of one’s own, wss and a second gateway do not disturb them', async (t) => {
  const script = path(folder(t), 'handlers.php');
  writeFileSync(script, `<?php
    require getenv('LIBRARY');
    (new Rupor\\Worker())->onMessage(fn ($connection, $text) => $connection->send("you said $text"))->run();`);
  const env = { LIBRARY: new URL('../../clients/php/rupor.php', import.meta.url).pathname };
  const rupor = await start(t, ['--php', script, '--php-workers', '2', ...(await tls(t))], { env });
  const other = await start(t);
  const page = await open(t, `https://${rupor.browsers}/demo/chat/`, { ignoreHTTPSErrors: true });
  await join(page, 'Anna');
  await shows(page, 'state', 'connected');
  await say(page, 'over wss');
  await said(page, 'Annaover wss');
  const heard = await page.evaluate((address) => new Promise((resolve) => {
    const socket = new WebSocket(address);
    socket.onopen = () => socket.send('hi');
    socket.onmessage = ({ data }) => resolve(data);
  }), `wss://${rupor.browsers}/`);
  assert.equal(heard, 'you said hi');
  const elsewhere = await open(t, `http://${other.browsers}/demo/chat/`);
  await join(elsewhere, 'Boris');
  await texts(elsewhere, '#here li', (names) => names.join() === 'Boris');
});

test('the handlers lie in a private folder, from when they are wanted until the program ends', async (t) => {
  const place = folder(t);
  const rupor = await demo(t, [], { env: { TMPDIR: place } });
  const page = await open(t, `http://${rupor.browsers}/demo/chat/`, { expected: [/WebSocket connection/] });
  assert.deepEqual(readdirSync(place), []);
  await join(page, 'Anna');
  await shows(page, 'state', 'connected');
  const [name, ...others] = readdirSync(place);
  assert.deepEqual(others, []);
  assert.equal(statSync(path(place, name)).mode & 0o777, 0o700);
  rupor.child.kill('SIGTERM');
  assert.equal((await inTime(rupor.exited, 'the end')).code, 0);
  assert.ok(!existsSync(path(place, name)), 'the folder is still there');
});

test('where the handlers cannot be written, the log says why', async (t) => {
  const rupor = await demo(t, [], { env: { TMPDIR: '/nowhere' } });
  const page = await open(t, `http://${rupor.browsers}/demo/chat/`, { expected: [/WebSocket connection/] });
  await join(page, 'Anna');
  await rupor.waitFor(/a PHP worker cannot be started: .*\/nowhere/);
});

for (const [what, program, why] of [
  ['no PHP', null, /There is no program php here\. Fix: install PHP \(apt install php-cli\)/],
  ['an old PHP', 'echo 70433', /The program php is PHP 7\.4, and the examples need 8\.1 or newer/],
]) {
  test(`${what}: the pages and the terminal say what to install`, async (t) => {
    const place = folder(t);
    if (program) {
      writeFileSync(path(place, 'php'), `#!/bin/sh\n${program}\n`);
      chmodSync(path(place, 'php'), 0o700);
    }
    const rupor = await demo(t, [], { env: { PATH: place } });
    assert.match(rupor.output, why);
    const page = await open(t, `http://${rupor.browsers}/`, { expected: [/status of 503/] });
    await shows(page, 'examples-lack', why);
    assert.ok(await page.locator('#examples-list').isHidden());
    for (const name of ['chat', 'tanks']) {
      const response = await page.goto(`http://${rupor.browsers}/demo/${name}/`);
      assert.equal(response.status(), 503);
      await shows(page, 'lack', why);
    }
    // The rest of the demo is there.
    await page.click('text=Back to the start page');
    await shows(page, 'chat-state', 'connected');
  });
}
