-- Remove the log again, with every trigger that writes to it.
DROP FUNCTION {schema}.pubsubpull_capture_insert(), {schema}.pubsubpull_capture_update(),
    {schema}.pubsubpull_capture_delete(), {schema}.pubsubpull_capture_row(),
    {schema}.pubsubpull_capture_truncate(), {schema}.pubsubpull_capture_truncate_partition() CASCADE;
DROP FUNCTION {schema}.pubsubpull_instances(
    regclass, text, text[], text[], text[], text[], text[], text[], integer, bigint, boolean
);
DROP FUNCTION {schema}.pubsubpull_range_hash(regclass, text[], text[], text[], jsonb, text[], text[]);
DROP FUNCTION {schema}.pubsubpull_row_hashes(
    regclass, text[], text[], text[], jsonb, text[], text[], integer
);
DROP FUNCTION {schema}.pubsubpull_hash_query(regclass, text[], text[], text[], jsonb, text[], text[]);
DROP FUNCTION {schema}.pubsubpull_baseline(regclass, text, text[], text[], text[], jsonb, bigint, boolean);
DROP FUNCTION {schema}.pubsubpull_keys_after(regclass, text[], text[], integer);
DROP FUNCTION {schema}.pubsubpull_resend(regclass, text, text[], text[], text[], jsonb);
DROP FUNCTION {schema}.pubsubpull_erase(text, text, text[], text, text);
DROP FUNCTION {schema}.pubsubpull_forget_columns(text, text[], text[], bigint, bigint, text, text);
DROP FUNCTION {schema}.pubsubpull_forget(bigint[], text[], text[], text, text);
DROP FUNCTION {schema}.pubsubpull_rows_digest(bytea, jsonb, jsonb);
DROP FUNCTION {schema}.pubsubpull_close_requests(bigint[]);
DROP TABLE {schema}.pubsubpull_seal, {schema}.pubsubpull_erasure, {schema}.pubsubpull_import;
DROP FUNCTION {schema}.pubsubpull_import(text, timestamptz, bigint, bigint, integer);
DROP FUNCTION {schema}.pubsubpull_make_past();
DROP FUNCTION {schema}.pubsubpull_trim_past(timestamptz, integer);
DROP FUNCTION {schema}.pubsubpull_past_id(timestamptz);
DROP FUNCTION {schema}.pubsubpull_past_value(text, text);
DROP FUNCTION {schema}.pubsubpull_poll(
    text[], bigint, bigint, pg_snapshot, pg_snapshot, bigint, boolean, bigint, boolean, text[], jsonb
);
DROP FUNCTION {schema}.pubsubpull_present();
DROP FUNCTION {schema}.pubsubpull_settle();
DROP FUNCTION {schema}.pubsubpull_make_partition(bigint, bigint);
DROP FUNCTION {schema}.pubsubpull_detach_partition(bigint, xid8);
DROP FUNCTION {schema}.pubsubpull_drop_detached();
DROP FUNCTION {schema}.pubsubpull_trim(bigint, xid8);
DROP FUNCTION {schema}.pubsubpull_bound_default(bigint);
DROP FUNCTION {schema}.pubsubpull_validate_default();
DROP FUNCTION {schema}.pubsubpull_adopt_default(bigint);
DROP FUNCTION {schema}.pubsubpull_prune_requests(timestamptz, integer);
DROP FUNCTION {schema}.pubsubpull_keep_to_owner(regclass);
DROP FUNCTION {schema}.pubsubpull_partitions();
DROP FUNCTION {schema}.pubsubpull_begin_history();
DROP FUNCTION {schema}.pubsubpull_is_alive();
DROP FUNCTION {schema}.pubsubpull_tick(bigint, pg_snapshot, bigint, bigint, bigint);
DROP FUNCTION {schema}.pubsubpull_emit(text, text, jsonb);
DROP FUNCTION {schema}.pubsubpull_uncapture(text[], text);
DROP FUNCTION {schema}.pubsubpull_is_uncaptured(text);
DROP FUNCTION {schema}.pubsubpull_log_row(text, text[], text[], text[], jsonb, jsonb);
DROP FUNCTION {schema}.pubsubpull_put_in_order(text, text, bigint, boolean);
DROP FUNCTION {schema}.pubsubpull_finish_request(uuid, integer, double precision, text, text);
DROP FUNCTION {schema}.pubsubpull_annotate_request(uuid, jsonb);
DROP FUNCTION {schema}.pubsubpull_guarded(anyelement, oid, text[]);
DROP FUNCTION {schema}.pubsubpull_guarded_columns(oid);
DROP FUNCTION {schema}.pubsubpull_readable(jsonb, jsonb);
DROP FUNCTION {schema}.pubsubpull_hstores(text[], text[]);
DROP FUNCTION {schema}.pubsubpull_hstore(jsonb, oid);
DROP FUNCTION {schema}.pubsubpull_excluded(regclass, text[], text[]);
DROP FUNCTION {schema}.pubsubpull_left_out(oid, text[]);
DROP FUNCTION {schema}.pubsubpull_key_columns(oid, text[], text[]);
DROP FUNCTION {schema}.pubsubpull_request_id();
DROP FUNCTION {schema}.pubsubpull_mask(jsonb, text[]);
DROP FUNCTION {schema}.pubsubpull_as_logged(anyelement);
DROP FUNCTION {schema}.pubsubpull_key(jsonb, text[]);
DROP TABLE {schema}.pubsubpull_change, {schema}.pubsubpull_request, {schema}.pubsubpull_log,
    {schema}.pubsubpull_history, {schema}.pubsubpull_tick, {schema}.pubsubpull_alive;
