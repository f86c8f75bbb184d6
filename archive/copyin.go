package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// copyIn sends the rows of a file to a table, these columns of it.
func copyIn(ctx context.Context, conn *pgconn.PgConn, r *pqfile.Reader, table string, columns []string) error {
	schema := r.Schema()
	format, write := "binary", r.CopyBinary
	if !schema.Binary(columns) {
		format, write = "text", r.CopyText
	}
	from, to := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(ctx, to, columns)
		done <- errors.Join(err, to.CloseWithError(err)) // nil is the end of the rows
	}()
	tag, err := conn.CopyFrom(ctx, from, fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT %s)", table, pg.Idents(columns), format))
	_ = from.CloseWithError(errors.New("the server takes no more")) // always nil; ends the writer
	if written := <-done; written != nil && err == nil {
		err = written
	}
	if err != nil {
		return err
	}
	if tag.RowsAffected() != r.Rows() {
		return fmt.Errorf("%d rows were sent and %d arrived", r.Rows(), tag.RowsAffected())
	}
	return nil
}
