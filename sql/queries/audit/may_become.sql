-- Whether a role is another, or a member of it.
SELECT pg_has_role({role}, {owner}, 'MEMBER')
