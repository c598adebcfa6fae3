// Starts an example as its README says, on free ports: its handlers behind the gateway, and its pages by PHP's web server.
//
//   const example = await start(t, 'chat')        then open(t, example.page)
//
// And what one does on the pages of the chat and the tanks.
//
// SCREENSHOTS=1 in the environment makes the pictures of the READMEs again.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';

import { demo, eventually, repository, start as run } from '../../support/program.mjs';
import { shows, texts } from './browser.mjs';

/** A picture is part of the repository, so it has to be small. */
const PICTURE_BYTES_MAX = 60_000;

export async function start(t, name, flags = []) {
  const folder = repository(`examples/${name}`);
  const rupor = await demo(t, ['--php', `${folder}/handlers.php`, ...flags]);
  const env = { RUPOR_INLET: `tcp://${rupor.inlet}` };
  const pages = run(t, ['-S', '127.0.0.1:0', '-t', folder], { program: 'php', env });
  const [, address] = await pages.waitFor(/\(http:\/\/(127\.0\.0\.1:\d+)\) started/);
  return { rupor, page: `http://${address}/?server=${rupor.browsers}` };
}

/** Takes the picture of an example's README, when that is asked for. */
export async function picture(page, name) {
  if (!process.env.SCREENSHOTS) return;
  const path = repository(`examples/${name}/screenshot.png`);
  await page.screenshot({ path });
  assert.ok(statSync(path).size < PICTURE_BYTES_MAX, `${path} has ${statSync(path).size} bytes`);
}

export async function join(page, name) {
  await page.fill('#name', name);
  await page.press('#name', 'Enter');
}

export async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

/** Waits until this was said. */
export const said = (page, wanted) => texts(page, '#log .said', (all) => all.some((text) => text.endsWith(wanted)));

/** Joins the game, and waits for the tank: its number. */
export async function play(page, name) {
  await join(page, name);
  await shows(page, 'state', 'connected');
  const you = () => page.evaluate(() => world.seen.tanks.some(([id]) => id === world.you) && world.you);
  return eventually(you, Boolean, 'the tank');
}

/** Where a tank is, as a page was told last; undefined: it does not see it. */
export const tank = (page, id) => page.evaluate((id) => world.seen.tanks.find((other) => other[0] === id), id);
