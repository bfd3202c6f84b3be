-- Corrections of usage events. The row of a posting of kind correction names the
-- event in the columns that a debit has; operation, project, key and how it was
-- rated are those of the charge that it puts in (now_), and empty when it makes the
-- event void. was_ is the charge that it takes out. Sums of usage follow, at the
-- event's own time: they hold what is charged now.
--
-- The rollups' own views stay as they are, because a view signs the tokens of what it
-- inserts: one that is made anew would count a batch again that is sent again. The
-- views of corrections stand beside them. A batch without corrections gives them no
-- rows.

-- +goose NO TRANSACTION

-- +goose Up
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS corrects_seq UInt64 DEFAULT 0 CODEC(Delta(8), ZSTD(1)) AFTER arithmetic;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS corrects_index UInt32 DEFAULT 0 CODEC(T64, ZSTD(1)) AFTER corrects_seq;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS was_calls UInt8 DEFAULT 0 CODEC(T64, ZSTD(1)) AFTER corrects_index;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS was_uc Int64 DEFAULT 0 CODEC(T64, ZSTD(1)) AFTER was_calls;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS was_operation LowCardinality(String) DEFAULT '' AFTER was_uc;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS was_project LowCardinality(String) DEFAULT '' AFTER was_operation;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS was_key LowCardinality(String) DEFAULT '' AFTER was_project;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS now_calls UInt8 DEFAULT 0 CODEC(T64, ZSTD(1)) AFTER was_key;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS now_uc Int64 DEFAULT 0 CODEC(T64, ZSTD(1)) AFTER now_calls;
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS reason String DEFAULT '' CODEC(ZSTD(1)) AFTER now_uc;

ALTER TABLE usage_by_minute MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1));
ALTER TABLE usage_by_hour MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1));
ALTER TABLE usage_by_day MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1));

-- What every accepted debit and correction adds to sums of usage. A correction takes
-- a charge out and puts another in: two rows, of which either may be nothing.
CREATE VIEW IF NOT EXISTS usage_changes AS
SELECT account, event_time, operation, project, key, toInt64(1) AS calls, charged_uc, ledger_seq
FROM ledger WHERE kind = 'debit' AND refused = ''
UNION ALL
SELECT account, event_time, was_operation, was_project, was_key, -toInt64(was_calls), -was_uc, ledger_seq
FROM ledger WHERE kind = 'correction' AND refused = '' AND was_calls > 0
UNION ALL
SELECT account, event_time, operation, project, key, toInt64(now_calls), now_uc, ledger_seq
FROM ledger WHERE kind = 'correction' AND refused = '' AND now_calls > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_minute_corrections_mv TO usage_by_minute AS
SELECT dateTrunc('minute', event_time) AS minute,
       c.1 AS operation,
       sum(c.4) AS calls,
       sum(c.5) AS charged_uc
FROM
(
    SELECT account, event_time, arrayJoin([
        (was_operation, was_project, was_key, -toInt64(was_calls), -was_uc),
        (operation, project, key, toInt64(now_calls), now_uc)]) AS c
    FROM ledger
    WHERE kind = 'correction' AND refused = ''
)
WHERE c.4 != 0
GROUP BY minute, operation;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_hour_corrections_mv TO usage_by_hour AS
SELECT account,
       dateTrunc('hour', event_time) AS hour,
       sum(c.4) AS calls,
       sum(c.5) AS charged_uc
FROM
(
    SELECT account, event_time, arrayJoin([
        (was_operation, was_project, was_key, -toInt64(was_calls), -was_uc),
        (operation, project, key, toInt64(now_calls), now_uc)]) AS c
    FROM ledger
    WHERE kind = 'correction' AND refused = ''
)
WHERE c.4 != 0
GROUP BY account, hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS usage_by_day_corrections_mv TO usage_by_day AS
SELECT account,
       toDate32(event_time) AS day,
       c.1 AS operation,
       c.2 AS project,
       c.3 AS key,
       sum(c.4) AS calls,
       sum(c.5) AS charged_uc
FROM
(
    SELECT account, event_time, arrayJoin([
        (was_operation, was_project, was_key, -toInt64(was_calls), -was_uc),
        (operation, project, key, toInt64(now_calls), now_uc)]) AS c
    FROM ledger
    WHERE kind = 'correction' AND refused = ''
)
WHERE c.4 != 0
GROUP BY account, day, operation, project, key;

