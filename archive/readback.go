package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// mismatchError is a stored file that is not what was written.
type mismatchError struct{ key, what, want, got string }

func (e *mismatchError) Error() string {
	return fmt.Sprintf("%s: %s is %s, the ledger says %s", e.key, e.what, e.got, e.want)
}

// stored is a file that can be read anywhere in it.
type stored struct {
	io.ReaderAt
	size   int64
	sha256 string
	close  func() error
}

// fetch reads a whole file from where it is stored, and hashes what came. What
// comes over a network is kept in a temporary file, which is gone afterwards.
func fetch(ctx context.Context, st store.Store, key string) (f *stored, err error) {
	r, err := st.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = r.Close()
		}
	}()
	digest := sha256.New()
	if local, ok := r.(io.ReaderAt); ok {
		size, err := io.Copy(digest, r)
		if err != nil {
			return nil, fmt.Errorf("read %s/%s: %w", st, key, err)
		}
		return &stored{local, size, hex.EncodeToString(digest.Sum(nil)), r.Close}, nil
	}
	spool, err := os.CreateTemp("", "atlasctl-*.parquet")
	if err != nil {
		return nil, fmt.Errorf("keep %s/%s while it is read: %w", st, key, err)
	}
	gone := spool.Close
	if os.Remove(spool.Name()) != nil { // an open file can't be, on Windows
		gone = func() error { return errors.Join(spool.Close(), os.Remove(spool.Name())) }
	}
	size, err := io.Copy(io.MultiWriter(spool, digest), r)
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s/%s: %w", st, key, err), gone())
	}
	return &stored{spool, size, hex.EncodeToString(digest.Sum(nil)), gone}, nil
}

// readBack reads a file that the ledger claims, and compares: the bytes, and
// what they decode to. Errors: [*mismatchError]; [fs.ErrNotExist]; the store's.
func readBack(ctx context.Context, st store.Store, f file) (err error) {
	got, err := fetch(ctx, st, f.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, got.close()) }()
	if got.size != *f.Bytes {
		return &mismatchError{f.Key, "size", fmt.Sprintf("%d bytes", *f.Bytes), fmt.Sprintf("%d", got.size)}
	}
	if got.sha256 != *f.SHA256 {
		return &mismatchError{f.Key, "SHA-256", *f.SHA256, got.sha256}
	}
	r, err := pqfile.NewReader(got, got.size)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Key, err)
	}
	sum, err := r.Sum(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Key, err)
	}
	if sum.Rows() != *f.Rows {
		return &mismatchError{f.Key, "number of rows", fmt.Sprint(*f.Rows), fmt.Sprint(sum.Rows())}
	}
	if sum.String() != *f.Checksum {
		return &mismatchError{f.Key, "checksum of the rows", *f.Checksum, sum.String()}
	}
	return nil
}

// readStep reads everything back, again if it was more than an hour ago. A file
// that is not what was written is made again.
func (j *job) readStep(x *exportMove) step {
	return step{
		Step: partitions.Step{Name: "read back " + x.name.String(), Reversible: true},
		done: func(context.Context) (bool, error) {
			return x.entry != nil && x.entry.State != StateExporting && x.entry.Fresh, nil
		},
		run: func(ctx context.Context) error {
			err := j.verifyFiles(ctx, x)
			mismatch, bad := errors.AsType[*mismatchError](err)
			if !bad && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			st, look := j.state(ctx, j.db, &x.leafMove)
			switch {
			case look != nil:
				return look
			case !x.attached(st) || st.Pending:
				return pg.WithHint(fmt.Errorf("%w; %s is kept", err, x.name),
					"put the file back; or, to begin anew, attach the partition where it was: its bounds are in atlasctl archive list")
			case bad:
				return &changedError{"a file is not what was written: " + mismatch.Error()}
			default:
				return &changedError{fmt.Sprintf("a file is gone: %v", err)}
			}
		},
	}
}

func (j *job) verifyFiles(ctx context.Context, x *exportMove) error {
	files, err := readFiles(ctx, j.db, x.entry.ID, x.entry.Attempt)
	if err != nil {
		return err
	}
	again := x.entry.State != StateExporting
	var sum pqfile.Sum
	var bytes int64
	for _, f := range files {
		if f.State != fileVerified || again {
			if err := readBack(ctx, x.to, f); err != nil {
				return err
			}
			_, err := j.db.Exec(ctx, "UPDATE atlasctl.archive_file SET state = $3 WHERE archive_id = $1 AND n = $2", x.entry.ID, f.N, fileVerified)
			if err != nil {
				return fmt.Errorf("write the archive's ledger: %w", err)
			}
			if err := j.place("file read back"); err != nil {
				return err
			}
		}
		one, err := pqfile.ParseSum(*f.Rows, *f.Checksum)
		if err != nil {
			return err
		}
		sum.Merge(one)
		bytes += *f.Bytes
	}
	if err := checkManifest(ctx, x.to, *x.entry.ManifestKey, *x.entry.ManifestSHA); err != nil {
		return err
	}
	state := x.entry.State
	if state == StateExporting {
		state = StateVerified
	}
	rows, checksum := sum.Rows(), sum.String()
	_, err = j.db.Exec(ctx, `UPDATE atlasctl.archive SET state = $2, verified_at = clock_timestamp(), rows = $3, bytes = $4, checksum = $5, updated_at = clock_timestamp()
		WHERE id = $1`, x.entry.ID, state, rows, bytes, checksum)
	if err != nil {
		return fmt.Errorf("write the archive's ledger: %w", err)
	}
	x.entry.State, x.entry.Fresh, x.entry.Rows, x.entry.Checksum = state, true, &rows, &checksum
	return nil
}
