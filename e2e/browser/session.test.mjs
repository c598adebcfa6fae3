// A page of a site in plain PHP: who signs in is known to the WebSocket by the session alone, and closed on signing out. A page
// of another origin, to which the browser gives the same cookie, gets nothing.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { line } from '../support/lines.mjs';
import { eventually, folder, start } from '../support/program.mjs';
import { browser } from './support/browser.mjs';

const open = browser();

/** The site: a page, signing in and out, and its session in files. */
const SITE = `<?php
session_start();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/in') {
    session_regenerate_id(true);
    $_SESSION['user_id'] = $_GET['user'];
}
if ($path === '/out') {
    session_destroy();
}
session_write_close();
echo '<!doctype html><title>site</title><p>hello</p>';
`;

async function php(t, place) {
  const sessions = ['-d', `session.save_path="${place}"`, '-d', 'session.cookie_samesite=Lax', '-d', 'session.cookie_httponly=1', '-d', 'session.use_strict_mode=1'];
  const server = start(t, [...sessions, '-S', '127.0.0.1:0', join(place, 'site.php')], { program: 'php' });
  const [, address] = await server.waitFor(/\((http:\/\/127\.0\.0\.1:\d+)\) started/);
  return address;
}

/** Opens a WebSocket in a page; what becomes of it is in \`window.seen\`. */
const connect = (page, url) => page.evaluate((url) => {
  window.seen = [];
  const ws = new WebSocket(url);
  ws.onopen = () => window.seen.push('open');
  ws.onmessage = (event) => window.seen.push(event.data);
  ws.onclose = (event) => window.seen.push(event.code);
}, url);
const seen = (page, wanted) => eventually(() => page.evaluate(() => window.seen), (all) => wanted.every((one) => all.includes(one)), `${wanted} to be seen`);

test('who signs in is known, who signs out is closed, and a foreign page gets nothing by the same cookie', async (t) => {
  const place = folder(t);
  writeFileSync(join(place, 'site.php'), SITE);
  const [site, foreign] = [await php(t, place), await php(t, place)];
  writeFileSync(join(place, 'rupor.toml'), `
listen = ["127.0.0.1:0"]
inlet = ["tcp://127.0.0.1:0"]
origin = ["${site}"]
[session]
files = "${place}"
recheck = "1s"
`);
  const rupor = start(t, ['serve', '--config', join(place, 'rupor.toml')]);
  const [url] = await rupor.waitFor(/ws:\/\/127\.0\.0\.1:[1-9]\d*/);
  const [, inlet] = await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/);

  const page = await open(t, `${site}/`, { expected: [/WebSocket connection to/, /favicon/, /404/] });
  await connect(page, url);
  await seen(page, [1006]);
  await page.goto(`${site}/in?user=anna`);
  await connect(page, url);
  await seen(page, ['open']);
  await line(inlet, { user: 'anna', message: 'it is you' });
  await seen(page, ['it is you']);

  // The same host, so the browser sends the cookie; another origin, so it is not believed.
  const other = await open(t, `${foreign}/`, { context: page.context(), expected: [/WebSocket connection to/, /favicon/, /404/] });
  await connect(other, url);
  await seen(other, [1006]);
  await rupor.waitFor(new RegExp(`an upgrade from a page of ${foreign} is refused: pages of this origin may not connect`));
  assert.deepEqual(await other.evaluate(() => window.seen), [1006]);

  await page.evaluate(() => fetch('/out'));
  await seen(page, [3504]);
  const cookies = await page.context().cookies(site);
  for (const { value } of cookies) assert.ok(!rupor.output.includes(value), rupor.output);
});
