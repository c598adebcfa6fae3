// Behind real proxies, each set up as its page in docs/howto says: whose connection it is, which pages may connect, what becomes of
// silent connections and at a reload. All of 127.0.0.0/8 is this machine: proxies connect from 127.0.0.1, clients have another address.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';

import { Listener, refusal } from './support/listener.mjs';
import { counted, metrics } from './support/metrics.mjs';
import { binary, eventually, inTime, repository, run as execute } from './support/program.mjs';
import { BESIDE, SITE, apache, behind, blocks, caddy, haproxy, haproxyChanges, nginx, place } from './support/proxies.mjs';

const CLIENT = '127.0.0.3';

/** `time` is the time-out of the page, and the same in a second; Caddy has none. `reload`: whether connections outlive it. */
const PROXIES = [
  { page: 'nginx', run: nginx, time: { '_timeout 60s': '_timeout 1s' }, reload: true },
  {
    page: 'haproxy',
    run: (t, at, rupor, changes) => haproxy(t, at, rupor, { ...haproxyChanges(at, rupor), ...changes }),
    time: { 'tunnel 60s': 'tunnel 1s' },
    reload: true,
  },
  { page: 'caddy', run: caddy, reload: false },
  { page: 'apache', run: apache, time: { ' Timeout 60': ' Timeout 1' }, reload: true },
];

/** How a page of the site connects through the proxy, to this name. */
const browser = (port, { host = SITE, origin = `https://${SITE}:${port}`, ...headers } = {}) => ({
  localAddress: CLIENT,
  rejectUnauthorized: false, // nobody vouches for the certificate
  servername: host,
  headers: { Host: `${host}:${port}`, Origin: origin, ...headers },
});

/** Sends a message and resolves to the answer. */
async function ask(listener, message) {
  const count = listener.received.length;
  listener.ws.send(message);
  return (await listener.messages(count + 1))[count];
}

/** Waits until so many pings have come. */
const pings = (listener, count) =>
  inTime(new Promise((resolve) => listener.ws.on('ping', () => --count || resolve())), 'pings');

for (const { page, run, time, reload } of PROXIES) {
  test(`${page}: a handler and the log see the address of the client, whatever it claims`, async (t) => {
    const at = await place(t);
    const rupor = await behind(t, page, at);
    const { port } = await run(t, at, rupor);
    for (const [host, path] of [[SITE, '/ws/'], [BESIDE, '/']]) {
      const url = `wss://127.0.0.1:${port}${path}`;
      const honest = await Listener.open(t, url, [], browser(port, { host, Cookie: 'who=anna' }));
      assert.equal(await ask(honest, 'hi'), `hi from ${CLIENT}:0, cookie anna`);
      // Most add the address that they see to what they were told; it is the one that counts.
      const forged = { host, 'X-Forwarded-For': '203.0.113.9, 127.0.0.1', Forwarded: 'for=203.0.113.9' };
      const liar = await Listener.open(t, url, [], browser(port, forged));
      assert.equal(await ask(liar, 'hi'), `hi from ${CLIENT}:0, cookie `);
      const foreign = browser(port, { host, origin: 'https://evil.example' });
      assert.equal((await refusal(t, url, [], foreign)).status, 403);
    }
    await rupor.waitFor(/127\.0\.0\.3:0/);
  });

  test(`${page}: the doctor finds nothing wrong`, async (t) => {
    const at = await place(t);
    const rupor = await behind(t, page, at);
    const { port } = await run(t, at, rupor);
    const flags = ['--listen', rupor.browsers, '--ca', at.cert, '--json', `wss://localhost:${port}/ws/`];
    const { stdout, stderr } = await execute(binary, ['doctor', '--config', rupor.file, ...flags]);
    const { findings } = JSON.parse(stdout);
    assert.deepEqual(findings.filter(({ level }) => level === 'problem'), [], stdout + stderr);
    assert.ok(findings.some(({ what }) => what.includes('the proxy is believed')), stdout);
  });

  if (time) {
    test(`${page}: pings keep a silent connection, without them the time-out ends it`, async (t) => {
      const at = await place(t);
      const pinging = await behind(t, page, at, { more: '[limits]\nping_interval_ms = 300' });
      const { port } = await run(t, at, pinging, time);
      const kept = await Listener.open(t, `wss://127.0.0.1:${port}/ws/`, [], browser(port));
      await pings(kept, 8);
      assert.equal(await ask(kept, 'hi'), `hi from ${CLIENT}:0, cookie `);

      const other = await place(t);
      const silent = await behind(t, page, other, { more: '[limits]\nping_interval_ms = 0' });
      const proxy = await run(t, other, silent, time);
      const ended = await Listener.open(t, `wss://127.0.0.1:${proxy.port}/ws/`, [], browser(proxy.port));
      assert.equal((await inTime(ended.closed, 'the time-out')).code, 1006);
    });
  }

  test(`${page}: ${reload ? 'connections outlive a reload' : 'clients connect again after a reload'}`, async (t) => {
    const at = await place(t);
    const rupor = await behind(t, page, at);
    const proxy = await run(t, at, rupor);
    const url = `wss://127.0.0.1:${proxy.port}/ws/`;
    const before = await Listener.open(t, url, [], browser(proxy.port));
    await ask(before, 'hi');
    await proxy.reload();
    if (reload) assert.equal(await ask(before, 'still'), `still from ${CLIENT}:0, cookie `);
    else await inTime(before.closed, 'the end of the connection');
    const after = await Listener.open(t, url, [], browser(proxy.port));
    assert.equal(await ask(after, 'hi'), `hi from ${CLIENT}:0, cookie `);
  });
}

