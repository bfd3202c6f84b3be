-- What the projection needs to tell its own writers and databases apart.
--
-- A generation column holds nothing: every insert of a projection names it, and
-- where it has another name the insert is refused. So when the tables were
-- exchanged for rebuilt ones, an insert that was meant for the old ones and
-- arrives late, with ranges of its own, changes nothing.

-- +goose NO TRANSACTION

-- +goose Up

-- Whose database this is: one row, which is claimed once.
CREATE TABLE IF NOT EXISTS installation
(
    installation String,
    database_id  UUID,
    claimed_at   DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY claimed_at
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Partitions that have no more rows, from a message of LEDGER on that cannot be
-- read; 'all' stands for every partition. Each of their later messages is a row
-- of kind 'none' in ledger.
CREATE TABLE IF NOT EXISTS stopped_partitions
(
    partition    String,
    sequence     UInt64,
    reason       String,
    recorded_at  DateTime64(6, 'UTC'),
    generation_0 UInt8 EPHEMERAL
)
ENGINE = ReplacingMergeTree
ORDER BY (partition, sequence)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE usage_events    ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE ledger          ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE signals         ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE balances        ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE usage_by_minute ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE usage_by_hour   ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;
ALTER TABLE usage_by_day    ADD COLUMN IF NOT EXISTS generation_0 UInt8 EPHEMERAL;

-- +goose Down
ALTER TABLE usage_by_day    DROP COLUMN IF EXISTS generation_0;
ALTER TABLE usage_by_hour   DROP COLUMN IF EXISTS generation_0;
ALTER TABLE usage_by_minute DROP COLUMN IF EXISTS generation_0;
ALTER TABLE balances        DROP COLUMN IF EXISTS generation_0;
ALTER TABLE signals         DROP COLUMN IF EXISTS generation_0;
ALTER TABLE ledger          DROP COLUMN IF EXISTS generation_0;
ALTER TABLE usage_events    DROP COLUMN IF EXISTS generation_0;
DROP TABLE IF EXISTS stopped_partitions;
DROP TABLE IF EXISTS installation;
