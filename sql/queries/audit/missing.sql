-- The role at hand, and the functions of the log that the application needs and the role may not
-- call.
WITH functions AS ({functions})
SELECT current_user::text,
    ARRAY(
        SELECT name
        FROM functions f
        WHERE f.serves AND NOT has_function_privilege(f.oid, 'EXECUTE')
        ORDER BY name
    )
