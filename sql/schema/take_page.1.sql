-- Move replicas to the cursor after a small page, and set the page for the following statements of
-- the same message.
-- This needs all replicas at the position before the page, with status following. The replicas
-- concerned must lack no column, and their tables must be those that the statements were made for:
-- by name, each with its columns and types. Otherwise set an empty page, move no replica and return
-- so. The second of two callers waits for the lock and sees the moved positions.
-- The commit does not wait for the disk. A crash that takes it back takes the cursor back too, and
-- the page comes again.
-- This is a function because it keeps its statements' plans. It runs with the rights and the search
-- path of its caller, whose tables `tables` names.
CREATE FUNCTION {schema}.pubsubpull_take_page(
    of_service text, moved text[], concerned text[], before text, upto text, tables jsonb, page text
)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    here boolean;
BEGIN
    -- Lock before the cursors are read: the second of two callers with the same page sees that the
    -- first has moved them. Lock by name, as all callers that lock several replicas do, so that no
    -- two wait for each other.
    PERFORM FROM pubsubpull_replica WHERE service = of_service ORDER BY name FOR UPDATE;
    here := cardinality(moved) = (
        SELECT count(*)
        FROM pubsubpull_replica
        WHERE name = ANY (moved)
            AND cursor = before
            AND shape <> ''
            AND (absent = '[]' OR name <> ALL (concerned))
    ) AND NOT EXISTS (
        SELECT FROM jsonb_each(tables) AS t WHERE t.value IS DISTINCT FROM (
            SELECT jsonb_object_agg(attname, format_type(atttypid, atttypmod)) FROM pg_attribute
            WHERE attrelid = to_regclass(t.key) AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
    );
    IF here THEN
        PERFORM pubsubpull_move_replicas(moved, upto);
    END IF;
    PERFORM set_config('pubsubpull.page', CASE WHEN here THEN page ELSE '{{}}' END, true),
        set_config('synchronous_commit', 'off', true);
    RETURN here;
END
$$;
