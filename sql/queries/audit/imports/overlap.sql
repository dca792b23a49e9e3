-- Marks what was captured too: where capture began, the other package's time may be a little before
-- that of the change. It is what the object's first captured change says, as far as the other
-- package knows the row.
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
