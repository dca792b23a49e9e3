-- Return the rows of a historical model h of django-simple-history as changes; row is a row as the
-- table has it, and user the user's id.
SELECT row_number() OVER (ORDER BY h.history_date, h.history_id) AS place, h.history_date AS at,
    CASE h.history_type WHEN '+' THEN 'I' WHEN '-' THEN 'D' ELSE 'U' END AS op,
    CASE WHEN h.history_type = '-' THEN to_jsonb(r.*) END AS old,
    CASE WHEN h.history_type <> '-' THEN to_jsonb(r.*) END AS new,
    jsonb_build_object(
        'id',
        md5('simple-history ' || {label} || ' ' || h.history_id)::uuid,
        'source', 'simple-history', 'started', h.history_date,
        'user_id', {user}::text, 'user_name', u.name,
        'metadata',
        jsonb_strip_nulls(
            jsonb_build_object('history_id', h.history_id, 'reason', h.history_change_reason)
        )) AS request
FROM {table} AS h CROSS JOIN LATERAL (SELECT {row}) AS r LEFT JOIN ({users}) AS u ON u.id = {user}::text
