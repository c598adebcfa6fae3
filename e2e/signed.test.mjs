// Addresses and channel tokens that a site signs, by the very PHP that the how-tos show and by the library.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { block } from './support/document.mjs';
import { line } from './support/lines.mjs';
import { Listener, refusal } from './support/listener.mjs';
import { counted } from './support/metrics.mjs';
import { inTime, repository, run } from './support/program.mjs';
import { serve } from './support/serve.mjs';

const KEY = randomBytes(32).toString('hex');

/** What PHP prints. */
async function php(code) {
  const { code: exit, stdout, stderr } = await run('php', ['-r', code]);
  assert.equal(exit, 0, stdout + stderr);
  return stdout;
}

/** The code of a how-to, without its first line. */
const shown = (path, mark) => block(path, `run: ${mark}`).replace('<?php', '');
const library = `require '${repository('clients/php/rupor.php')}';`;

test('an address that PHP signed is its user’s until it expires', async (t) => {
  const rupor = await serve(t, 'auth = ["signed"]', { RUPOR_SIGNED_URL_KEY: KEY });
  const howto = shown('docs/howto/signed-url.md', 'signed');
  for (const [made, user] of [
    [`${howto} echo signedUrl('${rupor.url}', '${KEY}', 'anna');`, 'anna'],
    [`${library} echo Rupor\\Client::signedUrl('${rupor.url}', 'Анна & B+', '${KEY}');`, 'Анна & B+'],
  ]) {
    const listener = await Listener.open(t, await php(made));
    await line(rupor.inlet, { user, message: 'it is you' });
    assert.deepEqual(await listener.messages(1), ['it is you']);
  }
  const soon = await Listener.open(t, await php(`${library} echo Rupor\\Client::signedUrl('${rupor.url}', 'boris', '${KEY}', 5);`));
  assert.equal((await inTime(soon.closed, 'the end')).code, 3000);

  const url = await php(`${library} echo Rupor\\Client::signedUrl('${rupor.url}', 'anna', '${KEY}', -1);`);
  for (const [address, status, told, reason] of [
    [url, 401, /auth = "signed": the signed address has expired/, 'expired'],
    [url.replace('user=anna', 'user=boris'), 401, /the signature of the address is wrong/, 'wrong_signature'],
    [`${url}&user=boris`, 400, /each once/, 'malformed'],
  ]) {
    const refused = await refusal(t, address);
    assert.equal(refused.status, status);
    assert.match(refused.text, told);
    await counted(rupor, `rupor_identities_refused_total{way="signed",reason="${reason}"}`, 1);
    await rupor.waitFor(new RegExp(`an upgrade is refused: .*${told.source}`));
  }
  assert.equal((await refusal(t, rupor.url)).status, 401);
  await counted(rupor, 'rupor_identities_total{way="signed",result="accepted"}', 3);
  await counted(rupor, 'rupor_identities_total{way="signed",result="absent"}', 1);
  assert.ok(!rupor.output.includes(new URL(url).searchParams.get('signature')), rupor.output);
});

test('a channel opens for the token that PHP signed for it, and for no other', async (t) => {
  const rupor = await serve(t, `
auth = ["signed", "guest"]
[[jwt]]
algorithm = "HS256"
key = "${KEY}"
[[channel]]
name = "private-*"
subscribe = "token"
publish = "token"
`, { RUPOR_SIGNED_URL_KEY: KEY });
  const howto = shown('docs/howto/channels.md', 'token');
  const token = (channel, user = 'null') => php(`${howto} echo channelToken('${KEY}', '${channel}', ${user});`);
  const address = await php(`${library} echo Rupor\\Client::signedUrl('${rupor.url}', 'anna', '${KEY}');`);
  const anna = await Listener.open(t, address, ['rupor.v1']);
  let asked = 0;
  const ask = async (type, channel, token, more = {}) => {
    anna.ws.send(JSON.stringify({ type, channel, ...(token && { token }), ...more, id: ++asked }));
    const answers = await anna.messages(1 + asked);
    return JSON.parse(answers[asked]);
  };
  assert.equal((await ask('subscribe', 'private-5', await token('private-5', "'anna'"))).type, 'subscribed');
  for (const [channel, shown, told] of [
    ['private-6', undefined, /rule private-\* \(.*rupor\.toml:\d+.*\): subscribe = "token", and no token came with it/],
    ['private-6', await token('private-5', "'anna'"), /the token is for another channel/],
    ['private-6', await token('private-6', "'boris'"), /the token is another user's/],
    ['private-6', await token('private-6') + 'x', /the token's signature is wrong/],
    ['private-6', await php(`${library} echo Rupor\\Client::token('anna', '${KEY}');`), /the token is for no channel/],
    ['public-6', await token('public-6'), /no \[\[channel\]\] rule has a name that covers it/],
  ]) {
    const { code, text } = await ask('subscribe', channel, shown);
    assert.equal(code, 'forbidden');
    assert.match(text, told);
    await rupor.waitFor(told);
  }
  await counted(rupor, 'rupor_forbidden_total{right="subscribe"}', 6);
  assert.match((await ask('publish', 'private-5', await token('private-5'), { message: 'hi' })).text, /not for publishing/);

  // Published to whom the token let in, by whom a token lets publish.
  const may = await php(`${library} echo Rupor\\Client::token('anna', '${KEY}', 60, ['channel' => 'private-5', 'publish' => true]);`);
  anna.ws.send(JSON.stringify({ type: 'publish', channel: 'private-5', message: 'to all of us', token: may }));
  // The answer and what was published come in either order.
  const both = (await anna.messages(3 + asked)).slice(1 + asked).map((text) => JSON.parse(text));
  assert.deepEqual(both.map(({ type, message }) => message ?? type).sort(), ['published', 'to all of us']);
  assert.ok(!rupor.output.includes('eyJ'), 'a token is in the log');
});
