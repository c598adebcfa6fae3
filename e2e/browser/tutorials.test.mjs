// The tutorials, done as they say: their files in a folder, their commands, and a real Chromium. Only addresses are replaced.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { block } from '../support/document.mjs';
import { laravel } from '../support/laravel.mjs';
import { demo, eventually, folder, repository, run, start } from '../support/program.mjs';
import { browser, texts } from './support/browser.mjs';
import { online } from './support/pages.mjs';

const open = browser();
const library = (php) => php.replace('clients/php', repository('clients/php'));

test('your first notification', async (t) => {
  const PAGE = 'docs/tutorial/first-notification.md';
  const place = folder(t);
  const rupor = await demo(t);
  const here = (text) => library(text).replace('127.0.0.1:8000', rupor.browsers).replace('127.0.0.1:1234', rupor.inlet);
  for (const name of ['page.html', 'again.html', 'send.php']) writeFileSync(join(place, name), here(block(PAGE, `file: ${name}`)));
  const send = async (kind) => {
    const { code, stdout, stderr } = await run('sh', ['-c', block(PAGE, `run: ${kind}`)], { cwd: place });
    assert.deepEqual([code, stderr], [0, '']);
    return stdout;
  };

  assert.equal(await send('shell'), '0 connections\n');
  const first = await open(t, pathToFileURL(join(place, 'page.html')).href, { expected: [/WebSocket connection/] });
  const second = await open(t, pathToFileURL(join(place, 'again.html')).href, { expected: [/WebSocket connection/] });
  await eventually(() => send('shell'), (said) => said === '2 connections\n', 'both tabs to be connected');
  for (const page of [first, second]) await texts(page, '#notices li', (all) => all.at(-1) === 'your order is ready');

  await rupor.stop();
  assert.match(await send('away'), /^not sent: .+\n$/);
  const again = start(t, ['demo', '--listen', rupor.browsers, '--inlet', `tcp://${rupor.inlet}`]);
  const [, key] = await again.waitFor(/Bearer ([^\s'"]+)/);
  await online({ ...rupor, key, browsers: rupor.browsers }, 'anna');
  const before = await second.locator('#notices li').count();
  assert.equal(await send('shell'), '1 connections\n');
  await texts(second, '#notices li', (all) => all.length === before + 1);
});

test('private messages in a Laravel app', async (t) => {
  const PAGE = 'docs/tutorial/laravel-messages.md';
  const place = folder(t);
  const key = randomBytes(32).toString('hex');
  writeFileSync(join(place, 'jwt.key'), key);
  const inlet = `unix://${place}/lines.sock`;
  const script = block(PAGE, 'file: inbox.js').replace("'laravel-echo'", "'/echo/echo.js'").replace("'./rupor-echo.js'", "'/rupor/echo.js'");
  const markup = block(PAGE, 'file: inbox.html').replaceAll(/{{ (.+?) }}/g, "<?= $1 ?>");
  const page = `<!doctype html><meta charset="utf-8"><title>Inbox</title>${markup}
<script type="module">${script.replace("'ws://127.0.0.1:8080/'", "document.cookie.match(/gateway=([^;]+)/)[1]").replace('const echo =', 'const echo = window.echo =')}</script>`;
  const routes = readFileSync(repository('e2e/laravel/routes/web.php'), 'utf8').replace(/\/\/ The page's token[^]*?\n(?=Route::post)/, '');
  const kernel = readFileSync(repository('e2e/laravel/app/Http/Kernel.php'), 'utf8');
  const app = await laravel(t, { BROADCAST_CONNECTION: 'rupor', RUPOR_ADDRESS: inlet, RUPOR_JWT_KEY: key }, {
    files: {
      'app/Events/MessageSent.php': block(PAGE, 'file: app/Events/MessageSent.php'),
      // As `laravel new` makes it: what changes something needs the page's CSRF token.
      'app/Http/Kernel.php': kernel.replace(/(?=.*SubstituteBindings)/, '\\Illuminate\\Foundation\\Http\\Middleware\\VerifyCsrfToken::class,\n'),
      'routes/channels.php': block(PAGE, 'file: routes/channels.php'),
      'routes/web.php': `${routes}\n${block(PAGE, 'append: routes/web.php')}
Route::get('/inbox', function () { require base_path('inbox.html'); });`,
      'inbox.html': page,
    },
  });
  const configuration = block(PAGE, 'file: rupor.toml')
    .replace('127.0.0.1:8080', '127.0.0.1:0').replace('tcp://127.0.0.1:1234', inlet).replace('jwt.key', `${place}/jwt.key`).replace('http://127.0.0.1:8000', app.url);
  writeFileSync(join(place, 'rupor.toml'), configuration);
  const rupor = start(t, ['serve', '--config', join(place, 'rupor.toml')]);
  const [gateway] = await rupor.waitFor(/ws:\/\/127\.0\.0\.1:[1-9]\d*/);

  const inbox = async (user) => {
    const page = await open(t, `${app.url}/login/${user}`, { expected: [/status of 403/] });
    await page.evaluate((where) => (document.cookie = `gateway=${where}/; path=/`), gateway);
    await page.goto(`${app.url}/inbox`);
    return page;
  };
  const [five, six, seven] = [await inbox(5), await inbox(6), await inbox(7)];
  const refused = await seven.evaluate(() => new Promise((resolve) => window.echo.private('inbox.6').error((error) => resolve(error.status)).listen('MessageSent', () => document.body.append('heard'))));
  assert.equal(refused, 403);
  // Until six has subscribed nobody hears: written again until one arrives.
  await eventually(async () => {
    await five.evaluate(block(PAGE, 'run: console'));
    return six.locator('#inbox li').allTextContents();
  }, (all) => all.includes('5: hello, six'), 'the message to arrive');
  for (const page of [five, seven]) assert.deepEqual(await page.locator('#inbox li').allTextContents(), []);
  assert.ok(!(await seven.textContent('body')).includes('heard'));
});

test('a live game, and new code while it is played', async (t) => {
  const PAGE = 'docs/tutorial/live-game.md';
  const place = folder(t);
  const script = join(place, 'game.php');
  writeFileSync(script, library(block(PAGE, 'file: game.php step: 1')));
  const rupor = await demo(t, ['--php', script]);
  const html = join(place, 'game.html');
  writeFileSync(html, block(PAGE, 'file: game.html').replace('127.0.0.1:8000', rupor.browsers));
  const url = pathToFileURL(html).href;

  const one = await open(t, url);
  const [letter] = /[A-Z]/.exec((await texts(one, '#field', ([field]) => /[A-Z]/.test(field)))[0]);
  const where = (field, what) => {
    const y = field.split('\n').findIndex((row) => row.includes(what));
    return [field.split('\n')[y]?.indexOf(what), y];
  };
  for (let i = 0; i < 20; i++) await one.keyboard.press('ArrowLeft');
  await texts(one, '#field', ([field]) => where(field, letter)[0] === 0);

  writeFileSync(script, library(block(PAGE, 'file: game.php step: 2')));
  await texts(one, '#scores', ([scores]) => scores.includes(`"${letter}":0`));
  // Letters come of connections' ids, so two tabs may have the same one: another tab then.
  for (let tries = 0; ; tries++) {
    const two = await open(t, url);
    await texts(two, '#scores', ([scores]) => scores !== '');
    if (Object.keys(JSON.parse(await two.textContent('#scores'))).length === 2) break;
    assert.ok(tries < 5, 'always the same letter');
    await two.goto('about:blank');
  }
  const chase = async () => {
    const field = await one.textContent('#field');
    const [[x, y], [starX, starY]] = [where(field, letter), where(field, '*')];
    if (y < 0 || starY < 0) return one.textContent('#scores'); // one is on top of the other
    for (let i = x; i !== starX; i += Math.sign(starX - x)) await one.keyboard.press(x < starX ? 'ArrowRight' : 'ArrowLeft');
    for (let i = y; i !== starY; i += Math.sign(starY - y)) await one.keyboard.press(y < starY ? 'ArrowDown' : 'ArrowUp');
    return one.textContent('#scores');
  };
  const caught = (scores) => new RegExp(`"${letter}":[1-9]`).test(scores);
  await eventually(chase, caught, 'a star to be caught');

  writeFileSync(script, library(block(PAGE, 'file: game.php step: 2')).replace("'*'", "'+'"));
  await texts(one, '#field', ([field]) => field.includes('+'));
  assert.ok(caught(await one.textContent('#scores')), 'the score is kept by the gateway');
  assert.equal(await one.evaluate(() => performance.getEntriesByType('navigation').length), 1);
});
