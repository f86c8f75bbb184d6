package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/archive/tableddl"
	"github.com/atlasctl/atlasctl/partitions"
)

// manifestName is the last file of a range to be published: without it there is
// no archive of that range.
const manifestName = "manifest.json"

// manifestSchema names the form of a manifest; fields are only ever added.
const manifestSchema = "atlasctl.archive.manifest/v1"

// Manifest says what the files of a range hold, for whoever reads them without
// atlasctl and without the database.
type Manifest struct {
	Schema      string          `json:"schema"`
	ID          string          `json:"id"`
	Attempt     int             `json:"attempt"`
	RunID       string          `json:"run_id"`
	Table       string          `json:"table"` // schema-qualified, quoted where it needs to be
	Partition   string          `json:"partition"`
	Key         string          `json:"key"`
	KeyType     string          `json:"key_type"` // timestamptz, timestamp, date or uuid
	Lower       *string         `json:"lower"`    // as in FOR VALUES; null is without bound
	Upper       *string         `json:"upper"`
	Cutoff      time.Time       `json:"cutoff"`
	Rows        int64           `json:"rows"`
	Bytes       int64           `json:"bytes"`    // of all files
	Checksum    string          `json:"checksum"` // of all rows, whatever their order
	Files       []ManifestFile  `json:"files"`
	Columns     []pqfile.Column `json:"columns"`
	Fingerprint string          `json:"fingerprint"` // of the columns
	DDL         []string        `json:"ddl"`         // rebuilds the table and its types
	Checksums   ChecksumSQL     `json:"checksum_sql"`
	Notes       []string        `json:"notes"`
	Server      int             `json:"server_version"`
	Database    string          `json:"database"`
	Version     string          `json:"atlasctl_version"`
	WrittenAt   time.Time       `json:"written_at"`
}

// ManifestFile is one file of a range. Its name is relative to the manifest.
type ManifestFile struct {
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Checksum string `json:"checksum"` // of its rows, whatever their order
}

// ChecksumSQL computes count and checksum elsewhere.
type ChecksumSQL struct {
	PostgreSQL string `json:"postgresql"` // over the table that DDL rebuilds
	DuckDB     string `json:"duckdb"`     // over the files, from their directory
}

// manifestNotes explain what the types of the files can't say for themselves.
var manifestNotes = []string{
	"checksum: the sum, modulo 2^128, over all rows of the first 16 bytes (big endian) of SHA-256 of the row as COPY (FORMAT binary) sends it: an int16 count of columns, and for each an int32 length (-1 for NULL) and the value; 32 hexadecimal digits",
	"columns with encoding text hold the output of the type's output function under DateStyle ISO, IntervalStyle postgres, TimeZone UTC and extra_float_digits 1; its input function reads it back exactly",
	"timestamps and dates: infinity is the highest value of the physical type, -infinity the lowest plus one",
	"generated columns are included; leave them out when loading the rows into the table that ddl makes",
	"field ids are the columns' numbers (pg_attribute.attnum)",
}

// fileMeta is what every file says of itself, should it be parted from its
// manifest.
func (j *job) fileMeta(x *exportMove) map[string]string {
	meta := map[string]string{
		"atlasctl.version": j.o.Version, "atlasctl.id": x.entry.ID, "atlasctl.attempt": strconv.Itoa(x.entry.Attempt),
		"atlasctl.table": j.spec.Table.String(), "atlasctl.key": j.key.Column,
	}
	if !x.lower.Unbounded {
		meta["atlasctl.lower"] = x.lower.Text
	}
	if !x.upper.Unbounded {
		meta["atlasctl.upper"] = x.upper.Text
	}
	return meta
}

// publishStep writes the manifest. Its bytes are in the ledger before it lies
// there, so that one found later is ours or is not.
func (j *job) publishStep(x *exportMove) step {
	return step{
		Step: partitions.Step{Name: "publish the manifest of " + x.name.String(), Reversible: true},
		done: x.reached(StateVerified, StateSealed),
		run: func(ctx context.Context) error {
			if x.entry.Manifest == nil {
				if err := j.planManifest(ctx, x); err != nil {
					return err
				}
			}
			return j.publish(ctx, x)
		},
	}
}

