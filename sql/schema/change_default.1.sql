-- Takes each change for which no partition was made ahead, so that an insert can never fail for
-- want of one.
CREATE TABLE {schema}.pubsubpull_change_default PARTITION OF {schema}.pubsubpull_change DEFAULT;
