-- The truth: two append-only tables that share one sequence of numbers.
CREATE TABLE decisions (
    seq        INTEGER PRIMARY KEY CHECK (seq > 0),
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    unique_key TEXT,
    at_ms      INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT;

CREATE TABLE reports (
    seq        INTEGER PRIMARY KEY CHECK (seq > 0),
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    unique_key TEXT,
    at_ms      INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX decisions_unique_key ON decisions (unique_key) WHERE unique_key IS NOT NULL;
CREATE UNIQUE INDEX reports_unique_key ON reports (unique_key) WHERE unique_key IS NOT NULL;

-- Whatever opens this file: no edit, no delete.
CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER reports_no_update BEFORE UPDATE ON reports BEGIN SELECT RAISE(ABORT, 'reports are append-only'); END;
CREATE TRIGGER reports_no_delete BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'reports are append-only'); END;

-- One row each from here on.
CREATE TABLE history (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BLOB    NOT NULL CHECK (length(epoch) = 16)
) STRICT;

CREATE TABLE lease (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    fence      INTEGER NOT NULL,
    holder     TEXT,
    renewed_ms INTEGER NOT NULL,
    until_ms   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER lease_fence_rises BEFORE UPDATE ON lease WHEN NEW.fence < OLD.fence
BEGIN SELECT RAISE(ABORT, 'a fence never falls'); END;

CREATE TABLE snapshot (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    seq    INTEGER NOT NULL,
    format INTEGER NOT NULL,
    sha256 BLOB    NOT NULL CHECK (length(sha256) = 32),
    bytes  BLOB    NOT NULL
) STRICT;
