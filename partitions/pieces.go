package partitions

import (
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

const (
	pieceBlocks = 1024 // of the table, for one transaction
	pieceTries  = 3000 // to get a piece's locks, 0.1 s each
)

// thisPiece is the condition, on a table called x, that a statement of
// [piecewise] has.
var thisPiece = fmt.Sprintf("x.ctid >= pg_catalog.format('(%%s,0)', pieces.block)::pg_catalog.tid AND x.ctid < pg_catalog.format('(%%s,0)', pieces.block + %d)::pg_catalog.tid", pieceBlocks)

// piecewise runs a statement once for each stretch of a table's blocks, in a
// transaction of its own, and rests as long as it worked. Where somebody else
// is at work it yields and tries again: not to become half of a deadlock that
// would end the application's transaction. Done again, it does nothing twice
// if the statement doesn't.
// https://www.postgresql.org/docs/current/plpgsql-transactions.html
func piecewise(table pg.Name, statement string) string {
	return pg.Do(fmt.Sprintf(`
<<pieces>>
DECLARE
  blocks constant bigint := pg_catalog.pg_relation_size(%s) / pg_catalog.current_setting('block_size')::bigint;
  block bigint := 0;
  tries int := 0;
  began timestamptz;
  affected bigint;
BEGIN
  WHILE block <= blocks LOOP
    began := pg_catalog.clock_timestamp();
    affected := 0;
    BEGIN
      SET LOCAL lock_timeout = '100ms';
      %s;
      GET DIAGNOSTICS affected = ROW_COUNT;
      block := block + %d;
      tries := 0;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      tries := tries + 1;
      IF tries > %d THEN
        RAISE;
      END IF;
    END;
    COMMIT;
    IF affected > 0 THEN
      PERFORM pg_catalog.pg_sleep(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - began));
    END IF;
  END LOOP;
END`, pg.Literal(table.SQL()), strings.ReplaceAll(statement, "\n", "\n      "), pieceBlocks, pieceTries))
}
