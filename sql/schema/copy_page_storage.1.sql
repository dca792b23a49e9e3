-- Store pages of a copy uncompressed: they live for minutes, and compressing them would cost more
-- than it saves.
ALTER TABLE {schema}.pubsubpull_copy_page ALTER COLUMN body SET STORAGE EXTERNAL;
