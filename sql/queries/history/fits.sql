-- True if a change c fits the filter; a NULL filter fits every change. An erased change may have
-- changed any column. For the models `hiding`, no reader learns when this column changed.
-- The request is looked up by a value and not by EXISTS: for EXISTS the planner may read all
-- requests once into a table of its own.
(({models}::text[] IS NULL OR c.model = ANY({models}::text[]))
 AND ({since}::timestamptz IS NULL OR c.at >= {since}::timestamptz)
 AND ({until}::timestamptz IS NULL OR c.at < {until}::timestamptz)
 AND (
     {user}::text IS NULL
     OR coalesce((
         SELECT true
         FROM pubsubpull_request r
         WHERE r.id = c.request_id AND {user}::text IN (r.user_id, r.user_name)
         LIMIT 1
     ), false)
 )
 AND (
     {path}::text IS NULL
     OR coalesce((
         SELECT true
         FROM pubsubpull_request r
         WHERE r.id = c.request_id AND starts_with(r.path, {path}::text)
         LIMIT 1
     ), false)
 )
 AND ({column}::text IS NULL OR c.op IN ('E', 'X')
      OR (
          c.model <> ALL ({hiding}::text[])
          AND coalesce((c.old -> {column})::text, 'null') <> coalesce((c.new -> {column})::text, 'null')
      )))
