-- The source's table was truncated: so go the rows here, as deletes, which wait for no reader.
{clearing} WHERE {removable}
