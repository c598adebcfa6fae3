// The examples in a real Chromium, each started as its README says: two tabs talk to each other through handlers in PHP.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { metrics } from '../support/metrics.mjs';
import { binary, eventually, freePort, inTime, repository, start as run } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { join, picture, play, said, say, start, tank } from './support/examples.mjs';

const open = browser();
const SMALL = { viewport: { width: 820, height: 600 }, colorScheme: 'light' };

const has = (wanted) => (all) => all.includes(wanted);

test('chat: two tabs talk, and a late one reads what was said', async (t) => {
  const { page: address } = await start(t, 'chat');
  const anna = await open(t, address, SMALL);
  await join(anna, 'Anna');
  await shows(anna, 'state', 'connected');
  const boris = await open(t, address);
  await join(boris, 'Борис');
  await texts(anna, '#log .note', has('Борис came.'));

  await say(anna, 'Hello, Boris!');
  await said(boris, 'AnnaHello, Boris!');
  await say(boris, 'Привет, Anna! How is PHP today?');
  await said(anna, 'How is PHP today?');
  const late = await open(t, address);
  await join(late, 'Clara');
  await said(late, 'AnnaHello, Boris!');
  await texts(anna, '#here li', (names) => names.join() === 'Anna,Борис,Clara');
  await say(late, 'It holds no sockets any more.');
  await said(anna, 'any more.');
  await picture(anna, 'chat');

  await say(late, '<b>bold</b> 👋');
  await said(anna, 'Clara<b>bold</b> 👋');
  assert.equal(await anna.locator('#log .said b').count(), 4, 'a peer’s text became markup');
  await late.close();
  await texts(anna, '#log .note', has('Clara left.'));
  await texts(anna, '#here li', (names) => names.join() === 'Anna,Борис');
});

test('chat: new code ends no conversation', async (t) => {
  const { rupor, page: address } = await start(t, 'chat');
  const [anna, boris] = [await open(t, address), await open(t, address)];
  await join(anna, 'Anna');
  await join(boris, 'Boris');
  await texts(anna, '#log .note', has('Boris came.'));
  rupor.child.kill('SIGHUP');
  await eventually(
    async () => (await metrics(rupor)).get('rupor_php_worker_ends_total{pool="*",reason="reload"}'), (ends) => ends === 1, 'the new process');
  await say(anna, 'still here');
  await said(boris, 'Annastill here');
  await shows(boris, 'state', 'connected');
});

test('chat2: a name belongs to one, in whichever process', async (t) => {
  const { page: address } = await start(t, 'chat2', ['--php-workers', '3']);
  const anna = await open(t, address, SMALL);
  await join(anna, 'Anna');
  await shows(anna, 'me', 'Anna');
  const processes = new Set([await shows(anna, 'worker', /^\d of 3$/)]);
  const others = [];
  // Which process a connection comes to is the gateway's business: there are enough when two have some.
  while (processes.size < 2 || others.length < 3) {
    assert.ok(others.length < 15, `all of them are in process ${[...processes]}`);
    const tab = await open(t, address);
    await join(tab, 'anna');
    await shows(tab, 'refused', 'anna is taken.');
    others.push(tab);
    await join(tab, `Guest ${others.length}`);
    await shows(tab, 'me', `Guest ${others.length}`);
    processes.add(await shows(tab, 'worker', /^\d of 3$/));
  }
  await shows(anna, 'here', String(others.length + 1));
  for (const tab of others) await say(tab, 'Hello, Anna!');
  for (const tab of [anna, ...others]) for (const n of others.keys()) await said(tab, `Guest ${n + 1}Hello, Anna!`);
  await picture(anna, 'chat2');

  // A name with a space, in any alphabet, is unique as well.
  const [fourth, fifth] = [await open(t, address), await open(t, address)];
  await join(fourth, 'Ёжик 2');
  await shows(fourth, 'me', 'Ёжик 2');
  for (const name of ['guest 1', 'Ёжик 2']) {
    await join(fifth, name);
    await shows(fifth, 'refused', `${name} is taken.`);
  }
  others.push(fourth);

  // Who goes leaves the name to others.
  await anna.close();
  await shows(others[0], 'here', String(others.length));
  const next = await open(t, address);
  await join(next, 'Anna');
  await shows(next, 'me', 'Anna');
});

