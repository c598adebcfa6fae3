//! The SQL that makes an outbox. It is printed for somebody who may create tables; rupor itself may not and need not.

use crate::config::TableName;

/// The statements for PostgreSQL 12 and newer. Running them twice changes nothing.
pub(crate) fn postgres(table: &TableName) -> String {
    let table = table.as_str();
    // An index lies where its table does, and is named without a schema.
    let (schema, bare) = table.rsplit_once('.').unwrap_or(("", table));
    let usage = if schema.is_empty() {
        String::new()
    } else {
        format!("-- GRANT USAGE ON SCHEMA {schema} TO rupor, site;\n")
    };
    format!(
        r#"-- rupor's outbox in PostgreSQL 12 or newer: a row that is inserted here, in a transaction of the site, is a push.
BEGIN;

CREATE TABLE IF NOT EXISTS {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A publish object.
    payload text NOT NULL,
    -- What clients of rupor.v1 know a repeat by, at most 256 bytes; without one it is the id.
    publication text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set by rupor where the payload is no publish object: a dead letter.
    error text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE INDEX IF NOT EXISTS {bare}_dead ON {table} (id) WHERE error IS NOT NULL;

-- Wakes rupor when the transaction is committed.
CREATE OR REPLACE FUNCTION {table}_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{table}', '');
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS {bare}_wake ON {table};
CREATE TRIGGER {bare}_wake AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_wake();

COMMIT;

-- What rupor's own user needs, and the site's:
{usage}-- GRANT SELECT, UPDATE, DELETE ON {table} TO rupor;
-- GRANT INSERT ON {table} TO site;

-- To push:          INSERT INTO {table} (payload) VALUES ('{{"user":"tester01","message":"test"}}');
-- Dead letters:     SELECT id, created_at, error, payload FROM {table} WHERE error IS NOT NULL ORDER BY id;
-- Try them again:   UPDATE {table} SET error = NULL WHERE error IS NOT NULL;
"#
    )
}

/// The statements for MySQL 8, MariaDB 10.3 and newer. Running them twice changes nothing.
pub(crate) fn mysql(table: &TableName) -> String {
    let table = table.as_str();
    format!(
        r#"-- rupor's outbox in MySQL 8, MariaDB 10.3 or newer: a row that is inserted here, in a transaction of the site, is a push.
CREATE TABLE IF NOT EXISTS {table} (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- A publish object.
    payload mediumtext NOT NULL,
    -- What clients of rupor.v1 know a repeat by, at most 256 bytes; without one it is the id.
    publication varchar(256) NULL,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- Set by rupor where the payload is no publish object: a dead letter.
    error text NULL,
    INDEX dead (error(1))
) ENGINE = InnoDB, DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What rupor's own user needs, and the site's:
-- GRANT SELECT, UPDATE, DELETE ON {table} TO 'rupor'@'localhost';
-- GRANT INSERT ON {table} TO 'site'@'localhost';

-- To push:          INSERT INTO {table} (payload) VALUES ('{{"user":"tester01","message":"test"}}');
-- Dead letters:     SELECT id, created_at, error, payload FROM {table} WHERE error IS NOT NULL ORDER BY id;
-- Try them again:   UPDATE {table} SET error = NULL WHERE error IS NOT NULL;
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::outbox_table;

    #[test]
    fn every_name_is_made_from_the_tables() {
        let sql = postgres(&outbox_table("push.queue").unwrap());
        for part in [
            "CREATE TABLE IF NOT EXISTS push.queue (",
            "INDEX IF NOT EXISTS queue_dead ON push.queue",
            "FUNCTION push.queue_wake()",
            "pg_notify('push.queue', '')",
            "GRANT USAGE ON SCHEMA push TO rupor, site;",
            r#"'{"user":"tester01","message":"test"}'"#,
        ] {
            assert!(sql.contains(part), "{part}: {sql}");
        }
        assert!(!sql.contains("rupor_outbox"));
        assert!(!postgres(&outbox_table("queue").unwrap()).contains("USAGE"));
        let sql = mysql(&outbox_table("push.queue").unwrap());
        assert!(
            sql.contains("CREATE TABLE IF NOT EXISTS push.queue ("),
            "{sql}"
        );
        assert!(!sql.contains("rupor_outbox"));
    }
}