func (j *job) planManifest(ctx context.Context, x *exportMove) error {
	m, err := j.manifest(ctx, x)
	if err != nil {
		return err
	}
	text, err := encode(m)
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", x.name, err)
	}
	key := j.dir(x) + "/" + manifestName
	digest := sha256.Sum256(text)
	sha := hex.EncodeToString(digest[:])
	_, err = j.db.Exec(ctx, `UPDATE atlasctl.archive SET manifest = $2, manifest_key = $3, manifest_sha = $4, updated_at = clock_timestamp()
		WHERE id = $1`, x.entry.ID, string(text), key, sha)
	if err != nil {
		return fmt.Errorf("record the manifest of %s: %w", x.name, err)
	}
	manifest := string(text)
	x.entry.Manifest, x.entry.ManifestKey, x.entry.ManifestSHA = &manifest, &key, &sha
	return j.place("manifest planned")
}

// encode is JSON that keeps the <, > and & of SQL as they are.
func encode(m Manifest) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(m)
	return b.Bytes(), err
}

func (j *job) manifest(ctx context.Context, x *exportMove) (Manifest, error) {
	schema, err := j.describe(ctx, j.db, x.oid, x.entry.AsText)
	if err != nil {
		return Manifest{}, err
	}
	ddl, err := tableddl.Read(ctx, j.db, x.oid, j.spec.Table)
	if err != nil {
		return Manifest{}, err
	}
	files, err := readFiles(ctx, j.db, x.entry.ID, x.entry.Attempt)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Schema: manifestSchema, ID: x.entry.ID, Attempt: x.entry.Attempt, RunID: j.runID,
		Table: j.spec.Table.String(), Partition: x.name.String(), Key: j.key.Column, KeyType: string(j.key.Type),
		Lower: ledgerText(x.lower), Upper: ledgerText(x.upper), Cutoff: j.res.Cutoff,
		Columns: schema.Columns, Fingerprint: schema.Fingerprint(), DDL: ddl,
		Checksums: ChecksumSQL{PostgreSQL: schema.ChecksumSQL(j.spec.Table.SQL()), DuckDB: schema.ChecksumDuckDB("part-*.parquet")},
		Notes:     manifestNotes, Server: j.db.Server.Version, Database: j.db.Server.Database,
		Version: j.o.Version, WrittenAt: time.Now().UTC().Truncate(time.Second),
	}
	var sum pqfile.Sum
	for _, f := range files {
		one, err := pqfile.ParseSum(*f.Rows, *f.Checksum)
		if err != nil {
			return m, fmt.Errorf("file %s: %w", f.Key, err)
		}
		sum.Merge(one)
		m.Bytes += *f.Bytes
		m.Files = append(m.Files, ManifestFile{Name: path.Base(f.Key), Rows: *f.Rows, Bytes: *f.Bytes, SHA256: *f.SHA256, Checksum: *f.Checksum})
	}
	m.Rows, m.Checksum = sum.Rows(), sum.String()
	return m, nil
}

// publish puts the manifest where it is not yet.
func (j *job) publish(ctx context.Context, x *exportMove) (err error) {
	object, err := x.to.Create(ctx, *x.entry.ManifestKey)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(object, *x.entry.Manifest); err != nil {
		return errors.Join(err, object.Abort())
	}
	if err := object.Commit(ctx); err != nil && !errors.Is(err, store.ErrExists) {
		return errors.Join(err, object.Abort())
	}
	return checkManifest(ctx, x.to, *x.entry.ManifestKey, *x.entry.ManifestSHA)
}

// checkManifest reads a manifest back.
func checkManifest(ctx context.Context, st store.Store, key, sha string) error {
	r, err := st.Open(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	digest := sha256.New()
	if _, err := io.Copy(digest, r); err != nil {
		return fmt.Errorf("read %s/%s: %w", st, key, err)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != sha {
		return &mismatchError{key: key, what: "SHA-256", want: sha, got: got}
	}
	return nil
}

// parseManifest reads what an entry of the ledger keeps.
func parseManifest(id string, text *string) (m Manifest, err error) {
	if text == nil {
		return m, fmt.Errorf("entry %s of the archive's ledger has no manifest", id)
	}
	if err := json.Unmarshal([]byte(*text), &m); err != nil {
		return m, fmt.Errorf("entry %s of the archive's ledger: its manifest: %w", id, err)
	}
	return m, nil
}
