-- Pin the settings that decide the text of a value. Readers compare these texts, so each change,
-- page and hash must give a value the same text in every session.
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
