// Starts the real program for one test and ends it with the test.
//
//   const rupor = await demo(t)                    rupor demo on free ports
//   const rupor = await start(t, ['echo', …])      anything else
//
// The binary is $RUPOR_BIN, else target/release/rupor. Nothing waits longer than DEADLINE_MS.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How long anything may take before its test fails. Only a failure ever waits that long. */
export const DEADLINE_MS = 20_000;

const root = new URL('../../', import.meta.url);

/** The program under test. */
export const binary = process.env.RUPOR_BIN ?? fileURLToPath(new URL('target/release/rupor', root));

/** A file of the repository. */
export const repository = (path) => fileURLToPath(new URL(path, root));

/** A program that runs until the test ends. */
export class Program {
  #waiting = new Set();

  constructor(child) {
    this.child = child;
    this.output = '';
    this.exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        this.output += text;
        for (const check of this.#waiting) check();
      });
    }
    child.on('close', () => {
      this.closed = true;
      for (const check of this.#waiting) check();
    });
  }

  /** Resolves to the first match of `pattern` in the output. */
  waitFor(pattern) {
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        settle(value);
      };
      const failed = (why) =>
        finish(reject, new Error(`${why}: no ${pattern} in the output:\n${this.output}`));
      const check = () => {
        const found = pattern.exec(this.output);
        if (found) finish(resolve, found);
        else if (this.closed) failed('the program ended');
      };
      const timer = setTimeout(() => failed('too late'), DEADLINE_MS);
      this.#waiting.add(check);
      check();
    });
  }

  /** Kills the program and waits for its end. */
  async stop() {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/**
 * Starts the program with these arguments; it ends with the test `t`. `under` is a command that runs
 * the program by becoming it, such as `['sh', '-c', 'ulimit -n 64; exec "$0" "$@"']`.
 */
export function start(t, args, { env = {}, cwd, program = binary, under = [] } = {}) {
  // Whoever runs the tests may have set options, or sit behind a proxy.
  const clean = Object.entries(process.env).filter(([name]) => !/^RUPOR_|_proxy$/i.test(name));
  const [command, ...all] = [...under, program, ...args];
  const child = spawn(command, all, {
    cwd,
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const running = new Program(child);
  t.after(() => running.stop());
  return running;
}

/** Runs a command to its end: `{ code, stdout, stderr }`. Input is written and closed at once. */
export async function run(command, args, { input = '', env, cwd } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL', // one that no program answers with an orderly end
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(input);
  const [code, signal] = await once(child, 'close');
  if (signal) throw new Error(`${command} ${args.join(' ')} was ended by ${signal}:\n${stderr}`);
  return { code, stdout, stderr };
}

/** Rejects when `promise` takes longer than the deadline. */
export function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Looks until `wanted` holds for what is seen and resolves to that. */
export async function eventually(look, wanted, what) {
  const until = Date.now() + DEADLINE_MS;
  for (;;) {
    const seen = await look();
    if (wanted(seen)) return seen;
    assert.ok(Date.now() < until, `waited for ${what}, last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Starts `rupor demo` on free ports: `browsers` and `inlet` are HOST:PORT, `key` is the API's.
 * Flags are added, so that a repeatable one such as --inlet adds another.
 */
export async function demo(t, flags = [], options = {}) {
  const ports = ['--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0'];
  const rupor = start(t, ['demo', ...ports, ...flags], options);
  rupor.browsers = (await rupor.waitFor(/(?:http|ws)s?:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.key = (await rupor.waitFor(/Bearer ([^\s'"]+)/))[1];
  return rupor;
}

/** A folder that is gone with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'rupor-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A port of 127.0.0.1 that nothing listens on, for programs that cannot take port 0. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
