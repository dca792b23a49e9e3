-- Return the current role, and the log's functions that the application needs and the role may not
-- call.
WITH functions AS ({functions})
SELECT current_user::text,
    ARRAY(
        SELECT name
        FROM functions f
        WHERE f.serves AND NOT has_function_privilege(f.oid, 'EXECUTE')
        ORDER BY name
    )
