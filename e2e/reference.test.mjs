// Reference pages that are made from the code, or compared with what the program does.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { test } from 'node:test';

import { page } from './support/codes.mjs';
import { Listener } from './support/listener.mjs';
import { demo, repository, run } from './support/program.mjs';

const OPENAPI = repository('docs/reference/openapi.json');
const document = JSON.parse(readFileSync(OPENAPI, 'utf8'));
const source = (path) => readFileSync(repository(`crates/rupor/src/${path}`), 'utf8');

/** What the program is not brought to here; its own tests are, in inlet/http/tests.rs. */
const ELSEWHERE = new Set([
  'post /api/publish 408', 'post /api/publish 503', 'post /api/disconnect 408', 'post /api/disconnect 503', 'get /readyz 503',
  'post /api/publish 404', 'post /api/disconnect 404', 'get /api/users/{user} 404', 'get /api/channels/{channel} 404', 'get /metrics 404',
  // In demo mode everybody may read the metrics.
  'get /metrics 401', 'get /metrics 403',
]);

test('codes.md is what the tables in code say', () => {
  const shown = readFileSync(repository('docs/reference/codes.md'), 'utf8');
  assert.equal(shown, page(), 'run: node e2e/support/codes.mjs > docs/reference/codes.md');
});

test('docs/README.md leads to every page', () => {
  const index = readFileSync(repository('docs/README.md'), 'utf8');
  for (const kind of ['tutorial', 'howto', 'reference', 'explanation']) {
    for (const name of readdirSync(repository(`docs/${kind}`))) {
      assert.ok(index.includes(`(${kind}/${name})`), `docs/${kind}/${name} is missing`);
      assert.notEqual(readFileSync(repository(`docs/${kind}/${name}`), 'utf8').trim(), '', `docs/${kind}/${name} says nothing`);
    }
  }
});

test('the OpenAPI document has the routes and fields of the code', () => {
  const routes = [...source('inlet/http.rs').matchAll(/\.route\("([^"]+)", (get|post)\(/g)].map(([, path, method]) => `${method} ${path}`);
  routes.push('get /metrics');
  const described = Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
  assert.deepEqual(described.sort(), routes.sort());

  const fields = source('inlet/field.rs');
  const names = new Map([...fields.matchAll(/Self::(\w+) => "(\w+)"/g)].map(([, variant, name]) => [variant, name]));
  for (const [shape, schema] of [['Publish', 'Publication'], ['Disconnect', 'Disconnection']]) {
    const [, list] = new RegExp(`Self::${shape} => &\\[([^\\]]+)\\]`).exec(fields);
    const wanted = list.split(',').map((variant) => names.get(variant.trim())).filter(Boolean);
    assert.deepEqual(Object.keys(document.components.schemas[schema].properties).sort(), wanted.sort());
  }
});

/** Calls the API by a path of the document; resolves to an exchange for openapi.py. */
function call(rupor, method, path, { parameters = {}, headers = {}, body } = {}) {
  const target = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name]));
  const [host, port] = rupor.browsers.split(':');
  const all = { Authorization: `Bearer ${rupor.key}`, 'Content-Type': 'application/json', ...headers };
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, method: method.toUpperCase(), path: target, headers: all, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more) => (text += more)).on('end', () => {
        const type = response.headers['content-type'].split(';')[0];
        resolve({ path, method, status: response.statusCode, type, body: type === 'application/json' ? JSON.parse(text) : text });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('the OpenAPI document is valid, and the program answers as it says', async (t) => {
  const rupor = await demo(t);
  const anna = await Listener.open(t, `ws://${rupor.browsers}/?user=anna&channel=news`);
  const parameters = { user: 'anna', channel: 'news' };
  const exchanges = [];
  const exchange = async (...args) => exchanges.push(await call(rupor, ...args));

  const { connections: [id] } = (await call(rupor, 'get', '/api/users/{user}', { parameters })).body;
  const publications = [
    { user: 'anna', message: 'x' }, { user: 5, message: 'x' }, { users: ['anna', 5], message: { a: 1 } }, { connection: id, message: null },
    { channel: 'news', message: 'x', exclude: id, compress: false, key: 'k', id: 7 }, { all: true, message: 'x', exclude: null, compress: null, key: null, id: null },
    { userId: 'anna', message: 'x' }, { clientId: id, message: 'x' }, { PHPSESSID: 's', message: 'x' }, [], [{ user: 'anna', message: 'x' }, { all: true, message: 1 }],
    // Wrong ones.
    {}, { user: 'anna' }, { message: 'x' }, { user: 'anna', all: true, message: 'x' }, { user: 'anna', message: 'x', usr: 1 }, { all: false, message: 'x' },
    { connection: 'abc', message: 'x' }, { channel: 'no spaces', message: 'x' }, { user: '', message: 'x' }, { user: 'anna', message: 'x', compress: 1 },
    [{ user: 'anna', message: 'x' }, { user: 'anna' }],
  ];
  for (const sent of publications) exchanges.push({ ...(await call(rupor, 'post', '/api/publish', { body: JSON.stringify(sent) })), sent });
  const disconnections = [
    { user: 'nobody' }, { user: 'nobody', code: 3000, reason: 'bye', id: 'a' }, { channel: 'nothing', code: 4999 },
    {}, { user: 'nobody', code: 1001 }, { user: 'nobody', code: 5000 }, { user: 'nobody', message: 'x' },
  ];
  for (const sent of disconnections) exchanges.push({ ...(await call(rupor, 'post', '/api/disconnect', { body: JSON.stringify(sent) })), sent });
  for (const [path, wrong] of [['/api/users/{user}', { user: 'a\n' }], ['/api/channels/{channel}', { channel: 'no spaces' }]]) {
    await exchange('get', path, { parameters });
    await exchange('get', path, { parameters: wrong });
  }
  for (const path of ['/healthz', '/readyz', '/metrics']) await exchange('get', path);

  for (const path of ['/api/publish', '/api/disconnect']) {
    await exchange('post', path, { body: '{"user":' });
    await exchange('post', path, { body: '{}', headers: { 'Content-Type': 'text/plain' } });
    await exchange('post', path, { body: JSON.stringify({ user: 'anna', message: 'x'.repeat(2 ** 20) }) });
  }
  for (const [path, methods] of Object.entries(document.paths)) {
    const [method] = Object.keys(methods);
    await exchange(method, path, { parameters, headers: { Host: 'evil.example' } });
    if (!path.startsWith('/api/')) continue;
    await exchange(method, path, { parameters, headers: { Authorization: undefined } });
    await exchange(method, path, { parameters, headers: { Authorization: 'Bearer wrong' } });
    await exchange(method, path, { parameters, headers: { Origin: 'https://evil.example' } });
  }
  anna.ws.terminate();

  const { code, stdout, stderr } = await run(repository('e2e/.venv/bin/python'), [repository('e2e/support/openapi.py'), OPENAPI], { input: JSON.stringify(exchanges) });
  assert.equal(code, 0, stdout + stderr);
  const seen = new Set(exchanges.map(({ method, path, status }) => `${method} ${path} ${status}`));
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { responses }]) => Object.keys(responses).map((status) => `${method} ${path} ${status}`)));
  assert.deepEqual(described.filter((each) => !seen.has(each) && !ELSEWHERE.has(each)), []);
});
