// wss:// and https:// with a certificate that openssl made.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { connect } from 'node:tls';

import { certificate } from './support/certificate.mjs';
import { line } from './support/lines.mjs';
import { Listener } from './support/listener.mjs';
import { binary, demo, folder, inTime, run, start } from './support/program.mjs';

/** The name in the certificate that the server shows to a new connection. */
function shownName(rupor) {
  const [host, port] = rupor.browsers.split(':');
  return inTime(
    new Promise((resolve, reject) => {
      const stream = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
        resolve(stream.getPeerCertificate().subject.CN);
        stream.destroy();
      });
      stream.on('error', reject);
    }),
    'a TLS handshake',
  );
}

test('wss carries messages, https serves the pages, plain ws does not work', async (t) => {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  const rupor = await demo(t, ['--tls-cert', cert, '--tls-key', key]);
  const options = { ca: readFileSync(cert) };

  const tester = await Listener.open(t, `wss://${rupor.browsers}/?user=tester01`, [], options);
  await line(rupor.inlet, { user: 'tester01', message: 'over TLS' });
  assert.deepEqual(await tester.messages(1), ['over TLS']);

  const echo = await Listener.open(t, `wss://${rupor.browsers}/echo`, [], options);
  const large = 'ж'.repeat(30_000);
  echo.ws.send(large);
  assert.deepEqual(await echo.messages(1), [large]);

  const page = await run('curl', ['-sS', '--cacert', cert, `https://${rupor.browsers}/`]);
  assert.match(page.stdout, /<!doctype html>/i);

  await assert.rejects(Listener.open(t, `ws://${rupor.browsers}/`));
});

test('rupor publish and rupor connect speak TLS, and only to whom they can believe', async (t) => {
  const { cert, key } = await certificate(folder(t), 'rupor.test');
  const rupor = await demo(t, ['--tls-cert', cert, '--tls-key', key]);
  const listening = start(t, ['connect', '--ca', cert, '--no-input', `wss://${rupor.browsers}/?user=tester01`]);
  const reached = async () => (await line(rupor.inlet, { user: 'tester01', message: 'are you there?' })).connections;
  const until = Date.now() + 10_000;
  while ((await reached()) === 0) assert.ok(Date.now() < until, listening.output);

  const publish = (...flags) =>
    run(binary, ['publish', '--url', `https://${rupor.browsers}`, ...flags, '--user', 'tester01', 'by https'], {
      env: { RUPOR_API_KEY: rupor.key },
    });
  const believed = await publish('--ca', cert);
  assert.equal(believed.code, 0, believed.stderr);
  await listening.waitFor(/by https/);
  const unknown = await publish();
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.stderr, /certificate/i);
});

test('SIGHUP takes a new certificate for new connections and keeps the open ones', async (t) => {
  const path = folder(t);
  const first = await certificate(path, 'first.test');
  const second = await certificate(path, 'second.test');
  const rupor = await demo(t, ['--tls-cert', first.cert, '--tls-key', first.key]);
  const options = { rejectUnauthorized: false };
  const tester = await Listener.open(t, `wss://${rupor.browsers}/?user=tester01`, [], options);
  assert.equal(await shownName(rupor), 'first.test');

  copyFileSync(second.cert, first.cert);
  copyFileSync(second.key, first.key);
  rupor.child.kill('SIGHUP');
  await untilShown(rupor, 'second.test');

  // A bad pair keeps the good one.
  writeFileSync(first.cert, 'this is not a certificate');
  const before = rupor.output.length;
  rupor.child.kill('SIGHUP');
  await rupor.waitFor(new RegExp(`^[^]{${before}}[^]*(certificate|\\.pem)`, 'i'));
  assert.equal(await shownName(rupor), 'second.test');

  await line(rupor.inlet, { user: 'tester01', message: 'still here' });
  assert.deepEqual(await tester.messages(1), ['still here']);
});

/** Waits until new connections are shown the certificate of this name. */
async function untilShown(rupor, name) {
  const until = Date.now() + 10_000;
  while ((await shownName(rupor)) !== name) {
    assert.ok(Date.now() < until, `the certificate ${name} is never shown:\n${rupor.output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
