// What the README shows, in English and in Russian, works as it stands there: only the addresses are replaced by free ones, and
// KEY by the key that the demo printed.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { blocks } from './support/document.mjs';
import { line } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { binary, demo, folder, repository, run, start } from './support/program.mjs';

/** Each README, and what its handlers answer to `hi`. */
const READMES = [['README.md', 'you said hi'], ['README.ru.md', 'вы сказали: hi']];

for (const [path] of READMES) test(`${path}: the page, and each command that sends to its user`, async (t) => {
  const rupor = await demo(t);
  const [page] = blocks(path, 'run: page');
  const url = /new WebSocket\("([^"]+)"\)/.exec(page)[1];
  const tester = await Listener.open(t, url.replace('127.0.0.1:8000', rupor.browsers), [], { origin: 'null' });

  const commands = blocks(path, 'run: shell');
  assert.equal(commands.length, 3, 'PHP, curl and nc');
  for (const [i, command] of commands.entries()) {
    const here = command
      .replace('127.0.0.1:8000', rupor.browsers)
      .replace('127.0.0.1:1234', rupor.inlet)
      .replace('127.0.0.1 1234', rupor.inlet.replace(':', ' '))
      .replace('KEY', rupor.key);
    const { code, stdout, stderr } = await run('sh', ['-c', here]);
    assert.equal(code, 0, `${here}\n${stdout}${stderr}`);
    assert.deepEqual(await tester.messages(i + 1), Array(i + 1).fill('test'));
  }
});

for (const [path, answer] of READMES) test(`${path}: the handlers answer`, async (t) => {
  const place = folder(t);
  const script = join(place, 'handlers.php');
  const [handlers] = blocks(path, 'run: handlers');
  writeFileSync(script, handlers.replace('clients/php', repository('clients/php')));
  const rupor = await demo(t, ['--php', script]);
  const listener = await Listener.open(t, `ws://${rupor.browsers}/`);
  listener.ws.send('hi');
  assert.deepEqual(await listener.messages(1), [answer]);
});

test('the commands that the demo prints work as they are printed', async (t) => {
  const rupor = await demo(t);
  const printed = rupor.output.split('\n').map((line) => line.trim());
  const commands = [/^curl /, /^php -r /, /\| nc /].map((kind) => {
    const found = printed.find((line) => kind.test(line));
    assert.ok(found, `a line like ${kind} in:\n${rupor.output}`);
    return found;
  });
  const user = /"user\\?": ?\\?"([^"\\]+)/.exec(commands[0])[1];
  const tester = await Listener.open(t, `ws://${rupor.browsers}/?user=${user}`);
  for (const [i, command] of commands.entries()) {
    const { code, stdout, stderr } = await run('sh', ['-c', command]);
    assert.equal(code, 0, `${command}\n${stdout}${stderr}`);
    assert.equal((await tester.messages(i + 1)).length, i + 1);
  }
});

for (const [path] of READMES) test(`${path}: a token made by the PHP that is shown is believed`, async (t) => {
  const place = folder(t);
  const key = randomBytes(32).toString('hex');
  writeFileSync(join(place, 'jwt.key'), key);
  const [php] = blocks(path, 'run: token');
  const made = await run('php', ['-r', `$user = 'ann'; $key = '${key}'; ${php} echo $token;`]);
  assert.equal(made.stderr, '');

  const rupor = start(t, [
    'serve', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0',
    '--jwt', `algorithm=HS256,key_file=${place}/jwt.key`,
  ]);
  const [, browsers] = await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:\d+)/);
  const [, inlet] = await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:\d+)/);
  const [, offered] = /\[("rupor\.plain".*?)\]/.exec(readFileSync(repository(path), 'utf8'));
  assert.equal(offered, '"rupor.plain", "rupor.jwt." + token');
  const listener = await Listener.open(t, `ws://${browsers}/`, ['rupor.plain', `rupor.jwt.${made.stdout}`]);
  await line(inlet, { user: 'ann', message: 'test' });
  assert.deepEqual(await listener.messages(1), ['test']);
});

test('the configuration is one that rupor takes', async (t) => {
  const [configuration] = blocks('README.md', 'run: configuration');
  const place = folder(t);
  // Its files must be there to be checked.
  const file = join(place, 'rupor.toml');
  writeFileSync(file, configuration.replaceAll('/etc/rupor/', `${place}/`));
  for (const name of ['api.key', 'jwt.key']) {
    writeFileSync(join(place, name), randomBytes(32).toString('hex'));
  }
  const made = await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=example.org', '-out', join(place, 'cert.pem'), '-keyout', join(place, 'key.pem'),
  ]);
  assert.equal(made.code, 0, made.stderr);
  const { code, stdout, stderr } = await run(binary, ['check', '--config', file]);
  assert.equal(code, 0, stdout + stderr);
});
