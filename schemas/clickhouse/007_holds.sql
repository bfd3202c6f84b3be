-- The hold that a posting is about: one of kind hold, capture, release or
-- hold_expire. What all open holds of the account reserve is held_uc.

-- +goose NO TRANSACTION

-- +goose Up
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS hold_id String DEFAULT '' CODEC(ZSTD(1)) AFTER grant_id;

-- +goose Down
ALTER TABLE ledger DROP COLUMN IF EXISTS hold_id;