test('haproxy: Forwarded names the client, by IPv6 too', async (t) => {
  const at = await place(t);
  const rupor = await behind(t, 'haproxy', at, { changes: { 'trusted_proxy': 'client_address = "forwarded"\ntrusted_proxy' } });
  const changes = {
    ...haproxyChanges(at, rupor),
    '    bind ': `    bind ipv6@[::1]:${at.port} ssl crt ${at.both}\n    bind `,
    'option forwardfor': blocks('haproxy', 'haproxy')[2].trim(),
  };
  const { port } = await haproxy(t, at, rupor, changes);
  const forged = browser(port, { Forwarded: 'for=203.0.113.9' });
  assert.equal(await ask(await Listener.open(t, `wss://127.0.0.1:${port}/ws/`, [], forged), 'hi'), `hi from ${CLIENT}:0, cookie `);
  const six = { ...browser(port), localAddress: '::1' };
  assert.equal(await ask(await Listener.open(t, `wss://[::1]:${port}/ws/`, [], six), 'hi'), 'hi from [::1]:0, cookie ');
});

for (const [version, sends] of [[1, 'send-proxy'], [2, 'send-proxy-v2']]) {
  test(`haproxy: the PROXY protocol, version ${version}, comes before requests and before TLS`, async (t) => {
    const forged = { 'X-Forwarded-For': '203.0.113.9' };
    const at = await place(t);
    const reads = await behind(t, 'haproxy', at, { changes: { 'trusted_proxy': 'client_address = "proxy-protocol"\ntrusted_proxy' } });
    const changes = { ...haproxyChanges(at, reads), '    option forwardfor\n': '', [reads.browsers]: `${reads.browsers} ${sends}` };
    const first = await haproxy(t, at, reads, changes);
    const plain = await Listener.open(t, `wss://127.0.0.1:${first.port}/ws/`, [], browser(first.port, forged));
    assert.match(await ask(plain, 'hi'), /^hi from 127\.0\.0\.3:[1-9]\d*, /);

    const there = await place(t);
    const files = { '/etc/rupor/site.example.pem': there.cert, '/etc/rupor/site.example.key': there.key };
    const secure = await behind(t, 'haproxy', there, { index: 1, changes: files });
    const wiring = { '127.0.0.1:8443': secure.browsers, '127.0.0.1:8444': there.site, 'send-proxy-v2': sends };
    const second = await haproxy(t, there, secure, wiring, 1);
    const through = await Listener.open(t, `wss://127.0.0.1:${second.port}/`, [], browser(second.port, { host: BESIDE, ...forged }));
    assert.match(await ask(through, 'hi'), /^hi from 127\.0\.0\.3:[1-9]\d*, /);
  });
}

