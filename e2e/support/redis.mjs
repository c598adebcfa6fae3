// A Redis of the test's own: on a free port, which keeps nothing.

import assert from 'node:assert/strict';

import { folder, freePort, run, start } from './program.mjs';

export const PASSWORD = 'hush-hush-4711';

export class Redis {
  /** One that runs. It ends with the test. */
  static async start(t, password) {
    const redis = await this.make(t, password);
    await redis.start();
    return redis;
  }

  /** One that does not run yet. Without a password it asks for none. */
  static async make(t, password = '') {
    const redis = new this();
    redis.t = t;
    redis.password = password;
    redis.port = await freePort();
    redis.url = `redis://${password && `:${password}@`}127.0.0.1:${redis.port}/0`;
    return redis;
  }

  async start() {
    const args = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder(this.t), '--requirepass', this.password];
    this.server = start(this.t, args, { program: 'redis-server' });
    await this.server.waitFor(/Ready to accept connections/);
  }

  /** Ends it at once, as after a fault. */
  async stop() {
    await this.server.stop();
  }

  /** What redis-cli prints. */
  async cli(...args) {
    const env = this.password ? { REDISCLI_AUTH: this.password } : {};
    const { code, stdout, stderr } = await run('redis-cli', ['-h', '127.0.0.1', '-p', `${this.port}`, ...args], { env });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }
}
