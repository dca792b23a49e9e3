-- Return the keys of the rows that the copy lacks: the source deleted them without a change that
-- arrived here.
SELECT {keys} FROM {target} t WHERE NOT EXISTS (
    SELECT
    FROM pubsubpull_copy_page p
    CROSS JOIN LATERAL jsonb_to_recordset(p.body::jsonb -> 'items') AS i(data jsonb)
           CROSS JOIN LATERAL jsonb_to_record(i.data) AS r({key_columns})
    WHERE p.copy_id = {copy} AND p.source = {source} AND {match})
