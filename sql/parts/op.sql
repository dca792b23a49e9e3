-- A text for the letter of a change's operation.
CASE {letter} {cases} END
