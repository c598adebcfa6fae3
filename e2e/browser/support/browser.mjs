// A real Chromium, driven by playwright-core: found on the machine, never downloaded.
//
//   const open = browser();                       once a file
//   const page = await open(t, url, options);     a page in a context of its own, closed with the test
//
// A test fails when its page logged an error that the test did not name beforehand: a script that broke, a request that was
// refused, a violation of the Content-Security-Policy.

import assert from 'node:assert/strict';
import { after } from 'node:test';

import { chromium } from 'playwright-core';

import { DEADLINE_MS, eventually } from '../../support/program.mjs';
import { executable } from './executable.mjs';

// Nothing but what the tests ask for: no first-run pages, no updates, no calls home.
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/**
 * One browser for a test file, with these flags too. Resolves `open(t, url, options)`; `options.expected` names errors that are
 * no failure.
 */
export function browser(flags = []) {
  let launched;
  after(async () => (await launched)?.close());
  return async function open(t, url, { expected = [], context: shared, ...options } = {}) {
    launched ??= chromium.launch({ executablePath: executable('CHROMIUM'), args: [...FLAGS, ...flags], timeout: DEADLINE_MS });
    const context = shared ?? (await (await launched).newContext({ viewport: { width: 1280, height: 900 }, ...options }));
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    t.after(async () => {
      await (shared ? page.close() : context.close());
      assert.deepEqual(errors.filter((error) => !expected.some((pattern) => pattern.test(error))), []);
    });
    await page.goto(url);
    return page;
  };
}

/**
 * Waits until the text of `#id` matches and resolves to it. Looked at from outside: code that a page under such a
 * Content-Security-Policy could be given to run would have to be evaluated there, which the policy forbids.
 */
export async function shows(page, id, pattern) {
  return eventually(
    async () => ((await page.textContent(`#${id}`)) ?? '').trim(),
    (text) => (pattern instanceof RegExp ? pattern.test(text) : text === pattern),
    `#${id} to show ${pattern}`,
  );
}

/** The texts of all elements that match, once `wanted` holds for them. */
export async function texts(page, selector, wanted) {
  return eventually(() => page.locator(selector).allTextContents(), wanted, `${selector}: ${wanted}`);
}
