-- Where a page is laid out for the statements that apply it: a table of this session's, empty in each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS pubsubpull_page (
    n bigint NOT NULL, version bigint NOT NULL, model text NOT NULL, key text, op text NOT NULL, data jsonb
) ON COMMIT DELETE ROWS
