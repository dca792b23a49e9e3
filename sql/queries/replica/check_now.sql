-- Check deferred constraints now.
SET CONSTRAINTS ALL IMMEDIATE
