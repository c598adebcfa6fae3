// What the program says of itself at /metrics.

import { eventually, run } from './program.mjs';

/**
 * All metrics as they are written: `name{label="value"}` to number. Over TLS if the program has a `cert`, and with `curl` as
 * further flags.
 */
export async function metrics(rupor) {
  const [scheme, trust] = rupor.cert ? ['https', ['--cacert', rupor.cert]] : ['http', []];
  const key = [...(rupor.curl ?? []), '-H', `Authorization: Bearer ${rupor.key}`];
  const { stdout } = await run('curl', ['-sS', '--http1.1', ...trust, ...key, `${scheme}://${rupor.browsers}/metrics`]);
  const lines = stdout.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** One of them. */
export const value = async (rupor, name) => (await metrics(rupor)).get(name);

/** Waits until the metric has this value. */
export const counted = (rupor, name, wanted) =>
  eventually(() => value(rupor, name), (seen) => seen === wanted, `${name} to be ${wanted}`);
