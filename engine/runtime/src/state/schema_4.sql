-- Files that were put into the store of `segments`: in which one, what each must be, and whether it is known to stand there
-- (0: its put was begun). Only these are ever removed from a store.
CREATE TABLE stored (
  file TEXT PRIMARY KEY, store TEXT NOT NULL, bytes INTEGER, seal INTEGER, whole INTEGER NOT NULL
) STRICT;
