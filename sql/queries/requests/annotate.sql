-- Add to the metadata of a request that has been written.
SELECT pubsubpull_annotate_request({request}::uuid, {added}::jsonb)
