-- Notes how a request ended.
SELECT pubsubpull_finish_request({request}::uuid, {status}, {seconds}, {user_id}, {user_name})
