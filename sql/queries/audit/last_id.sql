-- Return the last id that was given out.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pubsubpull_change_id_seq
