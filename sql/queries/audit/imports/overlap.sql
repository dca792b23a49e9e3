-- Mark a staged change that was captured, too. The other package's time may be slightly before the
-- captured one where capture began. The staged change then equals the object's first captured
-- change in every column that the other package knows.
UPDATE pubsubpull_import i SET why = 'captured', old = NULL, new = NULL
WHERE i.model = {label} AND i.why IS NULL AND i.at >= {captured}::timestamptz - interval '1 hour' AND EXISTS (
    SELECT
    FROM (
        SELECT *
        FROM pubsubpull_change
        WHERE key::varchar(255) = i.key::varchar(255) AND key = i.key AND model = {label} AND id > 0
        ORDER BY id
        LIMIT 1
    ) AS f
    WHERE f.op = i.op
        AND coalesce(f.new @> i.new, f.new IS NULL AND i.new IS NULL)
        AND coalesce(f.old @> i.old, f.old IS NULL AND i.old IS NULL))
