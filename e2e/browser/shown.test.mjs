// The code that the start page shows: it runs as it is shown, whatever was typed into the form.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { demo, folder, run } from '../support/program.mjs';
import { browser, shows, texts } from './support/browser.mjs';
import { ARRIVALS, listening, online } from './support/pages.mjs';

const open = browser();

// What is hard on a shell, on PHP, on JSON and on HTML; and what is not ASCII.
const TYPED = [
  'test',
  `it's "quoted" \\ \\n $HOME \`id\` $(id) ; | & > < # ! %s %n {$x} \${y} ~ *`,
  `</script><b>'\\''"</b>`,
  'Привет, 世界 👋🏽 e\u0301 \u202egnol\u202c a\u200db',
  `'`, `\\`, `\\'`, `"`, ` leading and trailing `,
];

test('the code that is shown runs as shown, whatever was typed', async (t) => {
  const rupor = await demo(t);
  const user = `o'brien "\\" $x`;
  const page = await listening(open, t, rupor, user);
  const path = join(folder(t), 'shown.php');
  const expected = [];
  const arrived = () => texts(page, ARRIVALS, (all) => all.length >= expected.length);
  for (const message of TYPED) {
    await page.fill('#send-message', message);
    writeFileSync(path, await page.textContent('#code-php'));
    const runs = [['php', [path]]];
    for (const id of ['code-php-command', 'code-nc', 'code-curl']) {
      const command = await page.textContent(`#${id}`);
      for (const shell of ['sh', 'bash']) runs.push([shell, ['-c', command]]);
    }
    // At the same time: nc takes a second to end.
    await Promise.all(runs.map(async ([program, args]) => {
      const { code, stdout, stderr } = await run(program, args);
      assert.equal(code, 0, `${program} ${args.join(' ')}\n${stdout}${stderr}`);
    }));
    for (const _ of runs) expected.push(message);
    assert.deepEqual(await arrived(), expected, message);
  }
});

test('the page that is shown listens when it is saved and opened from disk', async (t) => {
  const rupor = await demo(t);
  const user = `o'brien "</script>" 世界`;
  const start = await listening(open, t, rupor, 'tester01');
  await start.fill('#send-user', user);
  const path = join(folder(t), 'shown.html');
  const shown = await start.textContent('#code-listener');
  assert.equal(shown.split('\n').length, 5);
  writeFileSync(path, shown);
  const page = await open(t, pathToFileURL(path).href);
  await online(rupor, user);
  await start.fill('#send-message', 'to the saved page');
  await start.click('#send-button');
  await shows(start, 'send-result', /Handed to 1 connection/);
  await shows(page, 'out', 'to the saved page');
});

test('copy buttons copy what is shown', async (t) => {
  const rupor = await demo(t);
  const page = await listening(open, t, rupor, 'tester01', { permissions: ['clipboard-read', 'clipboard-write'] });
  for (const name of ['php', 'php-command', 'nc', 'curl', 'listener']) {
    await page.click(`#copy-${name}`);
    await shows(page, `copy-${name}`, 'Copied');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, await page.textContent(`#code-${name}`));
  }
  await shows(page, 'copy-status', 'Copied');
});
