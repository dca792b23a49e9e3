-- Takes the log away again, with every trigger that writes to it.
DROP FUNCTION pubsubpull_capture_insert(), pubsubpull_capture_update(), pubsubpull_capture_delete(), pubsubpull_capture_row(),
    pubsubpull_capture_truncate(), pubsubpull_capture_truncate_partition() CASCADE;
DROP FUNCTION pubsubpull_instances(regclass, text, text[], text[], text[], text[], text[], text[], integer);
DROP FUNCTION pubsubpull_range_hash(regclass, text[], text[], text[], jsonb, text[], text[]);
DROP FUNCTION pubsubpull_row_hashes(regclass, text[], text[], text[], jsonb, text[], text[], integer);
DROP FUNCTION pubsubpull_hash_query(regclass, text[], text[], text[], jsonb, text[], text[]);
DROP FUNCTION pubsubpull_resend(regclass, text, text[], text[], text[], jsonb);
DROP FUNCTION pubsubpull_present();
DROP FUNCTION pubsubpull_settle();
DROP FUNCTION pubsubpull_make_partition(bigint, bigint);
DROP FUNCTION pubsubpull_detach_partition(bigint, xid8);
DROP FUNCTION pubsubpull_drop_detached();
DROP FUNCTION pubsubpull_trim(bigint, xid8);
DROP FUNCTION pubsubpull_bound_default(bigint);
DROP FUNCTION pubsubpull_validate_default();
DROP FUNCTION pubsubpull_adopt_default(bigint);
DROP FUNCTION pubsubpull_prune_requests(timestamptz, integer);
DROP FUNCTION pubsubpull_partitions();
DROP FUNCTION pubsubpull_new_epoch(bigint, oid);
DROP FUNCTION pubsubpull_log_row(text, text[], text[], text[], jsonb, jsonb);
DROP FUNCTION pubsubpull_put_in_order(text, text, bigint, boolean);
DROP FUNCTION pubsubpull_finish_request(uuid, integer, double precision, text, text);
DROP FUNCTION pubsubpull_request_id();
DROP FUNCTION pubsubpull_mask(jsonb, text[]);
DROP FUNCTION pubsubpull_key(jsonb, text[]);
DROP TABLE pubsubpull_change, pubsubpull_request, pubsubpull_log;
