-- Select the first changes of a query, up to %(size)s bytes. The change that exceeds the size is
-- the last, so that there is always a change, and is marked as a cut. The size counts values as
-- stored, or the length of the text if a value is compressed.
SELECT id, xid, at, model, op, key, request_id, old, new, upto >= %(size)s AS cut FROM (
    SELECT m.*, sum(own) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS upto FROM (
        SELECT w.*,
            coalesce(
                CASE
                    WHEN pg_column_compression(new) IS NULL THEN pg_column_size(new)
                    ELSE octet_length(new::text)
                END,
                0
            )
            + coalesce(
                CASE
                    WHEN pg_column_compression(old) IS NULL THEN pg_column_size(old)
                    ELSE octet_length(old::text)
                END,
                0
            ) AS own
        FROM ({window}) AS w
    ) AS m
) AS b WHERE upto - own < %(size)s
