-- Erases what the log knows of an object's rows, and leaves a record of each change; gives how many
-- there were.
SELECT pubsubpull_erase({model}, {key}, {key_columns}::text[], {by}, {reason})
