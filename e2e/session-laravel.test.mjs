// Who is it? By the session of a real Laravel app: its sealed cookie, sessions in files and in a Redis.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { laravel } from './support/laravel.mjs';
import { line } from './support/lines.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { folder, inTime, repository } from './support/program.mjs';
import { Redis } from './support/redis.mjs';
import { serve as serveWith } from './support/serve.mjs';

const COOKIE = 'shop_session';

/** Laravel's own guard, for users without a table. */
const PROVIDER = `<?php

namespace App\\Providers;

use Illuminate\\Auth\\EloquentUserProvider;
use Illuminate\\Auth\\GenericUser;
use Illuminate\\Support\\Facades\\Auth;
use Illuminate\\Support\\Facades\\Route;
use Illuminate\\Support\\ServiceProvider;

class AppServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Auth::provider('nobody', fn ($app) => new EloquentUserProvider($app['hash'] ?? new \\Illuminate\\Hashing\\BcryptHasher(), GenericUser::class));
        Route::middleware('web')->group(base_path('routes/web.php'));
    }
}
`;
const ROUTES = `<?php

use Illuminate\\Auth\\GenericUser;
use Illuminate\\Support\\Facades\\Auth;
use Illuminate\\Support\\Facades\\Route;

Route::get('/login/{id}', function (string $id) {
    session(['cart' => (object) ['lines' => [1, 2.5, null]], 'at' => now()]);
    Auth::login(new GenericUser(['id' => (int) $id, 'remember_token' => '']));
});
Route::get('/id', fn () => session()->getId());
Route::get('/sign-out', fn () => session()->invalidate());
Route::get('/guest', fn () => 'welcome');
`;

const setting = (path, from, to) => {
  const text = readFileSync(repository(`e2e/laravel/${path}`), 'utf8');
  assert.ok(text.includes(from), path);
  return [path, text.replaceAll(from, to)];
};

/** The app; `visit(path, cookie)` resolves to the cookie that it has then. */
async function shop(t, { env = {}, cipher = 'AES-256-CBC', session = {} } = {}) {
  const files = Object.fromEntries([
    ['app/Providers/AppServiceProvider.php', PROVIDER],
    ['routes/web.php', ROUTES],
    ['config/auth.php', "<?php return ['defaults' => ['guard' => 'web'], 'guards' => ['web' => ['driver' => 'session', 'provider' => 'users']], 'providers' => ['users' => ['driver' => 'nobody']]];"],
    ['config/cache.php', "<?php return ['default' => 'redis', 'prefix' => 'shop_cache', 'stores' => ['redis' => ['driver' => 'redis', 'connection' => 'default']]];"],
    setting('config/app.php', 'AES-256-CBC', cipher),
    setting('config/database.php', "'prefix' => ''", "'prefix' => 'shop_database_'"),
    ['config/session.php', readFileSync(repository('e2e/laravel/config/session.php'), 'utf8').replace("'driver' => 'file'", `'driver' => '${session.driver ?? 'file'}'`).replace("'encrypt' => false", `'encrypt' => ${session.encrypt ?? false}`)],
  ]);
  const app = await laravel(t, env, { files, packages: false });
  const visit = async (path, cookie) => {
    const response = await fetch(`${app.url}/${path}`, { headers: cookie ? { cookie } : {} });
    assert.equal(response.status, 200, app.server.output + (response.ok ? '' : await response.text()));
    return response.headers.getSetCookie().find((one) => one.startsWith(`${COOKIE}=`)).split(';')[0];
  };
  return { ...app, visit };
}

async function serve(t, app, table, { key = Buffer.alloc(32, 7), env } = {}) {
  const file = join(folder(t), 'app.key');
  writeFileSync(file, [].concat(key).map((one) => `base64:${one.toString('base64')}\n`).join(''));
  const rupor = await serveWith(t, `
origin = ["${app.url}"]
[session]
format = "laravel"
cookie = "${COOKIE}"
app_key_file = "${file}"
recheck = "1s"
${table}
`, env);
  rupor.options = (cookie) => ({ origin: app.url, headers: { cookie } });
  return rupor;
}

