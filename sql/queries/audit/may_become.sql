-- Return true if a role is another role or a member of it.
SELECT pg_has_role({role}, {owner}, 'MEMBER')
