-- What one profile remembers between runs. Times are microseconds since 1970-01-01 UTC; keys and
-- row hashes are 16 bytes, big-endian (their encoding: engine/runtime/src/hash.rs).
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
  started INTEGER NOT NULL, finished INTEGER, report TEXT
) STRICT;
-- A sink of a pipeline at a target: what a baseline belongs to.
CREATE TABLE IF NOT EXISTS scopes (
  id INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, sink TEXT NOT NULL, target TEXT NOT NULL,
  UNIQUE (pipeline, sink, target)
) STRICT;
-- Compared columns and types; a row's hash is comparable only within one recipe.
CREATE TABLE IF NOT EXISTS recipes (
  id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, columns TEXT NOT NULL, UNIQUE (scope, columns)
) STRICT;
-- Files of a baseline, oldest first.
CREATE TABLE IF NOT EXISTS segments (
  id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, file TEXT NOT NULL, rows INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS segments_by_scope ON segments (scope, id);
-- A plan: what was to be done; with its loads it is the queue before and the journal after.
CREATE TABLE IF NOT EXISTS plans (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, run TEXT NOT NULL, pipeline TEXT NOT NULL,
  state TEXT NOT NULL, digest TEXT NOT NULL, created INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS plan_sinks (
  plan TEXT NOT NULL, scope INTEGER NOT NULL, recipe INTEGER NOT NULL, file TEXT, rows INTEGER NOT NULL,
  PRIMARY KEY (plan, scope)
) STRICT;
CREATE TABLE IF NOT EXISTS loads (
  id TEXT PRIMARY KEY, plan TEXT NOT NULL, state TEXT NOT NULL, started INTEGER NOT NULL, finished INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS loads_by_plan ON loads (plan);
CREATE INDEX IF NOT EXISTS loads_open ON loads (state) WHERE state = 'in_doubt';
-- The due rows of a plan's sink from `first` to `last` (row numbers in the plan file, both included).
CREATE TABLE IF NOT EXISTS load_parts (
  load TEXT NOT NULL, scope INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL,
  flushed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (load, scope)
) STRICT;
-- Rows of a settled load that were not simply acked.
CREATE TABLE IF NOT EXISTS outcomes (
  load TEXT NOT NULL, scope INTEGER NOT NULL, row INTEGER NOT NULL, outcome TEXT NOT NULL,
  class TEXT, reason TEXT, remote_id TEXT, PRIMARY KEY (load, scope, row)
) STRICT;
CREATE TABLE IF NOT EXISTS doubts (
  scope INTEGER NOT NULL, key BLOB NOT NULL, plan TEXT NOT NULL, row INTEGER NOT NULL,
  since INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retries (
  scope INTEGER NOT NULL, key BLOB NOT NULL, hash BLOB NOT NULL, plan TEXT NOT NULL, row INTEGER NOT NULL,
  attempts INTEGER NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL, due INTEGER NOT NULL,
  quarantined INTEGER NOT NULL, PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
  id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, plan TEXT NOT NULL, reason TEXT NOT NULL, digest TEXT NOT NULL,
  rows INTEGER NOT NULL, detail TEXT NOT NULL, state TEXT NOT NULL, opened INTEGER NOT NULL, decided INTEGER, by TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS holds_by_scope ON holds (scope, state);
-- What a person decided, and why the state is as it is.
CREATE TABLE IF NOT EXISTS decisions (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, by TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS source_rows (
  pipeline TEXT NOT NULL, source TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (pipeline, source)
) STRICT;
