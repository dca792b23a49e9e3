-- Begins what marks rows of a replica as gone at their source.
UPDATE {target} t SET {mark} = {gone}