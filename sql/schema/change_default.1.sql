-- The partition for all ids without a partition of their own. It makes sure that no insert fails
-- because maintenance is late.
CREATE TABLE {schema}.pubsubpull_change_default PARTITION OF {schema}.pubsubpull_change DEFAULT;