test('haproxy: pings keep a silent connection that it hands on, without them the time-out ends it', async (t) => {
  for (const interval of [300, 0]) {
    const at = await place(t);
    const files = { '/etc/rupor/site.example.pem': at.cert, '/etc/rupor/site.example.key': at.key };
    const rupor = await behind(t, 'haproxy', at, { index: 1, changes: files, more: `[limits]\nping_interval_ms = ${interval}` });
    const wiring = { '127.0.0.1:8443': rupor.browsers, '127.0.0.1:8444': at.site, 'client 60s': 'client 1s', 'server 60s': 'server 1s' };
    const { port } = await haproxy(t, at, rupor, wiring, 1);
    const listener = await Listener.open(t, `wss://127.0.0.1:${port}/`, [], browser(port, { host: BESIDE }));
    if (interval) {
      await pings(listener, 8);
      assert.match(await ask(listener, 'hi'), /^hi from 127\.0\.0\.3:[1-9]/);
    } else {
      assert.equal((await inTime(listener.closed, 'the time-out')).code, 1006);
    }
  }
});

test('haproxy: over TLS and HTTP/2 to rupor each WebSocket has its client', async (t) => {
  const at = await place(t);
  const more = `[tls]\ncert = "${at.cert}"\nkey = "${at.key}"`;
  const rupor = await behind(t, 'haproxy', at, { more });
  Object.assign(rupor, { curl: ['--insecure'], cert: at.cert });
  const wiring = { [rupor.browsers]: `${rupor.browsers} ssl verify none alpn h2` };
  const { port } = await haproxy(t, at, rupor, { ...haproxyChanges(at, rupor), ...wiring });
  const url = `wss://127.0.0.1:${port}/ws/`;
  for (const localAddress of [CLIENT, '127.0.0.5']) {
    const listener = await Listener.open(t, url, [], { ...browser(port), localAddress });
    assert.equal(await ask(listener, 'hi'), `hi from ${localAddress}:0, cookie `);
  }
  await counted(rupor, 'rupor_http2_opened_total', 2);
});

test('behind two proxies the client is whom the first one saw', async (t) => {
  const [inner, outer] = [await place(t), await place(t)];
  const rupor = await behind(t, 'nginx', inner, { changes: { [`https://${SITE}`]: `https://${SITE}:${outer.port}` } });
  const second = await nginx(t, inner, rupor);
  const wiring = { [`127.0.0.1:8000`]: `127.0.0.1:${second.port} ssl verify none sni str(${SITE})` };
  const first = await haproxy(t, outer, rupor, { ...haproxyChanges(outer, rupor), ...wiring });
  const forged = browser(first.port, { 'X-Forwarded-For': '203.0.113.9, 127.0.0.1' });
  const listener = await Listener.open(t, `wss://127.0.0.1:${first.port}/ws/`, [], forged);
  assert.equal(await ask(listener, 'hi'), `hi from ${CLIENT}:0, cookie `);
});

test('haproxy: its health checks name themselves', async (t) => {
  const at = await place(t);
  const rupor = await behind(t, 'haproxy', at, { changes: { 'trusted_proxy': 'client_address = "proxy-protocol"\ntrusted_proxy' } });
  rupor.curl = ['--haproxy-protocol'];
  const checked = `${rupor.browsers} send-proxy-v2 check inter 50ms fall 1`;
  const { port } = await haproxy(t, at, rupor, {
    ...haproxyChanges(at, rupor), '    option forwardfor': '    option httpchk GET /healthz', [rupor.browsers]: checked,
  });
  const checks = async () => (await metrics(rupor)).get('rupor_accepted_total');
  await eventually(checks, (accepted) => accepted > 8, 'health checks');
  await counted(rupor, 'rupor_refused_total{reason="proxy_header"}', 0);
  const through = await Listener.open(t, `wss://127.0.0.1:${port}/ws/`, [], browser(port));
  assert.match(await ask(through, 'hi'), /^hi from 127\.0\.0\.3:[1-9]/);
});

