-- Make the temporary table in which pages are staged, and empty it. It belongs to the session, and
-- is empty at the beginning of each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS pubsubpull_page (
    n bigint NOT NULL, version bigint NOT NULL, model text NOT NULL, key text, op text NOT NULL, data jsonb
) ON COMMIT DELETE ROWS;
DELETE FROM pg_temp.pubsubpull_page
