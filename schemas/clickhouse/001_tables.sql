-- The tables that hold what the LEDGER and SIGNALS streams hold, and nothing
-- else: every value comes from a message, none from the time of the insert.
--
-- Money is Int64 micro-credits (1 credit = 1 000 000) in columns ending in _uc.
-- Times are UTC with microseconds.
--
-- Exactly once: each insert is one contiguous range of LEDGER sequences, named
-- by its deduplication token, and every row carries the range (batch_first,
-- batch_last) and the number of rows that the insert had in its table. So
-- ClickHouse itself remembers how a range was cut, and a restarted projector
-- sends the last one again identically. The window makes that harmless; every
-- target of a materialized view needs one as well. A batch never crosses a
-- month of recorded_at, so an insert is one part: all of it or nothing.
--
-- On a cluster: Replicated engines, and replicated_deduplication_window (with
-- its _seconds above the longest outage to survive) in place of the
-- non_replicated one.

-- +goose NO TRANSACTION

-- +goose Up

-- One row per accepted usage event.
CREATE TABLE IF NOT EXISTS usage_events
(
    source          LowCardinality(String),
    id              String                 CODEC(ZSTD(1)),
    account         LowCardinality(String),
    time            DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    type            LowCardinality(String) DEFAULT 'drawdown.usage.v1',
    specversion     LowCardinality(String) DEFAULT '1.0',
    datacontenttype LowCardinality(String) DEFAULT 'application/json',
    operation       LowCardinality(String),
    status          UInt16                 CODEC(ZSTD(1)),
    project         LowCardinality(String),
    key             LowCardinality(String),
    quantities      Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    attributes      Map(String, String)    CODEC(ZSTD(1)),
    amount_uc       Int64                  CODEC(T64, ZSTD(1)),
    usage_seq       UInt64                 CODEC(Delta(8), ZSTD(1)),
    usage_index     UInt32                 CODEC(T64, ZSTD(1)),
    ledger_seq      UInt64                 CODEC(Delta(8), ZSTD(1)),
    entry_index     UInt32                 CODEC(T64, ZSTD(1)),
    recorded_at     DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    batch_first     UInt64                 CODEC(Delta(8), ZSTD(1)),
    batch_last      UInt64                 CODEC(Delta(8), ZSTD(1)),
    batch_rows      UInt32                 CODEC(T64, ZSTD(1)),
    INDEX by_id         id         TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_ledger_seq ledger_seq TYPE minmax GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(recorded_at)
ORDER BY (account, time, ledger_seq, entry_index)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- One row per posting: each step of each account. A LEDGER message that changed
-- nothing is one row of kind 'none', so every sequence is there. What is of no
-- account, such as a plan, has account_seq 0. Of a debit that the fold refused
-- there is a row here, which charges nothing, and none in usage_events.
CREATE TABLE IF NOT EXISTS ledger
(
    account         LowCardinality(String),
    account_seq     UInt64                 CODEC(Delta(8), ZSTD(1)),
    kind            LowCardinality(String),
    at              DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    recorded_at     DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    ledger_seq      UInt64                 CODEC(Delta(8), ZSTD(1)),
    entry_index     UInt32                 CODEC(T64, ZSTD(1)),
    posting         UInt32                 CODEC(T64, ZSTD(1)),
    grant_id        String                 CODEC(ZSTD(1)),
    refused         LowCardinality(String),
    granted_uc      Int64                  CODEC(T64, ZSTD(1)),
    drawn_uc        Int64                  CODEC(T64, ZSTD(1)),
    expired_uc      Int64                  CODEC(T64, ZSTD(1)),
    voided_uc       Int64                  CODEC(T64, ZSTD(1)),
    charged_uc      Int64                  CODEC(T64, ZSTD(1)),
    forgiven_uc     Int64                  CODEC(T64, ZSTD(1)),
    available_uc    Int64                  CODEC(T64, ZSTD(1)),
    held_uc         Int64                  CODEC(T64, ZSTD(1)),
    overage_uc      Int64                  CODEC(T64, ZSTD(1)),
    remaining_uc    Int64                  CODEC(T64, ZSTD(1)),
    draw_grants     Array(String)          CODEC(ZSTD(1)),
    draw_amounts_uc Array(Int64)           CODEC(ZSTD(1)),
    draw_left_uc    Array(Int64)           CODEC(ZSTD(1)),
    event_source    LowCardinality(String),
    event_id        String                 CODEC(ZSTD(1)),
    event_time      DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    operation       LowCardinality(String),
    project         LowCardinality(String),
    key             LowCardinality(String),
    usage_seq       UInt64                 CODEC(Delta(8), ZSTD(1)),
    usage_index     UInt32                 CODEC(T64, ZSTD(1)),
    card            LowCardinality(String),
    card_version    UInt32                 CODEC(T64, ZSTD(1)),
    rule            LowCardinality(String),
    arithmetic      String                 CODEC(ZSTD(1)),
    batch_first     UInt64                 CODEC(Delta(8), ZSTD(1)),
    batch_last      UInt64                 CODEC(Delta(8), ZSTD(1)),
    batch_rows      UInt32                 CODEC(T64, ZSTD(1)),
    INDEX by_event_id   event_id   TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_ledger_seq ledger_seq TYPE minmax GRANULARITY 4,
    INDEX by_at         at         TYPE minmax GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(recorded_at)
ORDER BY (account, account_seq, ledger_seq, posting)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- One row per signal. Sending a signal again replaces it by itself.
CREATE TABLE IF NOT EXISTS signals
(
    account      LowCardinality(String),
    sequence     UInt64                 CODEC(Delta(8), ZSTD(1)),
    kind         LowCardinality(String),
    threshold    LowCardinality(String),
    scope        LowCardinality(String),
    available_uc Int64                  CODEC(T64, ZSTD(1)),
    held_uc      Int64                  CODEC(T64, ZSTD(1)),
    overage_uc   Int64                  CODEC(T64, ZSTD(1)),
    at           DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    cause_seq    UInt64                 CODEC(Delta(8), ZSTD(1)),
    cause_index  UInt32                 CODEC(T64, ZSTD(1)),
    cause_kind   LowCardinality(String),
    cause_at     DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    cause_source LowCardinality(String),
    cause_id     String                 CODEC(ZSTD(1)),
    recorded_at  DateTime64(6, 'UTC')   CODEC(Delta(8), ZSTD(1)),
    stream_seq   UInt64                 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(stream_seq)
ORDER BY (account, sequence)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- +goose Down
DROP TABLE IF EXISTS signals;
DROP TABLE IF EXISTS ledger;
DROP TABLE IF EXISTS usage_events;
