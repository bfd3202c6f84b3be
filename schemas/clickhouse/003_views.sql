-- What analysts ask for. Credits are exact decimals here. An Int64 sum wraps
-- silently in ClickHouse, so sums are taken of Int128.

-- +goose NO TRANSACTION

-- +goose Up

-- What each account spends, by the time of the calls. per_hour is the average
-- since 24 full hours ago.
CREATE VIEW IF NOT EXISTS burn_rate AS
SELECT account,
       toDecimal128('0.000001', 6) * sumIf(toInt128(charged_uc), hour >= toStartOfHour(now('UTC')))                    AS this_hour,
       toDecimal128('0.000001', 6) * sumIf(toInt128(charged_uc), hour >= toStartOfHour(now('UTC')) - INTERVAL 24 HOUR) AS last_24_hours,
       toDecimal128('0.000001', 6) * sum(toInt128(charged_uc))                                                         AS last_7_days,
       last_24_hours * 3600 / (86400 + dateDiff('second', toStartOfHour(now('UTC')), now('UTC')))                      AS per_hour
FROM usage_by_hour
WHERE hour >= toStartOfHour(now('UTC')) - INTERVAL 7 DAY
GROUP BY account;

-- When each account that spends will have spent what it has, at most 100 years
-- ahead.
CREATE VIEW IF NOT EXISTS forecast AS
SELECT b.account                                          AS account,
       toDecimal128('0.000001', 6) * b.available_uc       AS available,
       r.per_hour                                         AS per_hour,
       if(b.available_uc <= 0, now64(0, 'UTC'),
          now64(0, 'UTC') + toIntervalSecond(toInt64(least(toFloat64(available) / toFloat64(r.per_hour) * 3600, 3153600000.)))) AS depletes_at
FROM balances AS b FINAL
INNER JOIN burn_rate AS r ON r.account = b.account
WHERE r.per_hour > 0;

-- What operations cost, of all time and lately, the dearest first.
CREATE VIEW IF NOT EXISTS top_operations AS
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

-- Every account as it stood at an instant:
-- SELECT * FROM balance_at(at = '2026-12-01 00:00:00').
CREATE VIEW IF NOT EXISTS balance_at AS
SELECT account,
       toDecimal128('0.000001', 6) * argMax(available_uc, account_seq) AS available,
       toDecimal128('0.000001', 6) * argMax(held_uc, account_seq)      AS held,
       toDecimal128('0.000001', 6) * argMax(overage_uc, account_seq)   AS overage,
       toDecimal128('0.000001', 6) * argMax(remaining_uc, account_seq) AS remaining,
       toDecimal128('0.000001', 6) * sum(toInt128(granted_uc))         AS granted,
       toDecimal128('0.000001', 6) * sum(toInt128(drawn_uc))           AS drawn,
       toDecimal128('0.000001', 6) * sum(toInt128(expired_uc))         AS expired,
       toDecimal128('0.000001', 6) * sum(toInt128(voided_uc))          AS voided,
       toDecimal128('0.000001', 6) * sum(toInt128(charged_uc))         AS charged,
       toDecimal128('0.000001', 6) * sum(toInt128(forgiven_uc))        AS forgiven,
       max(l.ledger_seq)                                               AS ledger_seq
FROM ledger AS l
WHERE l.account_seq > 0 AND l.at <= {at:DateTime64(6, 'UTC')}
GROUP BY account;

-- +goose Down
DROP VIEW IF EXISTS balance_at;
DROP VIEW IF EXISTS top_operations;
DROP VIEW IF EXISTS forecast;
DROP VIEW IF EXISTS burn_rate;
