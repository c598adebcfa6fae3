// A MariaDB of the test's own: on a free port, in a temporary folder, with a password.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PASSWORD, unprivileged } from './postgres.mjs';
import { folder, freePort, run, start } from './program.mjs';

const SERVER = '/usr/sbin/mariadbd';
const USER = 'rupor';

/** The folder of a new database. To make one takes seconds, so that tests of one file copy it. */
let made;

async function make(under) {
  const place = mkdtempSync(join(tmpdir(), 'rupor-mariadb-'));
  process.on('exit', () => rmSync(place, { recursive: true, force: true }));
  await unprivileged(place);
  const data = join(place, 'data');
  const how = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'];
  const install = ['mariadb-install-db', '--no-defaults', `--datadir=${data}`, `--tmpdir=${place}`, ...how];
  const [command, ...args] = [...under, ...install];
  const { code, stdout, stderr } = await run(command, args, { cwd: place });
  assert.equal(code, 0, stdout + stderr);
  return data;
}

export class MariaDb {
  /** One that runs. It ends with the test. */
  static async start(t) {
    const database = await MariaDb.make(t);
    await database.start();
    return database;
  }

  /** One that does not run yet. */
  static async make(t) {
    const database = new MariaDb();
    t.after(() => database.stop());
    database.t = t;
    database.place = folder(t);
    database.under = await unprivileged(database.place);
    made ??= make(database.under);
    const [command, ...args] = [...database.under, 'cp', '-a', await made, database.data];
    const copied = await run(command, args, { cwd: database.place });
    assert.equal(copied.code, 0, copied.stderr);
    database.port = await freePort();
    database.url = `mysql://${USER}:${PASSWORD}@127.0.0.1:${database.port}/site`;
    return database;
  }

  get data() {
    return join(this.place, 'data');
  }

  get socket() {
    return join(this.place, 'socket');
  }

  async start() {
    const args = [
      '--no-defaults', `--datadir=${this.data}`, `--tmpdir=${this.place}`, `--socket=${this.socket}`, `--port=${this.port}`,
      '--bind-address=127.0.0.1', '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=32M',
    ];
    this.server = start(this.t, args, { program: SERVER, under: this.under, cwd: this.place });
    await this.server.waitFor(/ready for connections/);
    await this.root(`CREATE DATABASE IF NOT EXISTS site; CREATE USER IF NOT EXISTS ${USER}@127.0.0.1 IDENTIFIED BY '${PASSWORD}';
      GRANT ALL ON site.* TO ${USER}@127.0.0.1;`);
  }

  /** Ends it at once, as after a fault. */
  async stop() {
    await this.server?.stop();
  }

  async root(text) {
    const { code, stderr } = await run('mariadb', ['--no-defaults', '-S', this.socket, '-u', 'root'], { input: text });
    assert.equal(code, 0, stderr);
  }

  /** What the client writes when it runs this SQL: rows without headings. */
  async sql(text) {
    const address = ['-h', '127.0.0.1', '-P', String(this.port), '-u', USER, 'site'];
    const args = ['--no-defaults', '--batch', '--skip-column-names', '--raw', ...address];
    const { code, stdout, stderr } = await run('mariadb', args, { input: text, env: { MYSQL_PWD: PASSWORD } });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  password = PASSWORD;
  /** As `rupor outbox install` knows it. */
  kind = 'mysql';
  /** By which PHP knows it. */
  extension = 'pdo_mysql';
  /** SQL that takes a moment. */
  pause = 'DO SLEEP(0.01);';

  /** PHP code that opens `$pdo`. */
  get pdo() {
    return `$pdo = new PDO('mysql:host=127.0.0.1;port=${this.port};dbname=site', '${USER}', '${PASSWORD}');`;
  }
}
