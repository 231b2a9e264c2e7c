-- Snapshots are compressed (zstd) from here on. They are a convenience: the next start folds from the beginning.
DELETE FROM snapshot;

-- A report's content may go once nothing that is known follows from it; its number and its time stay. Nothing else of the two tables is edited.
DROP TRIGGER reports_no_update;
CREATE TRIGGER reports_no_update BEFORE UPDATE ON reports
WHEN NOT (NEW.seq = OLD.seq AND NEW.at_ms = OLD.at_ms AND NEW.unique_key IS NULL
          AND NEW.kind = 'pruned' AND NEW.subject = 'pruned' AND NEW.body = 'null')
BEGIN SELECT RAISE(ABORT, 'reports are append-only, and are pruned as a whole'); END;
