// What the pages for a site's developer show as code: each block is run by a test that its mark leads to, or here; or it is on the list
// of those that cannot be, with the reason. What is not run is at least read by the program that it is for.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { all, prose } from './support/document.mjs';
import { binary, folder, repository, run } from './support/program.mjs';

const inside = (place, name) => readdirSync(repository(place)).map((entry) => `${place}/${entry}${name}`);
/** Made from the code, whole, and compared with it. */
const MADE = ['docs/reference/cli.md', 'docs/reference/configuration.md', 'docs/reference/codes.md', 'docs/reference/metrics.md'];
const PAGES = [
  'README.md', 'README.ru.md', 'CONTRIBUTING.md', 'SECURITY.md', 'crates/server/README.md', 'examples/README.md',
  ...inside('clients', '/README.md'), ...inside('examples', '/README.md'),
  ...['tutorial', 'howto', 'reference', 'explanation'].flatMap((kind) => inside(`docs/${kind}`, '')),
].filter((path) => path.endsWith('.md') && existsSync(repository(path)) && !MADE.includes(path));
const BLOCKS = PAGES.flatMap(all);


/** Who takes every block of a language, on which pages. */
const WHOLE = [
  [/^docs\/howto\//, ['nginx', 'haproxy', 'caddy', 'apache'], 'e2e/proxies.test.mjs'],
  [/^README\.md$/, ['rust', 'rust,no_run'], 'crates/testkit/src/lib.rs'],
  [/^crates\/server\//, ['rust', 'rust,no_run'], 'crates/server/src/lib.rs'],
  [/rupor-v1\.md$/, ['rupor.v1', 'rupor.v1 token', 'rupor.v1 first-message'], 'crates/rupor/src/gateway/tests/reference.rs'],
  [/^docs\/(howto|tutorial)\//, ['toml'], 'crates/rupor/src/config/reference.rs'],
];

/** Tests that run blocks with a mark, or those of one language on a page. */
const TESTS = [...inside('e2e', ''), ...inside('e2e/browser', ''), 'clients/php/tests/DocumentsTest.php', 'clients/symfony/tests/SymfonyTest.php', 'clients/yii2/tests/YiiTest.php']
  .filter((path) => /\.(mjs|php)$/.test(path) && path !== 'e2e/documents.test.mjs')
  .map((path) => ({ path, text: readFileSync(repository(path), 'utf8') }));

/** Whether a test names the page and the mark. */
const isRun = ({ path, mark }) => TESTS.some((test) => {
  const word = mark.replace(/^(run|file|append): /, '').replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const isNamed = new RegExp(`['"\`]((run|file|append): )?${word}['"\`]`).test(test.text);
  return isNamed && (test.text.includes(path) || (test.path.startsWith('clients/') && path.startsWith(test.path.split('/tests/')[0])));
});

/**
 * What is not run, by its page and its begin, and why. It is read all the same: shell by `sh -n`, and its commands of rupor by rupor; PHP by
 * `php -l`; JavaScript by `node --check`; JSON by its parser.
 */
const NOT_RUN = [
  ['README.md', 'cargo run', 'starts what this test runs already, on ports that may be taken'],
  ['README.ru.md', 'cargo run', 'the same'],
  ['README.md', 'cargo run --release\nmake test', 'the tests themselves'],
  ['README.md', '                opening', 'a picture'],
  ['README.md', 'new WebSocket("wss://example.org', 'a line of a page; e2e/readme.test.mjs offers the same subprotocols'],
  ['README.ru.md', 'new WebSocket("wss://example.org', 'the same'],
  ['examples/', 'rupor demo --php examples/', 'e2e/browser/examples.test.mjs starts each, on free ports'],
  ['examples/', 'examples/', 'e2e/browser/examples.test.mjs starts each, on free ports'],
  ['examples/commands/README.md', 'const', 'a part of the page that e2e/browser/examples.test.mjs opens'],
  ['clients/laravel/README.md', 'BROADCAST', 'lines of .env; e2e/browser/laravel.test.mjs has the same'],
  ['clients/laravel/README.md', 'inlet =', 'e2e/browser/laravel.test.mjs starts rupor with the same rules'],
  ['clients/laravel/README.md', 'import Echo', 'a part of a page; e2e/browser/laravel.test.mjs opens such a one'],
  ['clients/php/README.md', 'composer config', 'needs a registry for the rest of a site; e2e/support/laravel.mjs installs from the same folder'],
  ['crates/server/README.md', 'cargo add', 'writes into the manifest of the program that it stands in'],
  ['clients/php/README.md', "require 'rupor/adapters", 'needs a class of the reader; clients/php/tests has such classes'],
  ['clients/symfony/README.md', 'public function ship', 'a part of a class of the reader'],
  ['clients/symfony/README.md', 'framework:', 'read by the whole of Symfony, which Debian does not have; the DSN is that of SymfonyTest.php'],
  ['docs/tutorial/', 'cargo run', 'e2e/browser/tutorials.test.mjs starts the same, on free ports'],
  ['docs/tutorial/laravel-messages.md', 'composer config', 'needs a registry for the app; e2e/support/laravel.mjs installs from the same folder'],
  ['docs/tutorial/laravel-messages.md', 'npm install', 'needs a registry'],
  ['docs/tutorial/laravel-messages.md', 'BROADCAST', 'lines of .env; e2e/browser/tutorials.test.mjs has the same'],
  ['docs/tutorial/laravel-messages.md', '../rupor/target/release/rupor serve', 'e2e/browser/tutorials.test.mjs starts it'],
  ['docs/howto/apache.md', 'a2enmod', 'changes the Apache of the machine; e2e/proxies.test.mjs loads these modules'],
  ['docs/howto/channels.md', 'connection.send', 'a line of a page; e2e/signed.test.mjs sends the same'],
  ['docs/howto/debian-package.md', 'make deb', 'packaging/deb.test.mjs, apart from the other tests: as root, and it compiles for minutes'],
  ['docs/howto/docker.md', 'docker build', 'there may be no engine; e2e/docker.test.mjs runs what the Dockerfile runs'],
  ['docs/howto/docker.md', 'FROM rupor', 'there may be no engine'],
  ['docs/howto/doctor.md', 'rupor doctor', 'looks at the machine; e2e/doctor.test.mjs'],
  ['docs/howto/measure.md', 'ulimit', 'takes 50,000 connections, or minutes; e2e/bench.test.mjs has small ones'],
  ['docs/howto/measure.md', 'rupor bench echo ws://127.0.0.1:9000/ --connections 10000', 'the same'],
  ['docs/howto/php-fpm.md', 'rupor demo', 'e2e/fpm.test.mjs starts it with a pool of its own'],
  ['docs/howto/sessions.md', 'an upgrade is refused', 'a line of the log; e2e/session-laravel.test.mjs waits for it'],
  ['docs/howto/systemd.md', 'install', 'changes the machine; packaging/deb.test.mjs installs the same, e2e/systemd.test.mjs reads the units and passes sockets'],
  ['docs/howto/webhook.md', 'openssl', 'e2e/webhook.test.mjs starts it with a key of its own'],
  ['docs/reference/rupor-v1.md', 'const connection', 'lines of a page; the same test of the gateway speaks it'],
  ['docs/reference/memory-amplification.md', 'cargo test', 'the tests themselves'],
  ['docs/explanation/', '', 'how its figures were measured: minutes, and other servers'],
];
const isListed = ({ path, code }, [page, begin]) => path.startsWith(page) && code.startsWith(begin);

test('each block is run by a test, or said not to be', () => {
  for (const [, , path] of WHOLE) assert.ok(existsSync(repository(path)), path);
  const untold = BLOCKS.filter((block) => {
    const isWhole = WHOLE.some(([pages, languages]) => pages.test(block.path) && languages.includes(block.language));
    return !isWhole && !(block.mark && isRun(block)) && block.language !== 'json' && !NOT_RUN.some((entry) => isListed(block, entry));
  });
  assert.deepEqual(untold.map(({ path, mark, code }) => [path, mark, code.slice(0, 60)]), []);
  const needless = NOT_RUN.filter((entry) => !BLOCKS.some((block) => isListed(block, entry)));
  assert.deepEqual(needless, [], 'on the list, but on no page');
});

/** The commands of rupor in a block for the shell, or between backquotes: their arguments. */
function* ours(text) {
  const lines = text.replaceAll('\\\n', ' ').replace(/(^|\s)#.*$/gm, '').split('\n');
  for (const command of lines.flatMap((line) => line.split(/\||&&?|;/))) {
    const [, args] = /^\s*(?:rupor|docker exec rupor rupor|cargo run --release(?= --(?: |$)|$)(?: --)?)(?: (.*))?$/.exec(command.trim()) ?? [];
    if (args !== undefined) yield args.replaceAll('$!', '1').replaceAll('PID', '1');
  }
}

test('the commands that are shown are commands of rupor', async () => {
  const shells = BLOCKS.filter(({ language }) => language === 'sh').map(({ path, code }) => [path, code]);
  const between = PAGES.flatMap((path) => [...prose(path).matchAll(/`(rupor [a-z][^`…]*)`/g)].map(([, code]) => [path, code]));
  const commands = new Map([...shells, ...between].flatMap(([path, code]) => [...ours(code)].map((args) => [args, path])));
  assert.ok(commands.size > 30, `only ${commands.size} were found`);
  // Help is shown for what is right as far as it goes, and only for that.
  const help = (args) => run('sh', ['-c', `exec "$RUPOR" ${args} --help`], { env: { RUPOR: binary } });
  assert.equal((await help('demo --bogus')).code, 2);
  assert.equal((await help('bench echo --connections x')).code, 2);
  for (const [args, path] of commands) {
    const { code, stderr } = await help(args);
    assert.equal(code, 0, `${path}: rupor ${args}\n${stderr}`);
  }
});

test('what is shown is written right', async (t) => {
  const place = folder(t);
  const wrap = (code) => {
    if (code.startsWith('public function')) return `class Some {\n${code}}}`;
    return code.startsWith("'") ? `return [\n${code}];` : code; // a part of an array
  };
  const php = (code) => (code.startsWith('<?php') ? code : `<?php\n${wrap(code)}`);
  const check = {
    sh: (code) => run('sh', ['-n'], { input: code }),
    php: (code) => run('php', ['-l'], { input: php(code) }),
    js(code) {
      writeFileSync(join(place, 'code.mjs'), code);
      return run(process.execPath, ['--check', join(place, 'code.mjs')]);
    },
    yaml: (code) => run('php', ['-r', "require 'Symfony/Component/Yaml/autoload.php'; Symfony\\Component\\Yaml\\Yaml::parse(stream_get_contents(STDIN));"], { input: code }),
    json(code) {
      try {
        for (const value of code.includes('}\n{') ? code.trim().split('\n') : [code]) JSON.parse(value);
        return { code: 0 };
      } catch (error) {
        return { code: 1, stdout: '', stderr: String(error) };
      }
    },
  };
  const asked = BLOCKS.filter(({ language }) => language in check);
  assert.ok(asked.length > 60, `only ${asked.length} were found`);
  for (const { path, language, code } of asked) {
    const { code: exit, stdout, stderr } = await check[language](code);
    assert.equal(exit, 0, `${path}: ${code}\n${stdout}${stderr}`);
  }
  const targets = BLOCKS.filter(({ language }) => language === 'sh').flatMap(({ code }) => [...code.matchAll(/^make (\w[\w-]*)/gm)]);
  const makefile = readFileSync(repository('Makefile'), 'utf8');
  for (const [, target] of targets) assert.match(makefile, new RegExp(`^([\\w -]+ )?${target}( [\\w -]+)?:`, 'm'));
});
