-- Move the next staged changes into the log.
SELECT looked, written, last_at, last_place, last_id
FROM pubsubpull_import({label}, {at}::timestamptz, {place}, {last}, {at_most})
