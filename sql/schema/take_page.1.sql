-- Moves replicas to the cursor after a small page and sets the page, for the statements that follow
-- in the same message, provided that all stand before it and follow, and that those whom it
-- concerns lack no column and have the tables that these statements were made for: by name, each
-- with its columns and their types. If not, it sets an empty page, moves none and says so. Whoever
-- comes second waits for the lock, and sees where they stand then. The commit does not wait for the
-- disk: should a crash take it back, it takes the cursor back too, and the page comes again. A
-- function, since it keeps its statements' plans. It runs with the rights and the search path of
-- its caller, whose tables `tables` names.
CREATE FUNCTION {schema}.pubsubpull_take_page(
    of_service text, moved text[], concerned text[], before text, upto text, tables jsonb, page text
)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    here boolean;
BEGIN
    -- Locked before the cursors are read: the second of two that apply the same page sees that the
    -- first has moved them. By name, as all do that lock several, so that no two wait for each
    -- other.
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
