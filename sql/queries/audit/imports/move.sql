-- Brings the next changes into the log.
SELECT looked, written, last_at, last_place FROM pubsubpull_import({label}, {at}::timestamptz, {place}, {at_most})
