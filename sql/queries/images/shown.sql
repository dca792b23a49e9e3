-- An image of a change without what is hidden of its model by now.
CASE {cases} ELSE {data} END
