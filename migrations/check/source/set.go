package source

// A Layout is the convention that a directory follows, and with it the runner
// whose behaviour counts.
type Layout string

// The layouts. Plain is everything without a known runner: numbered files, pairs
// of x.up.sql and x.down.sql, V1__x.sql, and 001_x/migration.sql.
const (
	Goose    Layout = "goose"    // https://github.com/pressly/goose, as of v3.29
	Supabase Layout = "supabase" // the Supabase CLI
	Plain    Layout = "plain"
)

// A Set is a directory of migrations.
type Set struct {
	Path     string // for display, slash separated
	Layout   Layout
	Files    []*File   // in the order in which the runner applies them
	Problems []Problem // by file and line
}

// A File is one migration.
type File struct {
	Path    string // for display: Set.Path + "/" + Name
	Version string // digits as written, "" if there are none
	Name    string // below Set.Path: "00004_messages.sql", "001_x/migration.sql"
	Text    string // as read, without a byte order mark
	Up      Script
	Down    Script
	HasDown bool // Down has at least one statement
}

// A Script is one direction of a migration.
type Script struct {
	// Path and Text are where the statements are. They are those of the File,
	// but for the way down in a file of its own, x.down.sql.
	Path, Text    string
	Chunks        []*Chunk
	InTransaction bool // the runner begins a transaction before the first chunk
}

// A Chunk is what the runner sends at once: one statement, or several in one
// goose block, or none if there are only comments in it.
type Chunk struct {
	Text       string // exactly what is sent
	Line       int    // of the first byte of Text
	Statements []*Statement
}

// A Statement is one SQL statement.
type Statement struct {
	Text     string // from the first to the last token, without the semicolon
	Line     int    // of the first token
	EndLine  int    // of the last token
	Offset   int    // of the first token in Script.Text, in bytes
	CopyData []byte // the rows below COPY … FROM STDIN; nil for other statements
	Allows   []Allow
}

// An Allow is a comment that silences one rule for one statement.
type Allow struct {
	ID     string // "ATL-MIG-012"
	Reason string // "" is a problem, too
	Line   int
}