CREATE OR REPLACE VIEW top_operations AS
SELECT u.operation                                                        AS operation,
       sum(u.calls)                                                       AS calls,
       toDecimal128('0.000001', 6) * sum(toInt128(u.charged_uc))          AS charged,
       charged / sum(u.calls)                                             AS charged_per_call,
       sumIf(u.calls, u.minute >= now('UTC') - INTERVAL 1 DAY)            AS calls_last_24_hours,
       toDecimal128('0.000001', 6)
           * sumIf(toInt128(u.charged_uc), u.minute >= now('UTC') - INTERVAL 1 DAY) AS charged_last_24_hours,
       min(u.minute)                                                      AS first_minute,
       max(u.minute)                                                      AS last_minute
FROM usage_by_minute AS u
GROUP BY u.operation
HAVING sum(u.calls) > 0
ORDER BY charged DESC, operation;

CREATE OR REPLACE VIEW reconciliation AS

-- The rollups say what the ledger says.
SELECT 'usage_by_minute' AS check,
       concat(toString(minute), ' ', operation) AS subject,
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc') AS expected,
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc') AS found
FROM (
    SELECT dateTrunc('minute', event_time) AS minute, operation,
           calls AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM usage_changes
    UNION ALL
    SELECT minute, operation, 0, 0, calls, charged_uc FROM usage_by_minute
)
GROUP BY minute, operation
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

UNION ALL
SELECT 'usage_by_hour',
       concat(account, ' ', toString(hour)),
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc'),
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc')
FROM (
    SELECT account, dateTrunc('hour', event_time) AS hour,
           calls AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM usage_changes
    UNION ALL
    SELECT account, hour, 0, 0, calls, charged_uc FROM usage_by_hour
)
GROUP BY account, hour
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

UNION ALL
SELECT 'usage_by_day',
       concat(account, ' ', toString(day), ' ', operation, ' ', project, ' ', key),
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc'),
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc')
FROM (
    SELECT account, toDate32(event_time) AS day, operation, project, key,
           calls AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM usage_changes
    UNION ALL
    SELECT account, day, operation, project, key, 0, 0, calls, charged_uc FROM usage_by_day
)
GROUP BY account, day, operation, project, key
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

-- A correction of table ledger charges what it puts in less what it takes out.
UNION ALL
SELECT 'correction',
       concat(account, ' ledger message ', toString(ledger_seq)),
       concat(toString(toInt128(now_uc) - was_uc), ' uc'),
       concat(toString(charged_uc), ' uc')
FROM ledger
WHERE kind = 'correction' AND refused = '' AND toInt128(now_uc) - was_uc != charged_uc

-- Usage events and debits are the same. A batch of usage events may stand
-- before its ledger rows do.
UNION ALL
SELECT 'usage_events',
       concat('ledger message ', toString(ledger_seq)),
       concat(toString(sum(debits)), ' debits, ', toString(sum(debited_uc)), ' uc, ', toString(groupBitXor(debit_hash))),
       concat(toString(sum(usages)), ' events, ', toString(sum(used_uc)), ' uc, ', toString(groupBitXor(usage_hash)))
FROM (
    SELECT ledger_seq, toUInt64(1) AS debits, toInt128(charged_uc) AS debited_uc,
           cityHash64(entry_index, account, event_source, event_id, event_time, operation, project, key, charged_uc) AS debit_hash,
           toUInt64(0) AS usages, toInt128(0) AS used_uc, toUInt64(0) AS usage_hash
    FROM ledger WHERE kind = 'debit' AND refused = ''
    UNION ALL
    SELECT ledger_seq, 0, 0, 0, 1, amount_uc,
           cityHash64(entry_index, account, source, id, time, operation, project, key, amount_uc)
    FROM usage_events WHERE ledger_seq <= (SELECT max(batch_last) FROM ledger)
)
GROUP BY ledger_seq
HAVING sum(debits) != sum(usages) OR sum(debited_uc) != sum(used_uc) OR groupBitXor(debit_hash) != groupBitXor(usage_hash)

-- Batches follow each other without a gap, and each is whole.
UNION ALL
SELECT 'batch chain',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat('first ', toString(follows + 1)),
       concat('first ', toString(batch_first))
