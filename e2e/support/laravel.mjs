// A small Laravel app (e2e/laravel) in a folder of its own: Debian's framework, rupor's packages by composer, PHP's web server.
//
//   const app = await laravel(t, { RUPOR_ADDRESS: … })     app.url, app.artisan('…')

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { folder, repository, run, start } from './program.mjs';

/** The pages' modules, as a bundler would find them. */
const MODULES = {
  'echo/echo.js': 'e2e/node_modules/laravel-echo/dist/echo.js',
  'rupor/echo.js': 'clients/js/echo.js',
};

/** Makes the app; `files` are put into it, by their paths. Packages of rupor's are found where `packages` is true. */
export async function laravel(t, environment, { files = {}, packages = true } = {}) {
  const place = folder(t);
  cpSync(repository('e2e/laravel'), place, { recursive: true });
  for (const path of ['bootstrap/cache', 'storage/framework/sessions', 'storage/framework/views', 'vendor']) mkdirSync(join(place, path), { recursive: true });
  for (const [path, module] of Object.entries(MODULES)) put(place, `public/${path}`, readFileSync(repository(module)));
  for (const [path, text] of Object.entries(files)) put(place, path, text);
  await install(place, packages);

  const env = { APP_KEY: `base64:${Buffer.alloc(32, 7).toString('base64')}`, ...environment };
  const server = start(t, ['-S', '127.0.0.1:0', '-t', 'public', 'public/index.php'], { program: 'php', cwd: place, env });
  const [, address] = await server.waitFor(/\(http:\/\/(127\.0\.0\.1:\d+)\) started/);
  return {
    folder: place,
    url: `http://${address}`,
    server,
    artisan: (...args) => run('php', ['artisan', ...args], { cwd: place, env }),
  };
}

function put(folder, path, bytes) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), bytes);
}

async function install(folder, packages) {
  const path = join(folder, 'composer.json');
  const wanted = JSON.parse(readFileSync(path, 'utf8'));
  if (!packages) wanted.require = {};
  wanted.repositories = [{ type: 'path', url: repository('clients/*') }, { 'packagist.org': false }];
  writeFileSync(path, JSON.stringify(wanted));
  const env = { COMPOSER_ALLOW_SUPERUSER: '1', COMPOSER_HOME: join(folder, 'composer-home'), COMPOSER_DISABLE_NETWORK: '1' };
  const installed = await run('composer', ['install', '--no-interaction', '--no-progress'], { cwd: folder, env });
  assert.equal(installed.code, 0, installed.stdout + installed.stderr);
}