test('a PROXY header that is wrong, late, of somebody else or not asked for is in the log', async (t) => {
  /** Sends bytes, and resolves to what comes until the end. */
  const say = (rupor, bytes, localAddress) =>
    inTime(new Promise((resolve) => {
      let said = '';
      const [host, port] = rupor.browsers.split(':');
      const socket = connect({ host, port, localAddress }, () => socket.write(bytes));
      socket.on('data', (text) => { said += text; }).on('error', () => {}).on('close', () => resolve(said));
    }), 'the end of the connection');
  const line = 'PROXY TCP4 192.0.2.1 192.0.2.2 258 443\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n';
  const asked = { changes: { 'trusted_proxy': 'client_address = "proxy-protocol"\ntrusted_proxy' } };

  const wrong = await behind(t, 'haproxy', await place(t), asked);
  assert.equal(await say(wrong, 'GET / HTTP/1.1\r\n\r\n'), '');
  await wrong.waitFor(/does not say who its client is: there is no PROXY protocol header peer=127\.0\.0\.1:/);
  assert.match(await say(wrong, line, '127.0.0.4'), /^HTTP\/1\.1 400 /);
  await wrong.waitFor(/not believed, because the address is not in `trusted_proxy` peer=127\.0\.0\.4:\d+ what="PROXY protocol"/);

  const late = await behind(t, 'haproxy', await place(t), { ...asked, more: '[limits]\nopening_timeout_ms = 100' });
  assert.equal(await say(late, line.slice(0, 9)), '');
  await late.waitFor(/its PROXY protocol header did not come in time/);

  const other = await behind(t, 'haproxy', await place(t));
  assert.match(await say(other, line), /^HTTP\/1\.1 400 /);
  await other.waitFor(/not believed, because `client_address` is not "proxy-protocol"/);
  await counted(other, 'rupor_proxy_headers_ignored_total', 1);
});

test('no configuration of a proxy in docs/howto is left out here', () => {
  const found = {};
  for (const file of readdirSync(repository('docs/howto'))) {
    const page = file.replace('.md', '');
    const languages = PROXIES.map((proxy) => proxy.page).filter((language) => blocks(page, language).length);
    if (languages.length) found[page] = languages;
  }
  // Of HAProxy's, which are alternatives, the tests above name each.
  assert.deepEqual(found, Object.fromEntries(PROXIES.map(({ page }) => [page, [page]])));
  assert.equal(blocks('haproxy', 'haproxy').length, 3);
  assert.equal(blocks('haproxy', 'toml').length, 2);
});

test('who is no trusted proxy is not believed', async (t) => {
  const at = await place(t);
  const rupor = await behind(t, 'nginx', at);
  const headers = { 'X-Forwarded-For': '203.0.113.9' };
  const direct = await Listener.open(t, `ws://${rupor.browsers}/ws/`, [], { localAddress: '127.0.0.4', headers });
  assert.match(await ask(direct, 'hi'), /^hi from 127\.0\.0\.4:[1-9]/);
  await rupor.waitFor(/is not believed, because the address is not in `trusted_proxy`/);
  // The same from the proxy's address is.
  const proxy = await Listener.open(t, `ws://${rupor.browsers}/ws/`, [], { headers });
  assert.equal(await ask(proxy, 'hi'), 'hi from 203.0.113.9:0, cookie ');
  await counted(rupor, 'rupor_proxy_headers_ignored_total', 1);
  assert.equal((await refusal(t, `ws://${rupor.browsers}/ws/`, [], { headers: { 'X-Forwarded-For': 'nonsense' } })).status, 400);
  await rupor.waitFor(/a trusted proxy does not say who its client is: x-forwarded-for: an element of it is malformed/);
  await counted(rupor, 'rupor_refused_total{reason="proxy_header"}', 1);
});
