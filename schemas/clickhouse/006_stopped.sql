-- The view of 004, and a row for each partition that has stopped: its rows are
-- missing from every table alike, so no comparison of tables shows it.

-- +goose NO TRANSACTION

-- +goose Up
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
HAVING uniqExact(state) != 1 OR count() != 2;
