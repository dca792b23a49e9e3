-- Record the end of a request, in its row and in those of the contexts within it.
SELECT pubsubpull_finish_request(
    ended.id, {status}, ended.seconds,
    CASE WHEN ended.id = {request}::uuid THEN {user_id} END,
    CASE WHEN ended.id = {request}::uuid THEN {user_name} END
) FROM unnest({requests}::uuid[], {seconds}::double precision[]) AS ended (id, seconds)
