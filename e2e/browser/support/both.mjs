// The browsers that speak WebSocket to the program: Chromium, driven by playwright-core, and Firefox, driven by
// puppeteer-core over WebDriver BiDi. Each is started when a test first needs it, with a profile in a temporary folder,
// and ended with the test file.
//
//   for (const { name, browser } of both()) test(name, async (t) => { const page = await browser.open(t); … });
//
// A page is the blank one that a server of ours has, with the functions of peer.js. Both drivers' pages have evaluate,
// reload and close, which is all that is asked of them.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after } from 'node:test';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

import { DEADLINE_MS, inTime } from '../../support/program.mjs';
import { FLAGS } from './browser.mjs';
import { executable } from './executable.mjs';

const PEER = readFileSync(new URL('peer.js', import.meta.url));

// No calls home, no first-run pages: a test never waits for a network that is not there.
const PREFERENCES = {
  'app.normandy.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
};

/** Each browser with its name. To be called once by a test file. */
export function both() {
  return [
    { name: 'Chromium', browser: new Browser(launchChromium) },
    { name: 'Firefox', browser: new Browser(launchFirefox) },
  ];
}

async function launchChromium() {
  return chromium.launch({ executablePath: executable('CHROMIUM'), args: FLAGS, timeout: DEADLINE_MS });
}

async function launchFirefox() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: executable('FIREFOX'),
    headless: true,
    extraPrefsFirefox: PREFERENCES,
    timeout: DEADLINE_MS * 3, // it makes a profile first
  });
  return browser;
}

class Browser {
  #launch;
  #launched;
  #pages;

  constructor(launch) {
    this.#launch = launch;
    after(() => this.#end());
  }

  /** A new tab that ends with the test. */
  async open(t) {
    this.#launched ??= this.#launch();
    this.#pages ??= serve();
    const browser = await this.#launched;
    const page = await browser.newPage();
    t.after(() => page.isClosed() || page.close());
    page.setDefaultTimeout(DEADLINE_MS);
    await page.goto((await this.#pages).url);
    return page;
  }

  async #end() {
    (await this.#pages)?.server.close();
    const browser = await this.#launched?.catch(() => {});
    if (!browser) return;
    // By its id, should it not end when it is asked to.
    await inTime(browser.close(), 'the end of a browser').catch((error) => {
      browser.process?.().kill('SIGKILL');
      throw error;
    });
  }
}

/** Serves one blank page with peer.js in it on every path of a free port. */
async function serve() {
  const server = createServer((request, response) => {
    const script = request.url === '/peer.js';
    response.writeHead(200, { 'Content-Type': script ? 'text/javascript' : 'text/html', Connection: 'close' });
    response.end(script ? PEER : '<!doctype html><meta charset="utf-8"><title>peer</title><script src="/peer.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}/` };
}
