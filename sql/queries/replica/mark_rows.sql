-- Begin a statement that marks rows of a replica as deleted at their source.
UPDATE {target} t SET {mark} = {gone}