test('chat2: who floods is held back, and closed when it goes on', async (t) => {
  const { page: address } = await start(t, 'chat2', ['--php-workers', '2']);
  const [anna, boris] = [await open(t, address), await open(t, address)];
  await join(anna, 'Anna');
  await join(boris, 'Boris');
  await shows(boris, 'me', 'Boris');
  await anna.evaluate(() => { for (let n = 0; n < 10; n += 1) socket.send(`flood ${n}`); });
  await texts(anna, '#log .flood', (all) => all.length >= 5 && all.every((text) => text === 'Not sent: too fast: wait a second.'));
  await said(boris, 'Annaflood 0');
  assert.ok(await boris.locator('#log .said').count() <= 6, 'more than the burst came through');
  await anna.evaluate(() => { for (let n = 0; n < 100; n += 1) socket.send(`flood ${n}`); });
  await shows(anna, 'state', 'closed: flooding');
  await texts(boris, '#log .note', has('Anna left.'));
  await shows(boris, 'state', 'connected');
});

test('notify: the script reaches the chosen user, tab or browser, and nobody else', async (t) => {
  const { page: address } = await start(t, 'notify');
  const as = (user) => `${address}&user=${user}`;
  const first = await open(t, as('anna'), { ...SMALL, viewport: { width: 820, height: 660 } });
  const second = await open(t, as('anna')); // another browser
  const third = await open(t, as('boris'), { context: first.context() });
  const tabs = { first, second, third };
  for (const tab of Object.values(tabs)) await shows(tab, 'connection', /^[0-9a-f]{16}$/);

  const got = { first: [], second: [], third: [] };
  let orders = 0;
  async function send(by, to, way, reached) {
    const text = `Order ${orders += 1} is ready`;
    await first.selectOption('[name=by]', by);
    if (to) await first.fill('[name=to]', to);
    await first.selectOption('[name=with]', way);
    await first.fill('[name=text]', text);
    await first.press('[name=text]', 'Enter');
    for (const name of reached) {
      got[name].push(`by ${by}${text}`);
      await texts(tabs[name], '#log p', (all) => all.length === got[name].length);
    }
    if (way === 'library') await shows(first, 'result', `Handed to ${reached.length} connection${reached.length === 1 ? '' : 's'}.`);
  }
  const id = await second.textContent('#connection');
  for (const way of ['library', 'plain']) {
    await send('user', 'anna', way, ['first', 'second']);
    await send('user', 'boris', way, ['third']);
    await send('connection', id, way, ['second']);
    await send('session', '', way, ['first', 'third']);
  }
  // Everything arrives in its order, so a mark to all comes behind what should not have come.
  for (const name of ['anna', 'boris']) {
    await first.selectOption('[name=by]', 'user');
    await first.fill('[name=to]', name);
    await first.fill('[name=text]', 'A parcel came');
    await first.press('[name=text]', 'Enter');
  }
  for (const [name, tab] of Object.entries(tabs)) {
    const all = await texts(tab, '#log p', (lines) => lines.at(-1)?.endsWith('A parcel came'));
    assert.deepEqual(all, [...got[name], 'by userA parcel came'], name);
  }
  await picture(first, 'notify');
});

