-- Makes where a page is laid out for the statements that apply it, a table of this session's that
-- is empty in each transaction, and empties it.
CREATE TEMPORARY TABLE IF NOT EXISTS pubsubpull_page (
    n bigint NOT NULL, version bigint NOT NULL, model text NOT NULL, key text, op text NOT NULL, data jsonb
) ON COMMIT DELETE ROWS;
DELETE FROM pg_temp.pubsubpull_page
