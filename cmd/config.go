package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/atlasctl/atlasctl/archive"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// Config is the configuration file.
type Config struct {
	DatabaseURL string        `yaml:"database_url"`
	S3          S3Config      `yaml:"s3"`
	Tables      []TableConfig `yaml:"tables"`
}

// S3Config says how buckets are reached. Credentials are never in here: they
// come from where every AWS tool takes them.
type S3Config struct {
	Endpoint  string `yaml:"endpoint"` // "": AWS, or AWS_ENDPOINT_URL
	Region    string `yaml:"region"`
	PathStyle *bool  `yaml:"path_style"` // unset: with an endpoint of one's own
	// Encryption on the server: AES256, aws:kms or aws:kms:KEY.
	Encryption string `yaml:"encryption"`
	// Checksums with every request: supported, or required for servers that
	// refuse the others.
	Checksums string `yaml:"checksums"`
}

func (c S3Config) options() store.Options {
	// A server of one's own seldom has a name for each bucket.
	own := cmp.Or(c.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")) != ""
	if c.PathStyle != nil {
		own = *c.PathStyle
	}
	return store.Options{
		Endpoint: c.Endpoint, Region: c.Region, PathStyle: own, SSE: c.Encryption, ChecksumWhenRequired: c.Checksums == checksumsRequired,
	}
}

// The choices for [S3Config].Checksums.
const (
	checksumsSupported = "supported"
	checksumsRequired  = "required"
)

// TableConfig is what is wanted of a table.
type TableConfig struct {
	Table           string `yaml:"table"`
	Key             string `yaml:"key"`
	Interval        string `yaml:"interval"`
	TimeZone        string `yaml:"time_zone"`
	Ahead           int    `yaml:"ahead"`
	ArchiveAfter    string `yaml:"archive_after"`      // "": maintain archives nothing
	ArchiveInbound  string `yaml:"archive_inbound_fk"` // as archive run --inbound-fk
	ArchiveTo       string `yaml:"archive_to"`         // as archive run --to
	PartitionSchema string `yaml:"partition_schema"`

	name pg.Name
}

// Defaults of a table that doesn't say otherwise.
const (
	defaultAhead        = 3
	defaultArchiveAfter = "1y" // of archive run; maintain moves nothing unasked
)

// builtinTables are what atlasctl works on without a configuration.
func builtinTables() []TableConfig {
	return []TableConfig{
		{Table: "public.messages", Key: "created_at", Interval: "month", TimeZone: "UTC", Ahead: 3, ArchiveAfter: "1y"},
		{Table: "public.usage_logs", Key: "timestamp", Interval: "week", TimeZone: "UTC", Ahead: 8, ArchiveAfter: "1y"},
	}
}

// loadConfig reads the configuration: the named file, else atlasctl.yaml here,
// else in the user's configuration directory, else what is built in.
func loadConfig(path string) (Config, error) {
	candidates := []string{path}
	if path == "" {
		candidates = []string{"atlasctl.yaml"}
		if dir, err := os.UserConfigDir(); err == nil {
			candidates = append(candidates, filepath.Join(dir, "atlasctl", "atlasctl.yaml"))
		}
	}
	for _, file := range candidates {
		data, err := os.ReadFile(file) //nolint:gosec // the user names the file
		if path == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
			continue
		}
		if err != nil {
			return Config{}, pg.Usagef("configuration: %w", err)
		}
		return parseConfig(file, data)
	}
	c := Config{Tables: builtinTables()}
	return c, c.check("built-in configuration")
}

func parseConfig(file string, data []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalWithOptions(data, &c, yaml.DisallowUnknownField()); err != nil && strings.TrimSpace(string(data)) != "" {
		return c, pg.Usagef("configuration %s: %s", file, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if c.Tables == nil {
		c.Tables = builtinTables()
	}
	return c, c.check("configuration " + file)
}

// check fills in defaults and finds what is wrong.
func (c *Config) check(where string) error {
	switch c.S3.Checksums {
	case "", checksumsSupported, checksumsRequired:
	default:
		return pg.Usagef("%s: s3: checksums %q: want %s or %s", where, c.S3.Checksums, checksumsSupported, checksumsRequired)
	}
	seen := map[pg.Name]bool{}
	for i := range c.Tables {
		t := &c.Tables[i]
		name, err := pg.ParseName(t.Table)
		if err != nil {
			return pg.Usagef("%s: tables[%d]: %w", where, i, err)
		}
		if name.Schema == "" {
			name.Schema = "public"
		}
		if seen[name] {
			return pg.Usagef("%s: %s is configured twice", where, name)
		}
		seen[name] = true
		t.name = name
		if t.Key == "" {
			return pg.Usagef("%s: %s: key is missing", where, name)
		}
		if t.Ahead < 0 {
			return pg.Usagef("%s: %s: ahead must not be negative", where, name)
		}
		if t.Ahead == 0 {
			t.Ahead = defaultAhead
		}
		if _, err := t.spec(); err != nil {
			return pg.Usagef("%s: %s: %w", where, name, err)
		}
		if _, err := archive.ParseAge(t.archiveAge()); err != nil {
			return pg.Usagef("%s: %s: archive_after: %w", where, name, err)
		}
		if err := checkChildren(t.ArchiveInbound); err != nil {
			return pg.Usagef("%s: %s: archive_inbound_fk %w", where, name, err)
		}
		if err := checkDestination(t.ArchiveTo); err != nil {
			return pg.Usagef("%s: %s: archive_to %w", where, name, err)
		}
	}
	return nil
}

// spec is what the partitions package wants to know.
func (t TableConfig) spec() (partitions.Spec, error) {
	spec := partitions.Spec{Table: t.name, Key: t.Key, Ahead: t.Ahead, LeafSchema: t.PartitionSchema}
	var err error
	if spec.Interval, err = partitions.ParseInterval(t.Interval); err != nil {
		return spec, err
	}
	zone := t.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	if spec.Zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return spec, fmt.Errorf("time_zone %q is not a zone of the time zone database", t.TimeZone)
	}
	return spec, nil
}

// archiveAge is the age from which rows are archived by command.
func (t TableConfig) archiveAge() string {
	if t.ArchiveAfter == "" {
		return defaultArchiveAfter
	}
	return t.ArchiveAfter
}

// find returns the configuration of a table.
func (c Config) find(name pg.Name) (TableConfig, bool) {
	for _, t := range c.Tables {
		if t.name == name {
			return t, true
		}
	}
	return TableConfig{}, false
}
