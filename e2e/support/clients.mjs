// The clients of both libraries, as the examples that send back what comes.

import { repository, start } from './program.mjs';

const blocking = process.env.RUPOR_CLIENT ?? repository('target/release/examples/client_blocking');

/** The example `client` of rupor-server. */
export const asyncClient = process.env.RUPOR_ASYNC_CLIENT ?? repository('target/debug/examples/client');

/** Each starts for a test and connects to HOST:PORT and a target. */
export const CLIENTS = {
  'rupor-proto': (t, address, target) => start(t, [address, target, 'echo'], { program: blocking }),
  'rupor-server': (t, address, target) => start(t, [`ws://${address}${target}`, 'echo'], { program: asyncClient }),
};
