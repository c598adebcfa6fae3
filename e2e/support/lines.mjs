// The site's side of a line inlet: writes lines, reads the answers.

import { connect } from 'node:net';
import { createInterface } from 'node:readline';

import { inTime } from './program.mjs';

/** Sends values as lines on one connection and resolves to their answers, in order. */
export async function lines(address, values) {
  const [host, port] = address.split(':');
  const stream = address.startsWith('/') ? connect(address) : connect(Number(port), host);
  try {
    const text = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
    stream.write(text.map((line) => `${line}\n`).join(''));
    const answers = [];
    const all = (async () => {
      for await (const line of createInterface({ input: stream })) {
        answers.push(JSON.parse(line));
        if (answers.length === values.length) break;
      }
    })();
    await inTime(all, `${values.length} answers, got ${JSON.stringify(answers)}`);
    return answers;
  } finally {
    stream.destroy();
  }
}

/** Sends one value as a line and resolves to its answer. */
export const line = async (address, value) => (await lines(address, [value]))[0];
