-- Remove columns from the dead letters of a model. Return how many there were.
WITH made AS (
    UPDATE pubsubpull_failure f SET item = (
        SELECT (i || jsonb_build_object(
            'old', pubsubpull_mask(nullif(i -> 'old', 'null') - {columns}::text[], {masked}::text[]),
            'new', pubsubpull_mask(nullif(i -> 'new', 'null') - {columns}::text[], {masked}::text[])
        ))::text
        FROM (SELECT f.item::jsonb AS i) AS item
    )
    WHERE f.model = {model}
        AND (
            nullif(f.item::jsonb -> 'old', 'null') ?| ({columns}::text[] || {masked}::text[])
            OR nullif(f.item::jsonb -> 'new', 'null') ?| ({columns}::text[] || {masked}::text[])
        )
    RETURNING 1
)
SELECT count(*) FROM made
