-- What materialized views keep of the ledger: the latest balance of each
-- account, and sums of usage by the usage events' own time.
--
-- The targets have no partition key: one import can span decades, and an insert
-- may touch at most 100 partitions. Each has a deduplication window, because a
-- batch that is sent again after a crash must complete the targets it did not
-- reach and leave alone those it did.

-- +goose NO TRANSACTION

-- +goose Up

-- Read with FINAL. account_seq grows with every posting of an account.
CREATE TABLE IF NOT EXISTS balances
(
    account      LowCardinality(String),
    available_uc Int64,
    held_uc      Int64,
    overage_uc   Int64,
    remaining_uc Int64,
    account_seq  UInt64,
    ledger_seq   UInt64,
    at           DateTime64(6, 'UTC'),
    recorded_at  DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(account_seq)
ORDER BY account
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS balances_mv TO balances AS
SELECT l.account                            AS account,
       argMax(l.available_uc, l.account_seq) AS available_uc,
       argMax(l.held_uc, l.account_seq)      AS held_uc,
       argMax(l.overage_uc, l.account_seq)   AS overage_uc,
       argMax(l.remaining_uc, l.account_seq) AS remaining_uc,
       max(l.account_seq)                    AS account_seq,
       argMax(l.ledger_seq, l.account_seq)   AS ledger_seq,
       argMax(l.at, l.account_seq)           AS at,
       argMax(l.recorded_at, l.account_seq)  AS recorded_at
FROM ledger AS l
WHERE l.account_seq > 0
GROUP BY l.account;

-- All accounts, by operation: live dashboards.
CREATE TABLE IF NOT EXISTS usage_by_minute
(
    minute     DateTime64(0, 'UTC')                 CODEC(Delta(8), ZSTD(1)),
    operation  LowCardinality(String),
    calls      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    charged_uc SimpleAggregateFunction(sum, Int64)  CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (minute, operation)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_minute_mv TO usage_by_minute AS
SELECT dateTrunc('minute', l.event_time) AS minute,
       l.operation                       AS operation,
       count()                           AS calls,
       sum(l.charged_uc)                 AS charged_uc
FROM ledger AS l
WHERE l.kind = 'debit' AND l.refused = ''
GROUP BY minute, operation;

-- By account: burn rate and forecast.
CREATE TABLE IF NOT EXISTS usage_by_hour
(
    account    LowCardinality(String),
    hour       DateTime64(0, 'UTC')                 CODEC(Delta(8), ZSTD(1)),
    calls      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    charged_uc SimpleAggregateFunction(sum, Int64)  CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (account, hour)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_hour_mv TO usage_by_hour AS
SELECT l.account                       AS account,
       dateTrunc('hour', l.event_time) AS hour,
       count()                         AS calls,
       sum(l.charged_uc)               AS charged_uc
FROM ledger AS l
WHERE l.kind = 'debit' AND l.refused = ''
GROUP BY account, hour;

-- Everything an account may break its usage down by.
CREATE TABLE IF NOT EXISTS usage_by_day
(
    account    LowCardinality(String),
    day        Date32                               CODEC(Delta(4), ZSTD(1)),
    operation  LowCardinality(String),
    project    LowCardinality(String),
    key        LowCardinality(String),
    calls      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    charged_uc SimpleAggregateFunction(sum, Int64)  CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (account, day, operation, project, key)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_day_mv TO usage_by_day AS
SELECT l.account                AS account,
       toDate32(l.event_time)   AS day,
       l.operation              AS operation,
       l.project                AS project,
       l.key                    AS key,
       count()                  AS calls,
       sum(l.charged_uc)        AS charged_uc
FROM ledger AS l
WHERE l.kind = 'debit' AND l.refused = ''
GROUP BY account, day, operation, project, key;

-- +goose Down
DROP VIEW IF EXISTS usage_by_day_mv;
DROP TABLE IF EXISTS usage_by_day;
DROP VIEW IF EXISTS usage_by_hour_mv;
DROP TABLE IF EXISTS usage_by_hour;
DROP VIEW IF EXISTS usage_by_minute_mv;
DROP TABLE IF EXISTS usage_by_minute;
DROP VIEW IF EXISTS balances_mv;
DROP TABLE IF EXISTS balances;
