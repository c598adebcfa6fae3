// Who is it? By the site's own session, written by real PHP: in files, and in a Redis by phpredis.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { line } from './support/lines.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { binary, eventually, folder, freePort, inTime, repository, run, start } from './support/program.mjs';
import { PASSWORD, Redis } from './support/redis.mjs';
import { serve as serveWith } from './support/serve.mjs';

const ORIGIN = 'https://example.org';
const refused = (reason) => `rupor_identities_refused_total{way="session",reason="${reason}"}`;
const result = (way, name) => `rupor_identities_total{way="${way}",result="${name}"}`;

/** A site of PHP's web server, with these settings of its sessions; `visit(path, cookie)` resolves to the cookie that it has then. */
async function site(t, settings) {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-d', `session.${name}="${value}"`]);
  const server = start(t, [...flags, '-S', '127.0.0.1:0', repository('e2e/support/sessions.php')], { program: 'php' });
  const [, address] = await server.waitFor(/\(http:\/\/(127\.0\.0\.1:\d+)\) started/);
  const visit = async (path, cookie) => {
    const response = await fetch(`http://${address}/${path}`, { headers: cookie ? { cookie } : {} });
    assert.equal(response.status, 200, server.output);
    const id = await response.text();
    return response.headers.get('set-cookie')?.split(';')[0] ?? `PHPSESSID=${id}`;
  };
  return { visit };
}

/** rupor beside it. */
const serve = (t, table, { auth = ['session'], env } = {}) => serveWith(t, `
origin = ["${ORIGIN}"]
auth = ${JSON.stringify(auth)}
[session]
recheck = "1s"
user = "user.id"
${table}
[[channel]]
name = "news"
subscribe = "anyone"
`, env);

const from = (cookie, origin = ORIGIN) => ({ ...(origin && { origin }), headers: { cookie } });
const open = (t, rupor, cookie) => Listener.open(t, `ws://${rupor.browsers}/`, [], from(cookie));
const refuse = (t, rupor, cookie, origin) => refusal(t, `ws://${rupor.browsers}/`, [], from(cookie, origin));

/** What holds wherever sessions lie. */
async function lives(t, rupor, { visit }) {
  const anna = await visit('login/anna');
  const boris = await visit('login/7');
  const tabs = [await open(t, rupor, anna), await open(t, rupor, anna), await open(t, rupor, boris)];
  await line(rupor.inlet, { user: 'anna', message: 'to anna' });
  await line(rupor.inlet, { user: '7', message: 'to boris' });
  for (const [tab, message] of tabs.map((tab, place) => [tab, ['to anna', 'to anna', 'to boris'][place]])) {
    assert.deepEqual(await tab.messages(1), [message]);
  }

  await line(rupor.inlet, { PHPSESSID: boris.split('=')[1], message: 'to this browser' });
  assert.equal((await tabs[2].messages(2))[1], 'to this browser');

  // Looked at again, nothing has changed; then anna signs out, and boris signs in as somebody else.
  await kept(rupor);
  await visit('logout', anna);
  await visit('login/clara', boris);
  const endings = await inTime(Promise.all(tabs.map((tab) => tab.closed)), 'the ends');
  assert.deepEqual(endings.map(({ code }) => code), [3504, 3504, 3002]);
  assert.match(endings[0].reason, /^signed_out: /);
  assert.match(endings[2].reason, /^user_changed: /);
  assert.equal((await refuse(t, rupor, anna)).status, 401);
  const clara = await open(t, rupor, boris);
  await line(rupor.inlet, { user: 'clara', message: 'to clara' });
  await clara.messages(1);
  for (const cookie of [anna, boris]) assert.ok(!rupor.output.includes(cookie.split('=')[1]), rupor.output);
}

async function kept(rupor) {
  const seen = async () => (await metrics(rupor)).get('rupor_session_rechecks_total{result="kept"}');
  await eventually(seen, (count) => count >= 3, 'connections that are kept');
}

for (const format of ['php', 'php_serialize']) {
  test(`sessions in files, written by PHP’s ${format}, say who it is until they are over`, async (t) => {
    const place = folder(t);
    const rupor = await serve(t, `files = "${place}"\nformat = "${format}"`);
    await lives(t, rupor, await site(t, { save_path: place, serialize_handler: format }));
  });
}

test('sessions in a Redis, written by phpredis, say who it is; one that is away keeps nobody out who is in', async (t) => {
  const redis = await Redis.start(t, PASSWORD);
  const rupor = await serve(t, '', { env: { RUPOR_SESSION_REDIS: redis.url } });
  const php = await site(t, { save_handler: 'redis', save_path: `tcp://127.0.0.1:${redis.port}?auth=${PASSWORD}` });
  await lives(t, rupor, php);

  // At its longest, and one byte over that.
  const long = await php.visit('anonymous');
  const bytes = async (at) => {
    await redis.cli('SETRANGE', `PHPREDIS_SESSION:${long.split('=')[1]}`, `${at}`, 'x');
    return refuse(t, rupor, long);
  };
  assert.match((await bytes(1_048_575)).text, /not written as PHP writes it/);
  assert.match((await bytes(1_048_576)).text, /longer than 1048576 bytes/);
  await counted(rupor, refused('too_long'), 1);

  const cookie = await php.visit('login/doris');
  const doris = await open(t, rupor, cookie);
  await redis.stop();
  const away = await refuse(t, rupor, cookie);
  assert.equal(away.status, 503);
  assert.match(away.text, /auth = "session": sessions cannot be read at the moment/);
  await counted(rupor, refused('unavailable'), 1);
  await counted(rupor, result('session', 'failed'), 1);
  await rupor.waitFor(/a session cannot be read: Redis: /);
  // A Redis that forgot everything has no sessions: that is what signing out looks like.
  await redis.start();
  assert.equal((await inTime(doris.closed, 'the end')).code, 3504);
  assert.ok(!rupor.output.includes(PASSWORD));
});