test('commands: each answer comes to whoever asked', async (t) => {
  const { page: address } = await start(t, 'commands');
  const page = await open(t, address, SMALL);
  await shows(page, 'state', 'connected');
  const ask = async (text, answer) => {
    await page.fill('#command', text);
    await page.press('#command', 'Enter');
    await texts(page, '#log .answer, #log .wrong', (all) => all.length > 0 && answer.test(all.at(-1)));
  };
  await page.click('text=help');
  await texts(page, '#log .answer', (all) => /ms\["help","time"/.test(all.at(-1)));
  await ask('sum 1 2 3.5', /ms6\.5$/);
  await ask('upper hello', /msHELLO$/);
  await ask('dice 6', /ms[1-6]$/);
  await ask('dice 1', /^a die has 2 to 100 sides$/);
  await picture(page, 'commands');
  await ask('rm -rf', /^there is no such command; try help$/);
  await ask('constructor', /^there is no such command; try help$/);

  // Many at a time; each promise gets its own answer.
  const sums = await page.evaluate(() => Promise.all(Array.from({ length: 50 }, (_, n) => ask('sum', `${n} 1000`))));
  assert.deepEqual(sums, Array.from({ length: 50 }, (_, n) => n + 1000));
  // What is no command is answered, too.
  await page.evaluate(() => { for (const text of ['[]', 'no JSON', '{"command":["time"]}', '7']) socket.send(text); });
  await ask('upper still here', /msSTILL HERE$/);
});

test('tanks: two tabs see each other move and shoot, and the hit counts', async (t) => {
  const { page: address } = await start(t, 'tanks');
  const wide = { viewport: { width: 900, height: 840 }, colorScheme: 'light' };
  const anna = await open(t, address, wide);
  const annas = await play(anna, 'Anna');
  const boris = await open(t, address, wide);
  const boriss = await play(boris, 'Boris');
  const [, x, y] = await eventually(() => tank(anna, boriss), Boolean, 'Boris in Anna’s view');

  // Boris drives; Anna sees it, on her canvas too.
  const before = await anna.locator('canvas').screenshot();
  await boris.keyboard.down('ArrowLeft');
  await eventually(() => tank(anna, boriss), (seen) => seen[1] <= x - 32, 'Boris moving left');
  await boris.keyboard.up('ArrowLeft');
  assert.equal((await tank(anna, boriss))[2], y);
  assert.ok(!(await anna.locator('canvas').screenshot()).equals(before), 'the canvas shows nothing new');

  // Anna looks at him already, and fires once.
  await anna.keyboard.down('Space');
  await eventually(() => anna.evaluate(() => world.seen.shells.length), (shells) => shells > 0, 'the shell');
  await shows(boris, 'life', '♥♥');
  await shows(anna, 'hits', /^[1-9]$/);
  await texts(boris, '#scores li', (all) => /^[1-9]Anna$/.test(all[0]));
  if (process.env.SCREENSHOTS) await eventually(() => anna.evaluate(() => world.seen.shells.length), (shells) => shells > 0, 'a shell');
  await picture(anna, 'tanks');
  await anna.keyboard.up('Space');

  // The chat takes the keyboard and gives it back.
  await anna.keyboard.press('Enter');
  await anna.keyboard.type('wasd <b>got you</b>');
  await anna.keyboard.press('Enter');
  await texts(boris, '#log .said', has('Annawasd <b>got you</b>'));
  const [, , , looked] = await tank(anna, annas);
  await anna.keyboard.down('KeyS');
  await eventually(() => tank(anna, annas), (seen) => seen[3] === 2, 'Anna turning down');
  await anna.keyboard.up('KeyS');
  assert.equal(looked, 1, 'what was typed drove the tank');

  await boris.close();
  await texts(anna, '#log .note', has('Boris left.'));
  await eventually(() => tank(anna, boriss), (seen) => seen === undefined, 'Boris gone');
});

test('tanks: fingers drive and fire', async (t) => {
  const { page: address } = await start(t, 'tanks');
  const page = await open(t, address, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  const me = await play(page, 'Anna');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  const [, x, y] = await tank(page, me);
  const fingers = await page.context().newCDPSession(page);
  const touch = async (type, selector, dx, dy) => {
    const box = await page.locator(selector).boundingBox();
    const touchPoints = selector ? [{ x: box.x + box.width * dx, y: box.y + box.height * dy }] : [];
    await fingers.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : touchPoints });
  };
  await page.locator('#pad').scrollIntoViewIfNeeded();
  await touch('touchStart', '#pad', 0.9, 0.5);
  await eventually(() => tank(page, me), (seen) => seen[1] > x, 'the tank driving right');
  await touch('touchMove', '#pad', 0.5, 0.9);
  await eventually(() => tank(page, me), (seen) => seen[2] > y, 'the tank driving down');
  await touch('touchEnd', '#pad', 0.5, 0.9);
  await touch('touchStart', '#fire', 0.5, 0.5);
  await eventually(() => page.evaluate(() => world.seen.shells.length), (shells) => shells > 0, 'the shell');
  await touch('touchEnd', '#fire', 0.5, 0.5);
  await eventually(() => page.evaluate(() => world.seen.shells.length), (shells) => shells === 0, 'no more shells');
});

for (const name of ['chat', 'chat2', 'notify', 'commands', 'tanks']) {
  test(`${name}: one command starts gateway and page, and Ctrl-C ends both`, async (t) => {
    const [gateway, pages] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    const env = { RUPOR: binary, RUPOR_LISTEN: gateway, PAGES: pages };
    const example = run(t, ['--inlet', 'tcp://127.0.0.1:0'], { program: repository(`examples/${name}/run`), env });
    const [, address] = await example.waitFor(/The page is at (\S+):/);
    assert.equal(address, `http://${pages}/?server=${gateway}`);
    await example.waitFor(/listening on ws/);
    await example.waitFor(/Development Server/);
    const page = await open(t, address, { viewport: { width: 360, height: 740 } });
    if (name === 'chat' || name === 'tanks') await join(page, 'Anna');
    await shows(page, 'state', 'connected');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'it does not fit a phone');
    await page.close();
    example.child.kill('SIGINT');
    assert.equal((await inTime(example.exited, 'the end')).code, 0);
    for (const where of [gateway, pages]) await assert.rejects(fetch(`http://${where}/`), where);
  });
}
