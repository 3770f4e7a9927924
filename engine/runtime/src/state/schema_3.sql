-- Copies of sources that bring only changes: how often one was written, and how far its source was read
-- (an Arrow stream with one row: the last values of the columns that say what is new).
CREATE TABLE mirrors (scope INTEGER PRIMARY KEY, seq INTEGER NOT NULL, position BLOB) STRICT;
-- What each write of a mirror changed, old and new rows, in a file like a plan's; kept for pipelines that have not seen it.
CREATE TABLE deltas (
  scope INTEGER NOT NULL, seq INTEGER NOT NULL, file TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (scope, seq)
) STRICT;
-- What a sink's last plan was made of: all keys that are not in the plan's file were unchanged then.
CREATE TABLE bases (scope INTEGER PRIMARY KEY, plan TEXT NOT NULL, basis TEXT NOT NULL) STRICT;
