// What nobody may find in a log, not even at `trace`: keys, tokens, cookies, sessions, and passwords in addresses.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Listener, refusal } from './support/listener.mjs';
import { folder, freePort } from './support/program.mjs';
import { serve } from './support/serve.mjs';

const secret = () => randomBytes(24).toString('hex');
const part = (bytes) => Buffer.from(bytes).toString('base64url');

test('the log holds no secret, whoever is believed, refused or away', async (t) => {
  const [jwtKey, urlKey, hookKey, password, held] = Array.from({ length: 5 }, secret);
  const [id, torn, strange] = Array.from({ length: 3 }, secret);
  const sessions = folder(t);
  writeFileSync(join(sessions, `sess_${id}`), `user_id|s:4:"anna";held|s:48:"${held}";`);
  writeFileSync(join(sessions, `sess_${torn}`), `user_id|s:400:"${held}";`);
  const nobody = `127.0.0.1:${await freePort()}`;
  const rupor = await serve(t, `
log = "trace"
auth = ["signed", "jwt", "session", "webhook"]
[session]
files = "${sessions}"
[[jwt]]
algorithm = "HS256"
key = "${jwtKey}"
[auth_webhook]
url = "http://${nobody}/"
[outbox]
url = "mysql://rupor:${password}@${nobody}/site"
[postgres]
url = "postgres://rupor:${password}@${nobody}/site"
[redis]
url = "redis://:${password}@${nobody}/0"
`, { RUPOR_SIGNED_URL_KEY: urlKey, RUPOR_AUTH_WEBHOOK_KEY: hookKey });

  const expires = Math.floor(Date.now() / 1000) + 100;
  const sign = (key, text, form) => createHmac('sha256', key).update(text).digest(form);
  const token = (key) => {
    const signed = `${part('{"alg":"HS256"}')}.${part(JSON.stringify({ sub: 'anna', exp: expires }))}`;
    return `${signed}.${sign(key, signed, 'base64url')}`;
  };
  const signature = sign(urlKey, `${expires}.anna`, 'hex');
  const [good, forged] = [token(jwtKey), token(secret())];
  const own = { origin: `http://${rupor.browsers}` };
  const page = (cookie) => ({ headers: { ...own, cookie: `PHPSESSID=${cookie}; other=${held}` } });

  await Listener.open(t, `${rupor.url}?user=anna&expires=${expires}&signature=${signature}`);
  await Listener.open(t, `${rupor.url}?token=${good}`);
  await Listener.open(t, rupor.url, ['rupor.v1', `rupor.jwt.${good}`]);
  await Listener.open(t, rupor.url, [], page(id));
  assert.equal((await refusal(t, `${rupor.url}?user=boris&expires=${expires}&signature=${signature}`)).status, 401);
  assert.equal((await refusal(t, `${rupor.url}?token=${forged}`)).status, 401);
  assert.equal((await refusal(t, rupor.url, [], page(torn))).status, 401);
  assert.equal((await refusal(t, rupor.url, [], page(strange))).status, 503);
  await rupor.waitFor(/the site was asked and there is no answer/);
  for (const away of [/the outbox cannot be read/, /PostgreSQL cannot be listened to/, /Redis cannot be subscribed to/]) await rupor.waitFor(away);

  const secrets = { jwtKey, urlKey, hookKey, password, held, id, torn, strange, signature, good, forged, api: rupor.key };
  for (const [name, value] of Object.entries(secrets)) assert.ok(!rupor.output.includes(value), name);
});
