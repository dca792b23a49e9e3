-- Return the events e of django-pghistory as changes; row is a row as the table has it.
-- A label belongs to an insert, a delete, an update with the new row, or an update with the row
-- before. The result of the last kind is in the object's next event, its first captured change, or
-- the table.
SELECT d.place, d.at, d.op, d.old,
    CASE
        WHEN d.op = 'U' AND {before} THEN coalesce(
            lead(d.old) OVER (PARTITION BY d.key ORDER BY d.place),
            (
                SELECT c.old
                FROM pubsubpull_change c
                WHERE c.key::varchar(255) = d.key::varchar(255)
                    AND c.key = d.key
                    AND c.model = {label}
                    AND c.id > 0
                ORDER BY c.id
                LIMIT 1
            ),
            to_jsonb(t.*)
        ) - {unknown}::text[]
        ELSE d.new
    END AS new,
    d.request
FROM (
    SELECT row_number() OVER (ORDER BY e.pgh_id) AS place, e.pgh_created_at AS at, o.op,
        to_jsonb(r.*) ->> {pk_name} AS key,
        CASE WHEN o.op = 'D' OR (o.op = 'U' AND {before}) THEN to_jsonb(r.*) END AS old,
        CASE WHEN o.op = 'I' OR (o.op = 'U' AND NOT {before}) THEN to_jsonb(r.*) END AS new,
        jsonb_build_object(
            'id', coalesce(x.id, md5('pghistory ' || {label} || ' ' || e.pgh_id)::uuid),
            'source', 'pghistory',
            'started', coalesce(x.started, e.pgh_created_at),
            'user_id', x.metadata ->> 'user',
            'user_name', u.name,
            'path', x.metadata ->> 'url',
            'metadata', coalesce(x.metadata, '{{}}') - '{{user,url}}'::text[]
        ) AS request
    FROM {table} AS e
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN e.pgh_label = ANY({inserts}::text[]) THEN 'I'
            WHEN e.pgh_label = ANY({deletes}::text[]) THEN 'D'
            ELSE 'U'
        END AS op
    ) AS o CROSS JOIN LATERAL (SELECT {row}) AS r
    CROSS JOIN LATERAL ({context}) AS x
    LEFT JOIN ({users}) AS u ON u.id = x.metadata ->> 'user'
    WHERE e.pgh_label = ANY({inserts}::text[] || {updates}::text[] || {deletes}::text[])
) AS d LEFT JOIN {ours} AS t ON {before} AND t.{pk}::text = d.key
