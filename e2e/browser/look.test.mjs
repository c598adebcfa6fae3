// Both pages for everybody: light and dark with enough contrast, on a small phone, with the keyboard alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { demo, folder } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { join, say } from './support/examples.mjs';

const open = browser();

/** Opens a page and brings it into the state in which most of it can be seen. */
async function used(t, rupor, path, options) {
  const page = await open(t, `http://${rupor.browsers}${path}`, options);
  if (path === '/console') {
    await page.click('#connect');
    await shows(page, 'state', 'open');
    await page.fill('#message', 'a-long-word-'.repeat(40));
    await page.click('#send');
    await texts(page, '#log .received', (all) => all.length === 1);
    await page.fill('#close-code', '1');
    await page.click('#disconnect');
    await shows(page, 'close-error', /1000/);
    await page.click('summary');
  } else {
    await shows(page, 'listen-state', 'connected');
    await shows(page, 'chat-state', 'connected');
    await page.fill('#chat-text', 'a-long-word-'.repeat(40));
    await page.click('#chat-send');
    await texts(page, '#chat-log .message', (all) => all.length > 0);
    await page.fill('#send-message', 'a-long-word-'.repeat(40));
    await page.click('#send-button');
    await texts(page, '#arrivals .text', (all) => all.length > 0);
  }
  return page;
}

/** Runs in the page: texts whose contrast with what is behind them is under WCAG 2 AA. */
function faint() {
  const numbers = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = numbers(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '');
    // What lies over the game's field has a ground of its own that is nearly opaque.
    if (!own || !element.checkVisibility() || element.disabled || element.closest('.unseen, noscript, #stage')) continue;
    const [a, b] = [luminance(numbers(getComputedStyle(element).color).slice(0, 3)), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${element.tagName} ${element.id} ${element.className}: ${contrast.toFixed(2)}`);
  }
  return found;
}

for (const path of ['/', '/console']) {
  test(`${path} is light or dark as the system is, and readable in both`, async (t) => {
    const rupor = await demo(t);
    const grounds = [];
    for (const colorScheme of ['light', 'dark']) {
      const page = await used(t, rupor, path, { colorScheme });
      grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      assert.deepEqual(await page.evaluate(faint), [], colorScheme);
    }
    const [light, dark] = grounds.map((colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));
    assert.ok(light > 600 && dark < 150, String(grounds));
  });

  test(`${path} fits a phone of 360 px without scrolling sideways`, async (t) => {
    const rupor = await demo(t);
    const page = await used(t, rupor, path, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    const { wide, outside } = await page.evaluate(() => {
      const outside = [...document.querySelectorAll('body *')].filter((element) => {
        const { left, right, width } = element.getBoundingClientRect();
        if (width <= 1 || !element.checkVisibility() || element.closest('.skip, datalist')) return false;
        return left < -1 || right > innerWidth + 1;
      });
      const names = outside.map((element) => `${element.tagName} ${element.id}`);
      return { wide: document.documentElement.scrollWidth, outside: names };
    });
    assert.equal(wide, 360);
    assert.deepEqual(outside, []);
    // Fingers need room (WCAG 2 AA: 24 px).
    const small = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 24)
      .map((element) => element.id));
    assert.deepEqual(small, []);
  });

  test(`${path}: Tab reaches every control, shows where it is, and leads out again`, async (t) => {
    const rupor = await demo(t);
    const page = await used(t, rupor, path);
    const controls = 'button, input, select, textarea, a[href], summary, [role="log"]';
    const wanted = await page.evaluate((selector) => [...document.querySelectorAll(selector)]
      .filter((element) => element.checkVisibility() && !element.disabled)
      .map((element) => element.id || element.textContent.trim()), controls);
    const reached = [];
    // The browser's own surroundings take part in the round; it is over when the skip link comes again.
    for (let i = 0; i < wanted.length + 10; i += 1) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return null;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const label = element.labels?.[0]?.textContent ?? element.getAttribute('aria-label')
          ?? document.getElementById(element.getAttribute('aria-labelledby'))?.textContent ?? element.textContent;
        const ring = outlineStyle !== 'none' && outlineWidth !== '0px';
        return { name: element.id || element.textContent.trim(), ring, label: label.trim() };
      });
      if (at === null) continue;
      if (reached.includes(at.name)) break;
      assert.ok(at.ring, `${at.name} does not show that it has the focus`);
      assert.notEqual(at.label, '', `${at.name} has no name`);
      reached.push(at.name);
    }
    // The round begins where the page was last clicked; from the skip link on, it goes in the order of the page.
    const first = reached.findIndex((name) => name.startsWith('Skip to'));
    assert.deepEqual([...reached.slice(first), ...reached.slice(0, first)], wanted);
  });
}

for (const name of ['chat', 'tanks']) {
  test(`/demo/${name}/ is light or dark as the system is, readable in both, and fits a phone`, async (t) => {
    const rupor = await demo(t, [], { env: { TMPDIR: folder(t) } });
    const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
    for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, phone]) {
      const page = await open(t, `http://${rupor.browsers}/demo/${name}/`, options);
      assert.deepEqual(await page.evaluate(faint), [], JSON.stringify(options));
      await join(page, 'a-long-name-'.repeat(4));
      await shows(page, 'state', 'connected');
      await page.evaluate(() => element('text').focus());
      await say(page, 'a-long-word-'.repeat(8));
      await texts(page, '#log .said', (all) => all.length > 0);
      assert.deepEqual(await page.evaluate(faint), [], JSON.stringify(options));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    }
  });
}

/** Presses Tab until `id` has the focus. */
async function tabTo(page, id) {
  for (let i = 0; i < 60; i += 1) {
    if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not reach ${id}`);
}

test('the console with the keyboard alone', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/console`);
  await tabTo(page, 'address');
  await page.keyboard.press('Enter');
  await shows(page, 'state', 'open');
  await tabTo(page, 'message');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  await page.keyboard.press('Enter');
  await texts(page, '#log .received .text', (all) => all.length === 1 && all[0] === 'one\ntwo');
  await page.keyboard.press('Escape');
  assert.equal(await page.inputValue('#message'), '');
  await tabTo(page, 'ping-count');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('2');
  await page.keyboard.press('Enter');
  await shows(page, 'ping-result', /^2 round trips/);
  await tabTo(page, 'close-reason');
  await page.keyboard.type('by hand');
  await page.keyboard.press('Enter');
  await shows(page, 'close-seen', '1000');
  await texts(page, '#log .noted .text', (all) => all.includes('closing, code 1000 “by hand”'));
  await tabTo(page, 'connect');
  await page.keyboard.press('Space');
  await shows(page, 'state', 'open');
  // The button that was pressed is of no use now: the focus is on its opposite and not lost.
  assert.equal(await page.evaluate(() => document.activeElement.id), 'disconnect');
});

test('the start page with the keyboard alone', async (t) => {
  const rupor = await demo(t);
  const page = await open(t, `http://${rupor.browsers}/`);
  await shows(page, 'listen-state', 'connected');
  await shows(page, 'chat-state', 'connected');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // the skip link
  await tabTo(page, 'send-message');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('typed');
  await page.keyboard.press('Enter');
  await texts(page, '#arrivals .text', (all) => all.length === 1 && all[0] === 'typed');
  await tabTo(page, 'chat-text');
  await page.keyboard.type('hello');
  await page.keyboard.press('Escape');
  assert.equal(await page.inputValue('#chat-text'), '');
  await page.keyboard.type('hello again');
  await page.keyboard.press('Enter');
  await texts(page, '#chat-log .what', (all) => all.length === 1 && all[0] === 'hello again');
});
