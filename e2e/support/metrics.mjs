// What the program says of itself at /metrics.

import { eventually } from './program.mjs';

/** All metrics as they are written: `name{label="value"}` to number. */
export async function metrics(rupor) {
  const headers = { Authorization: `Bearer ${rupor.key}`, Connection: 'close' };
  const text = await (await fetch(`http://${rupor.browsers}/metrics`, { headers })).text();
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** Waits until the metric has this value. */
export const counted = (rupor, name, value) =>
  eventually(async () => (await metrics(rupor)).get(name), (seen) => seen === value, `${name} to be ${value}`);
