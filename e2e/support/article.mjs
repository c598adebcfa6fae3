// Runs inside a network of its own (see own-network), where the article's fixed ports are free:
// `rupor` as it starts without arguments, the page's connection, the script as it lies there.
// Prints what the listeners received, as JSON.

import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { line } from './lines.mjs';
import { Listener } from './listener.mjs';
import { repository, run, start } from './program.mjs';

test('inside', async (t) => {
  const rupor = start(t, [], { cwd: process.argv[2] });
  await rupor.waitFor(/127\.0\.0\.1:8000/);
  await rupor.waitFor(/127\.0\.0\.1:1234/);

  const page = readFileSync(repository('examples/notify/listen.html'), 'utf8');
  const url = /new WebSocket\("([^"]+)"\)/.exec(page)[1];
  // A page that was opened from disk has this origin.
  const options = { origin: 'null' };
  const tester = await Listener.open(t, url, [], options);
  const other = await Listener.open(t, url.replace('tester01', 'tester02'), [], options);

  const script = await run('php', [repository('examples/notify/send.php')]);
  await tester.messages(1);
  // The mark comes after whatever the script may have caused.
  await line('127.0.0.1:1234', { all: true, message: 'mark' });
  await tester.messages(2);
  await other.messages(1);
  console.log(`RESULT ${JSON.stringify({ script, tester: tester.received, other: other.received })}`);
});
