-- What a file of a baseline must be: its bytes and its seal (engine/runtime/src/table/seal.rs). NULL for
-- files of version 1, which have none.
ALTER TABLE segments ADD COLUMN bytes INTEGER;
ALTER TABLE segments ADD COLUMN seal INTEGER;
-- Indexes of a file by other columns than its key; `columns` is a JSON list. Gone with the file.
CREATE TABLE indexes (
  segment INTEGER NOT NULL, columns TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER, seal INTEGER,
  PRIMARY KEY (segment, columns)
) STRICT;
-- How many rows of a baseline are not gone. Whatever changes the rows removes it: unknown until it is set again.
CREATE TABLE live (scope INTEGER PRIMARY KEY, rows INTEGER NOT NULL) STRICT;
