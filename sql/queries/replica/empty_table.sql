-- Delete, or mark, all rows of a replica whose source table was truncated. Unlike TRUNCATE, deletes
-- wait for no reader.
{clearing} WHERE {removable}