FROM (
    SELECT batch_first, batch_last,
           lagInFrame(batch_last, 1, 0) OVER (ORDER BY batch_first, batch_last ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS follows
    FROM (SELECT DISTINCT batch_first, batch_last FROM ledger)
)
WHERE batch_first != follows + 1

UNION ALL
SELECT 'ledger batch',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat(toString(max(batch_rows)), ' different rows of ', toString(batch_last - batch_first + 1), ' messages'),
       concat(toString(count()), ' rows, ', toString(uniqExact(ledger_seq, posting)), ' different, of ', toString(uniqExact(ledger_seq)), ' messages')
FROM ledger
GROUP BY batch_first, batch_last
HAVING count() != max(batch_rows) OR uniqExact(ledger_seq, posting) != count()
    OR uniqExact(ledger_seq) != batch_last - batch_first + 1 OR min(ledger_seq) != batch_first OR max(ledger_seq) != batch_last

UNION ALL
SELECT 'usage_events batch',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat(toString(max(batch_rows)), ' different rows'),
       concat(toString(count()), ' rows, ', toString(uniqExact(ledger_seq, entry_index)), ' different')
FROM usage_events
GROUP BY batch_first, batch_last
HAVING count() != max(batch_rows) OR uniqExact(ledger_seq, entry_index) != count()

-- Credits are conserved, and every posting of an account is there.
UNION ALL
SELECT 'granted = remaining + drawn + expired + voided',
       account,
       toString(sum(toInt128(granted_uc))),
       toString(argMax(toInt128(remaining_uc), account_seq) + sum(toInt128(drawn_uc)) + sum(toInt128(expired_uc)) + sum(toInt128(voided_uc)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING sum(toInt128(granted_uc)) != argMax(toInt128(remaining_uc), account_seq) + sum(toInt128(drawn_uc)) + sum(toInt128(expired_uc)) + sum(toInt128(voided_uc))

UNION ALL
SELECT 'charged = drawn + overage + forgiven',
       account,
       toString(sum(toInt128(charged_uc))),
       toString(sum(toInt128(drawn_uc)) + argMax(toInt128(overage_uc), account_seq) + sum(toInt128(forgiven_uc)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING sum(toInt128(charged_uc)) != sum(toInt128(drawn_uc)) + argMax(toInt128(overage_uc), account_seq) + sum(toInt128(forgiven_uc))

UNION ALL
SELECT 'account postings',
       account,
       concat('1 to ', toString(max(account_seq))),
       concat(toString(count()), ' rows, ', toString(uniqExact(account_seq)), ' different, from ', toString(min(account_seq)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING count() != max(account_seq) OR uniqExact(account_seq) != count() OR min(account_seq) != 1

-- The latest balances are those after the last postings.
UNION ALL
SELECT 'balances',
       account,
       argMaxIf(state, side, side = 1),
       argMaxIf(state, side, side = 2)
FROM (
    SELECT account, 1 AS side,
           toString((max(account_seq), argMax(available_uc, account_seq), argMax(held_uc, account_seq), argMax(overage_uc, account_seq), argMax(remaining_uc, account_seq))) AS state
    FROM ledger WHERE account_seq > 0 GROUP BY account
    UNION ALL
    SELECT account, 2, toString((account_seq, available_uc, held_uc, overage_uc, remaining_uc)) FROM balances FINAL
)
GROUP BY account
HAVING uniqExact(state) != 1 OR count() != 2

-- Partitions without rows, from a message on that cannot be read.
UNION ALL
SELECT 'stopped partition',
       partition,
       'every message',
       concat('messages before ', toString(min(sequence)))
FROM stopped_partitions
GROUP BY partition;

-- +goose Down
CREATE OR REPLACE VIEW reconciliation AS

-- The rollups say what the ledger says.
SELECT 'usage_by_minute' AS check,
       concat(toString(minute), ' ', operation) AS subject,
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc') AS expected,
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc') AS found
FROM (
    SELECT dateTrunc('minute', event_time) AS minute, operation,
           toUInt64(1) AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toUInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM ledger WHERE kind = 'debit' AND refused = ''
    UNION ALL
    SELECT minute, operation, 0, 0, calls, charged_uc FROM usage_by_minute
)
GROUP BY minute, operation
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

UNION ALL
SELECT 'usage_by_hour',
       concat(account, ' ', toString(hour)),
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc'),
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc')
FROM (
    SELECT account, dateTrunc('hour', event_time) AS hour,
           toUInt64(1) AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toUInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM ledger WHERE kind = 'debit' AND refused = ''
    UNION ALL
    SELECT account, hour, 0, 0, calls, charged_uc FROM usage_by_hour
)
GROUP BY account, hour
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

UNION ALL
SELECT 'usage_by_day',
       concat(account, ' ', toString(day), ' ', operation, ' ', project, ' ', key),
       concat(toString(sum(ledger_calls)), ' calls, ', toString(sum(ledger_uc)), ' uc'),
       concat(toString(sum(rollup_calls)), ' calls, ', toString(sum(rollup_uc)), ' uc')
FROM (
    SELECT account, toDate32(event_time) AS day, operation, project, key,
           toUInt64(1) AS ledger_calls, toInt128(charged_uc) AS ledger_uc, toUInt64(0) AS rollup_calls, toInt128(0) AS rollup_uc
    FROM ledger WHERE kind = 'debit' AND refused = ''
    UNION ALL
    SELECT account, day, operation, project, key, 0, 0, calls, charged_uc FROM usage_by_day
)
GROUP BY account, day, operation, project, key
HAVING sum(ledger_calls) != sum(rollup_calls) OR sum(ledger_uc) != sum(rollup_uc)

-- Usage events and debits are the same. A batch of usage events may stand
-- before its ledger rows do.
UNION ALL
SELECT 'usage_events',
       concat('ledger message ', toString(ledger_seq)),
       concat(toString(sum(debits)), ' debits, ', toString(sum(debited_uc)), ' uc, ', toString(groupBitXor(debit_hash))),
       concat(toString(sum(usages)), ' events, ', toString(sum(used_uc)), ' uc, ', toString(groupBitXor(usage_hash)))
FROM (
    SELECT ledger_seq, toUInt64(1) AS debits, toInt128(charged_uc) AS debited_uc,
           cityHash64(entry_index, account, event_source, event_id, event_time, operation, project, key, charged_uc) AS debit_hash,
           toUInt64(0) AS usages, toInt128(0) AS used_uc, toUInt64(0) AS usage_hash
    FROM ledger WHERE kind = 'debit' AND refused = ''
    UNION ALL
    SELECT ledger_seq, 0, 0, 0, 1, amount_uc,
           cityHash64(entry_index, account, source, id, time, operation, project, key, amount_uc)
    FROM usage_events WHERE ledger_seq <= (SELECT max(batch_last) FROM ledger)
)
GROUP BY ledger_seq
HAVING sum(debits) != sum(usages) OR sum(debited_uc) != sum(used_uc) OR groupBitXor(debit_hash) != groupBitXor(usage_hash)

-- Batches follow each other without a gap, and each is whole.
UNION ALL
SELECT 'batch chain',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat('first ', toString(follows + 1)),
       concat('first ', toString(batch_first))
FROM (
    SELECT batch_first, batch_last,
           lagInFrame(batch_last, 1, 0) OVER (ORDER BY batch_first, batch_last ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS follows
    FROM (SELECT DISTINCT batch_first, batch_last FROM ledger)
)
WHERE batch_first != follows + 1

UNION ALL
SELECT 'ledger batch',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat(toString(max(batch_rows)), ' different rows of ', toString(batch_last - batch_first + 1), ' messages'),
       concat(toString(count()), ' rows, ', toString(uniqExact(ledger_seq, posting)), ' different, of ', toString(uniqExact(ledger_seq)), ' messages')
FROM ledger
GROUP BY batch_first, batch_last
HAVING count() != max(batch_rows) OR uniqExact(ledger_seq, posting) != count()
    OR uniqExact(ledger_seq) != batch_last - batch_first + 1 OR min(ledger_seq) != batch_first OR max(ledger_seq) != batch_last

UNION ALL
SELECT 'usage_events batch',
       concat('batch ', toString(batch_first), '-', toString(batch_last)),
       concat(toString(max(batch_rows)), ' different rows'),
       concat(toString(count()), ' rows, ', toString(uniqExact(ledger_seq, entry_index)), ' different')
FROM usage_events
GROUP BY batch_first, batch_last
HAVING count() != max(batch_rows) OR uniqExact(ledger_seq, entry_index) != count()

-- Credits are conserved, and every posting of an account is there.
UNION ALL
SELECT 'granted = remaining + drawn + expired + voided',
       account,
       toString(sum(toInt128(granted_uc))),
       toString(argMax(toInt128(remaining_uc), account_seq) + sum(toInt128(drawn_uc)) + sum(toInt128(expired_uc)) + sum(toInt128(voided_uc)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING sum(toInt128(granted_uc)) != argMax(toInt128(remaining_uc), account_seq) + sum(toInt128(drawn_uc)) + sum(toInt128(expired_uc)) + sum(toInt128(voided_uc))

UNION ALL
SELECT 'charged = drawn + overage + forgiven',
       account,
       toString(sum(toInt128(charged_uc))),
       toString(sum(toInt128(drawn_uc)) + argMax(toInt128(overage_uc), account_seq) + sum(toInt128(forgiven_uc)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING sum(toInt128(charged_uc)) != sum(toInt128(drawn_uc)) + argMax(toInt128(overage_uc), account_seq) + sum(toInt128(forgiven_uc))

UNION ALL
SELECT 'account postings',
       account,
       concat('1 to ', toString(max(account_seq))),
       concat(toString(count()), ' rows, ', toString(uniqExact(account_seq)), ' different, from ', toString(min(account_seq)))
FROM ledger WHERE account_seq > 0
GROUP BY account
HAVING count() != max(account_seq) OR uniqExact(account_seq) != count() OR min(account_seq) != 1

-- The latest balances are those after the last postings.
UNION ALL
SELECT 'balances',
       account,
       argMaxIf(state, side, side = 1),
       argMaxIf(state, side, side = 2)
FROM (
    SELECT account, 1 AS side,
           toString((max(account_seq), argMax(available_uc, account_seq), argMax(held_uc, account_seq), argMax(overage_uc, account_seq), argMax(remaining_uc, account_seq))) AS state
    FROM ledger WHERE account_seq > 0 GROUP BY account
    UNION ALL
    SELECT account, 2, toString((account_seq, available_uc, held_uc, overage_uc, remaining_uc)) FROM balances FINAL
)
GROUP BY account
HAVING uniqExact(state) != 1 OR count() != 2

-- Partitions without rows, from a message on that cannot be read.
UNION ALL
SELECT 'stopped partition',
       partition,
       'every message',
       concat('messages before ', toString(min(sequence)))
FROM stopped_partitions
GROUP BY partition;

CREATE OR REPLACE VIEW top_operations AS
SELECT u.operation                                                        AS operation,
       sum(u.calls)                                                       AS calls,
       toDecimal128('0.000001', 6) * sum(toInt128(u.charged_uc))          AS charged,
       charged / sum(u.calls)                                             AS charged_per_call,
       sumIf(u.calls, u.minute >= now('UTC') - INTERVAL 1 DAY)            AS calls_last_24_hours,
       toDecimal128('0.000001', 6)
           * sumIf(toInt128(u.charged_uc), u.minute >= now('UTC') - INTERVAL 1 DAY) AS charged_last_24_hours,
       min(u.minute)                                                      AS first_minute,
       max(u.minute)                                                      AS last_minute
FROM usage_by_minute AS u
GROUP BY u.operation
ORDER BY charged DESC, operation;
DROP VIEW IF EXISTS usage_by_day_corrections_mv;
DROP VIEW IF EXISTS usage_by_hour_corrections_mv;
DROP VIEW IF EXISTS usage_by_minute_corrections_mv;
DROP VIEW IF EXISTS usage_changes;
ALTER TABLE usage_by_minute MODIFY COLUMN calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1));
ALTER TABLE usage_by_hour MODIFY COLUMN calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1));
ALTER TABLE usage_by_day MODIFY COLUMN calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1));
ALTER TABLE ledger DROP COLUMN IF EXISTS reason;
ALTER TABLE ledger DROP COLUMN IF EXISTS now_uc;
ALTER TABLE ledger DROP COLUMN IF EXISTS now_calls;
ALTER TABLE ledger DROP COLUMN IF EXISTS was_key;
ALTER TABLE ledger DROP COLUMN IF EXISTS was_project;
ALTER TABLE ledger DROP COLUMN IF EXISTS was_operation;
ALTER TABLE ledger DROP COLUMN IF EXISTS was_uc;
ALTER TABLE ledger DROP COLUMN IF EXISTS was_calls;
ALTER TABLE ledger DROP COLUMN IF EXISTS corrects_index;
ALTER TABLE ledger DROP COLUMN IF EXISTS corrects_seq;
