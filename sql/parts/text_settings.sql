-- The settings of a function that writes or reads a value's text: whatever the session's are, a
-- value has the same text in each change, page and hash. Readers compare these texts.
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