const files = (app) => `files = "${app.folder}/storage/framework/sessions"\nlifetime = "2h"`;
const open = (t, rupor, cookie) => Listener.open(t, `ws://${rupor.browsers}/`, [], rupor.options(cookie));
const refuse = (t, rupor, cookie) => refusal(t, `ws://${rupor.browsers}/`, [], rupor.options(cookie));

/** Who signed in is known, and closed when he has signed out. */
async function lives(t, rupor, app) {
  const guest = await app.visit('guest');
  assert.equal((await refuse(t, rupor, guest)).status, 401);
  const cookie = await app.visit('login/42', guest);
  const tab = await open(t, rupor, cookie);
  await line(rupor.inlet, { user: '42', message: 'to 42' });
  await tab.messages(1);
  const id = await (await fetch(`${app.url}/id`, { headers: { cookie } })).text();
  await line(rupor.inlet, { PHPSESSID: id, message: 'to this browser' });
  assert.deepEqual(await tab.messages(2), ['to 42', 'to this browser']);
  await app.visit('sign-out', cookie);
  assert.equal((await inTime(tab.closed, 'the end')).code, 3504);
  assert.equal((await refuse(t, rupor, cookie)).status, 401);
  assert.ok(!rupor.output.includes(cookie.slice(-30)), rupor.output);
}

for (const cipher of ['AES-256-CBC', 'AES-256-GCM']) {
  test(`a Laravel app with ${cipher} and sessions in files`, async (t) => {
    const app = await shop(t, { cipher });
    await lives(t, await serve(t, app, `${files(app)}\ncipher = "${cipher}"`), app);
  });
}

for (const encrypt of [false, true]) {
  test(`a Laravel app with sessions in a Redis${encrypt ? ', which it encrypts' : ''}`, async (t) => {
    const redis = await Redis.start(t);
    const app = await shop(t, { env: { REDIS_PORT: `${redis.port}` }, session: { driver: 'redis', encrypt } });
    const rupor = await serve(t, app, 'redis_prefix = "shop_database_shop_cache:"', { env: { RUPOR_SESSION_REDIS: redis.url } });
    await lives(t, rupor, app);
  });
}

test('a wrong APP_KEY and a forged cookie are refused by name', async (t) => {
  const app = await shop(t);
  const cookie = await app.visit('login/42');
  const wrong = await serve(t, app, files(app), { key: Buffer.alloc(32, 8) });
  const { status, text } = await refuse(t, wrong, cookie);
  assert.equal(status, 401);
  assert.match(text, /no key of session\.app_key opens the cookie: it is forged, or the app has another APP_KEY or cipher/);
  await counted(wrong, 'rupor_identities_refused_total{way="session",reason="wrong_key"}', 1);
  await wrong.waitFor(/an upgrade is refused: auth = "session": no key of session\.app_key opens the cookie/);

  const rotated = await serve(t, app, files(app), { key: [Buffer.alloc(32, 8), Buffer.alloc(32, 7)] });
  await open(t, rotated, cookie);
  const sealed = decodeURIComponent(cookie.split('=')[1]);
  const json = JSON.parse(Buffer.from(sealed, 'base64'));
  const forge = (change) => `${COOKIE}=${encodeURIComponent(Buffer.from(JSON.stringify({ ...json, ...change })).toString('base64'))}`;
  for (const [forged, reason, count] of [
    [forge({ mac: '0'.repeat(64) }), 'wrong_key', 1],
    [forge({ iv: Buffer.alloc(16).toString('base64') }), 'wrong_key', 2],
    [`${COOKIE}=${'a'.repeat(40)}`, 'bad_cookie', 1],
    [`${COOKIE}=${'a'.repeat(5000)}`, 'bad_cookie', 2],
  ]) {
    assert.equal((await refuse(t, rotated, forged)).status, 401);
    await counted(rotated, `rupor_identities_refused_total{way="session",reason="${reason}"}`, count);
  }
  assert.ok(!rotated.output.includes('aaaa') && !rotated.output.includes(json.value), rotated.output);
});
