// The start page: the chat, and sending to a user from the page and from PHP.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { demo, folder, repository, run, start } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { ARRIVALS, listening, online } from './support/pages.mjs';

const open = browser();

async function joinChat(page, name) {
  await page.fill('#chat-name', name);
  await page.click('#chat-rename');
  await texts(page, '#chat-log .note', (notes) => notes.some((note) => note.startsWith(`You are ${name}.`)));
}

async function say(page, text) {
  await page.fill('#chat-text', text);
  await page.press('#chat-text', 'Enter');
}

const talk = (page, wanted) => texts(page, '#chat-log .message .what', wanted);

test('two tabs chat', async (t) => {
  const rupor = await demo(t, ['--workers', '2']);
  const first = await listening(open, t, rupor, 'tester01');
  const second = await listening(open, t, rupor, 'tester02');
  await joinChat(first, 'anna');
  await joinChat(second, 'boris');
  await texts(first, '#chat-log .note', (notes) => notes.includes('boris joined.'));
  await shows(first, 'chat-online', '2 here');
  await shows(second, 'chat-online', '2 here');

  await say(first, 'Hello!');
  await talk(second, (all) => all.includes('Hello!'));
  await say(second, 'Привет, <b>anna</b> 👋');
  await talk(first, (all) => all.includes('Привет, <b>anna</b> 👋'));
  assert.deepEqual(await talk(first, () => true), await talk(second, () => true));
  assert.equal(await first.locator('#chat-log b').count(), 0, 'a peer’s text became markup');
  assert.deepEqual(await first.locator('#chat-log .who').allTextContents(), ['anna (you)', 'boris']);
  assert.equal(await first.inputValue('#chat-text'), '');

  await second.close();
  await texts(first, '#chat-log .note', (notes) => notes.includes('boris left.'));
  await shows(first, 'chat-online', '1 here');

  // Whoever comes later reads what was said, and a reload keeps the tab's name.
  await first.reload();
  await talk(first, (all) => all.length === 2 && all[0] === 'Hello!');
  assert.equal(await first.inputValue('#chat-name'), 'anna');
});

test('the button sends to the chosen user and to nobody else', async (t) => {
  const rupor = await demo(t, ['--workers', '2']);
  const first = await listening(open, t, rupor, 'tester01');
  const again = await listening(open, t, rupor, 'tester01');
  const second = await listening(open, t, rupor, 'tester02');
  await shows(first, 'listen-user', 'tester01');

  assert.equal(await second.inputValue('#send-user'), 'tester02');
  await second.fill('#send-user', 'tester01');
  await second.click('#send-button');
  await shows(second, 'send-result', 'Handed to 2 connections of tester01.');
  await texts(first, ARRIVALS, (all) => all.length === 1 && all[0] === 'test');
  await texts(again, ARRIVALS, (all) => all.length === 1 && all[0] === 'test');

  await first.fill('#send-user', 'tester02');
  await first.fill('#send-message', 'mark');
  await first.press('#send-message', 'Enter');
  await shows(first, 'send-result', 'Handed to 1 connection of tester02.');
  assert.deepEqual(await texts(second, ARRIVALS, (all) => all.length > 0), ['mark']);

  await first.fill('#send-user', 'nobody');
  await first.click('#send-button');
  await shows(first, 'send-result', 'Nobody is connected as nobody: 0 connections.');
  await first.fill('#send-user', '');
  await first.click('#send-button');
  await shows(first, 'send-result', 'Name a user first.');
});

test('the link opens a second tab as another user', async (t) => {
  const rupor = await demo(t);
  const first = await listening(open, t, rupor, 'tester01');
  const [second] = await Promise.all([first.context().waitForEvent('page'), first.click('#second-tab')]);
  await shows(second, 'listen-user', 'tester02');
  await shows(second, 'listen-state', 'connected');
  assert.equal(await second.locator('#second-tab').textContent(), 'Open a tab as tester03');
});

test('the article’s PHP script reaches the page, and what a site sends to a chat name arrives in the chat', async (t) => {
  const rupor = await demo(t);
  const page = await listening(open, t, rupor, 'tester01');
  await joinChat(page, 'anna');
  const script = readFileSync(repository('examples/notify/send.php'), 'utf8').replace('127.0.0.1:1234', rupor.inlet);
  const path = join(folder(t), 'send.php');
  writeFileSync(path, script);
  assert.deepEqual(await run('php', [path]), { code: 0, stdout: '', stderr: '' });
  assert.deepEqual(await texts(page, ARRIVALS, (all) => all.length > 0), ['test']);

  writeFileSync(path, script.replaceAll('tester01', 'anna'));
  assert.deepEqual(await run('php', [path]), { code: 0, stdout: '', stderr: '' });
  await texts(page, '#chat-log .from-site', (all) => all.length === 1 && all[0] === 'From the site, to anna: test');
});

test('the article’s page, opened from disk, receives exactly what was sent', async (t) => {
  const rupor = await demo(t);
  const path = join(folder(t), 'listen.html');
  const article = readFileSync(repository('examples/notify/listen.html'), 'utf8');
  assert.ok(article.includes('ws://127.0.0.1:8000/?user=tester01'));
  writeFileSync(path, article.replace('127.0.0.1:8000', rupor.browsers));
  const page = await open(t, pathToFileURL(path).href);
  await online(rupor, 'tester01');
  const script = join(folder(t), 'send.php');
  writeFileSync(script, readFileSync(repository('examples/notify/send.php'), 'utf8').replace('127.0.0.1:1234', rupor.inlet));
  assert.equal((await run('php', [script])).code, 0);
  assert.deepEqual(await texts(page, 'body p', (all) => all.length > 0), ['test']);
});

test('the page comes back after the server does, and says that its key is an old one', async (t) => {
  const rupor = await demo(t);
  const page = await listening(open, t, rupor, 'tester01', { expected: [/WebSocket connection to/, /status of 401/] });
  await rupor.stop();
  await shows(page, 'listen-state', /^no connection, next try in \d+ s$/);
  await say(page, 'kept');
  await texts(page, '#chat-log .wrong', (all) => all.some((text) => text.startsWith('Not sent')));
  assert.equal(await page.inputValue('#chat-text'), 'kept');

  const again = start(t, ['demo', '--listen', rupor.browsers, '--inlet', 'tcp://127.0.0.1:0']);
  await again.waitFor(/listening on/);
  await shows(page, 'listen-state', 'connected');
  await shows(page, 'chat-state', 'connected');
  await page.click('#send-button');
  await shows(page, 'send-result', /Reload/);
  await page.press('#chat-text', 'Enter');
  await talk(page, (all) => all.includes('kept'));
});

test('a foreign host name does not get the page, nor may it be framed', async (t) => {
  const rupor = await demo(t);
  const { stdout } = await run('curl', ['-sS', '-i', '-H', 'Host: evil.example', `http://${rupor.browsers}/`]);
  assert.match(stdout, /^HTTP\/1\.1 421 /);
  assert.ok(!stdout.includes(rupor.key));
  const own = await run('curl', ['-sS', '-i', `http://${rupor.browsers}/`]);
  assert.match(own.stdout, /content-security-policy: [^\r\n]*frame-ancestors 'none'/i);
  assert.ok(own.stdout.includes(rupor.key));
});
