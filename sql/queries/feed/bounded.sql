-- The first changes of a query, as many as come to %(size)s bytes; the one that goes beyond is the
-- last, so that there is always one, and tells that they were cut. Counted is what a value takes as
-- it is stored, or, where it is compressed, the length of its text.
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