test('a cookie is believed from a page of the site only; tokens need no page', async (t) => {
  const place = folder(t);
  const jwt = 'a secret of more than thirty-two bytes, only for this test';
  const rupor = await serve(t, `files = "${place}"`, {
    auth: ['session', 'signed', 'guest'], env: { RUPOR_SIGNED_URL_KEY: jwt },
  });
  const { visit } = await site(t, { save_path: place });
  const cookie = await visit('login/anna');
  for (const [origin, text] of [
    ['https://evil.example', /pages of this origin may not connect/], ['null', /pages of this origin may not connect/],
    ['http://example.org', /pages of this origin may not connect/], [undefined, /a cookie is believed only from a page of the site/],
  ]) {
    const { status, text: told } = await refuse(t, rupor, cookie, origin ?? null);
    assert.equal(status, 403, origin);
    assert.match(told, text);
  }
  await counted(rupor, refused('origin'), 1);
  await (await open(t, rupor, cookie)).ws.close();

  // A machine with a signed address, and a guest, neither with a page.
  const expires = Math.floor(Date.now() / 1000) + 60;
  const signature = createHmac('sha256', jwt).update(`${expires}.machine`).digest('hex');
  const machine = await Listener.open(t, `ws://${rupor.browsers}/?user=machine&expires=${expires}&signature=${signature}`);
  await line(rupor.inlet, { user: 'machine', message: 'for a machine' });
  await machine.messages(1);
  await Listener.open(t, `ws://${rupor.browsers}/?channel=news`);
  await open(t, rupor, await visit('anonymous'));
  await counted(rupor, result('guest', 'accepted'), 2);
});

test('what is no session is refused by name, counted and logged, and nothing of it is shown', async (t) => {
  const place = folder(t);
  const rupor = await serve(t, `files = "${place}"`);
  const { stdout } = await run('php', ['-r', 'echo str_repeat(serialize([1]), 3);']);
  const id = (n) => `canary${String(n).padStart(20, '0')}`;
  const nest = (depth) => `x|${'a:1:{i:0;'.repeat(depth)}i:1;${'}'.repeat(depth)}`;
  const cases = [
    ['bad_cookie', '../../../../../../etc/passwd', null, /the cookie names no session/],
    ['truncated', id(1), 'user|a:1:{s:2:"id";s:4:"an', /it breaks off/],
    ['malformed', id(2), `user|O:x;${stdout}`, /not written as PHP writes it/],
    ['too_long', id(3), `x|s:2000000:"${'x'.repeat(2_000_000)}";`, /longer than 1048576 bytes/],
    ['too_deep', id(4), nest(1000), /over 64 deep/],
    ['too_many', id(5), `x|a:100001:{${Array.from({ length: 100_001 }, (_, n) => `i:${n};N;`).join('')}}`, /more than 100000 values/],
    ['bad_user', id(6), 'user|a:1:{s:2:"id";O:8:"stdClass":0:{}}', /what stands under session.user/],
  ];
  for (const [reason, cookie, session, told] of cases) {
    if (session) writeFileSync(join(place, `sess_${cookie}`), session);
    const { status, text } = await refuse(t, rupor, `PHPSESSID=${encodeURIComponent(cookie)}`);
    assert.equal(status, 401, reason);
    assert.match(text, told);
    await counted(rupor, refused(reason), 1);
    await rupor.waitFor(new RegExp(`an upgrade is refused: auth = "session": .*${told.source}`));
  }
  assert.ok(!/canary|etc.passwd/.test(rupor.output), rupor.output);
  // Nobody is signed in: every way is named, and which of the usual mistakes it may be.
  writeFileSync(join(place, `sess_${id(7)}`), 'cart|a:0:{}');
  for (const [cookie, told] of [[null, /sent no cookie with the name session\.cookie/], [id(8), /no session of this cookie/], [id(7), /nobody is signed in in this session/]]) {
    const { status, text } = await (cookie ? refuse(t, rupor, `PHPSESSID=${cookie}`) : refusal(t, `ws://${rupor.browsers}/`));
    assert.equal(status, 401);
    assert.match(text, told);
    assert.match(text, /none of auth = "session" found what it looks for/);
  }
});

test('the doctor says whether sessions can be read', async (t) => {
  const place = folder(t);
  const doctor = async (env) => {
    const flags = ['doctor', '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0', '--auth', 'session'];
    const { stdout } = await run(binary, flags, { env, cwd: place });
    assert.ok(!stdout.includes('hush'), stdout);
    return stdout;
  };
  assert.match(await doctor({ RUPOR_SESSION_FILES: place }), /^ok +sessions: their folder is there$/m);
  const { visit } = await site(t, { save_path: place });
  await visit('login/anna');
  assert.match(await doctor({ RUPOR_SESSION_FILES: place }), /^ok +sessions: their files can be read$/m);
  assert.match(await doctor({ RUPOR_SESSION_FILES: '/nowhere' }), /^problem +sessions: \/nowhere cannot be looked into: .*\n +Fix: .*docs\/howto\/sessions\.md/m);
  const away = `redis://:hush@127.0.0.1:${await freePort()}/0`;
  assert.match(await doctor({ RUPOR_SESSION_REDIS: away }), /^problem +sessions: Redis: /m);
});
