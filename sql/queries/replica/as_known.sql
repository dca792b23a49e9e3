-- Whether a table has these columns, of these types.
(SELECT jsonb_object_agg(c.name, c.type) = {types}::jsonb FROM ({columns}) AS c(name, type))
