// The Dockerfile. No image is built of it: a linter reads it, and what it runs is run here.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { certificate } from './support/certificate.mjs';
import { binary, folder, freePort, repository, run, start } from './support/program.mjs';

const DOCKERFILE = readFileSync(repository('Dockerfile'), 'utf8');

test('a linter finds nothing wrong with the Dockerfile', async () => {
  const hadolint = repository('e2e/.venv/bin/hadolint');
  const { code, stdout, stderr } = await run(hadolint, ['--failure-threshold', 'style', repository('Dockerfile')]);
  assert.equal(code, 0, stdout + stderr);
});

test('what it copies and builds is there, and no user is root', () => {
  const [, path] = /^COPY --from=build \/src\/(\S+) \/usr\/bin\/rupor$/m.exec(DOCKERFILE);
  assert.equal(path, 'target/release/rupor');
  assert.match(DOCKERFILE, /^RUN cargo build --release --locked --package rupor$/m);
  assert.match(DOCKERFILE.split(/^FROM /m).at(-1), /^USER 10001:10001$/m);
  // The build needs what .dockerignore leaves.
  const ignored = readFileSync(repository('.dockerignore'), 'utf8').split('\n').filter((line) => line && !line.startsWith('#'));
  for (const needed of ['Cargo.toml', 'Cargo.lock', 'crates', 'examples', 'clients']) {
    assert.ok(existsSync(repository(needed)) && !ignored.includes(needed), needed);
  }
});

test('its health check tells a rupor that is ready from none, and from one that ends', async (t) => {
  const [, health] = /^HEALTHCHECK .* CMD (\[.*\])$/m.exec(DOCKERFILE);
  const [program, ...args] = JSON.parse(health);
  assert.equal(program, 'rupor');
  const place = folder(t);
  const port = await freePort();
  writeFileSync(join(place, 'rupor.toml'), `auth = "none"\nlisten = ["0.0.0.0:${port}"]\ninlet = []\ndrain = "20s"\n`);
  const healthy = () => run(binary, args, { cwd: place });

  const none = await healthy();
  assert.equal(none.code, 1);
  assert.match(none.stderr, /refused/);
  const [, command] = /^CMD (\[.*\])$/m.exec(DOCKERFILE);
  const rupor = start(t, JSON.parse(command), { cwd: place });
  await rupor.waitFor(/listening on ws:/);
  assert.deepEqual(await healthy(), { code: 0, stdout: '', stderr: '' });
  await rupor.stop();
  assert.equal((await healthy()).code, 1);
});

test('the health check goes by TLS and the PROXY protocol, and does not look into the file of the certificate', async (t) => {
  const place = folder(t);
  const port = await freePort();
  const { cert, key } = await certificate(place, 'localhost');
  writeFileSync(join(place, 'rupor.toml'), `auth = "none"
listen = ["0.0.0.0:${port}"]
inlet = []
trusted_proxy = ["127.0.0.1"]
client_address = "proxy-protocol"
[tls]
cert = "${cert}"
key = "${key}"
`);
  const rupor = start(t, ['serve'], { cwd: place });
  await rupor.waitFor(/listening on wss:/);
  const ready = () => run(binary, ['check', '--ready'], { cwd: place });
  assert.deepEqual(await ready(), { code: 0, stdout: '', stderr: '' });
  const doctor = await run(binary, ['doctor'], { cwd: place });
  assert.match(doctor.stdout, new RegExp(`rupor listens on 0\\.0\\.0\\.0:${port} already`));
  // In the middle of a renewal it still serves.
  writeFileSync(cert, 'half of a certificate');
  assert.deepEqual(await ready(), { code: 0, stdout: '', stderr: '' });
  // A file that is wrong is no reason for a third exit code.
  writeFileSync(join(place, 'rupor.toml'), 'nonsense = 1');
  assert.equal((await ready()).code, 1);
});
