// Starts `rupor serve` for one test, on free ports, with a configuration of the test's own.
//
//   const rupor = await serve(t, `auth = ["signed"]`, { RUPOR_SIGNED_URL_KEY: … })
//
// `browsers` and `inlet` are HOST:PORT, `url` is where browsers connect, `key` is the API's. With `explain`, as in development.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { folder, start } from './program.mjs';

export async function serve(t, configuration, env = {}) {
  const file = join(folder(t), 'rupor.toml');
  writeFileSync(file, `
listen = ["127.0.0.1:0"]
inlet = ["tcp://127.0.0.1:0"]
explain = true
${configuration}`);
  const key = randomBytes(32).toString('hex');
  const rupor = start(t, ['serve', '--config', file], { env: { RUPOR_API_KEY: key, ...env } });
  rupor.key = key;
  rupor.browsers = (await rupor.waitFor(/ws:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.url = `ws://${rupor.browsers}/`;
  return rupor;
}
