package cmd

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// The output formats.
const (
	outputTable    = "table"
	outputWide     = "wide"
	outputJSON     = "json"
	outputCSV      = "csv"
	outputMarkdown = "markdown"
)

// moreOutputs is the annotation of a command that has further formats.
const moreOutputs = "outputs"

// outputs are the formats of a command.
func outputs(cmd *cobra.Command) []string {
	return append([]string{outputTable, outputWide, outputJSON, outputCSV, outputMarkdown}, strings.Fields(cmd.Annotations[moreOutputs])...)
}

// column is one column of a table for eyes.
type column[R any] struct {
	head  string
	right bool // aligned, for numbers
	wide  bool // only with -o wide
	cell  func(R) string
}

// result is what a command has to show: rows of one type, and what was found.
type result[R any] struct {
	command  string // "partition plan", for the schema's name
	server   *pg.Server
	rows     []R
	columns  []column[R]
	findings []pg.Finding
	notices  []string
	// extra are further fields of the envelope.
	extra map[string]any
	// after prints what follows the table, for eyes only.
	after func(w io.Writer)
}

// envelope is the JSON form, add-only within v1.
type envelope[R any] struct {
	Schema      string       `json:"schema"`
	GeneratedAt time.Time    `json:"generated_at"`
	Server      *pg.Server   `json:"server,omitempty"`
	Rows        []R          `json:"rows"`
	Findings    []pg.Finding `json:"findings"`
	Notices     []string     `json:"notices"`
}

// emit renders a result in the chosen format.
func emit[R any](a *app, r result[R]) error {
	switch a.flags.output {
	case outputJSON:
		return emitJSON(a, r, "  ")
	case outputCSV:
		if err := emitCSV(a.out, r.rows); err != nil {
			return err
		}
		a.printFindings(a.err, r.findings)
	case outputMarkdown:
		if err := emitMarkdown(a.out, r); err != nil {
			return err
		}
		a.printFindings(a.out, r.findings)
	default:
		if err := emitTable(a, r); err != nil {
			return err
		}
		if r.after != nil {
			r.after(a.out)
		}
		a.printFindings(a.out, r.findings)
	}
	a.printNotices(r.notices)
	return nil
}

func (a *app) printNotices(notices []string) {
	for _, n := range notices {
		a.log.Info(n)
	}
}

func emitJSON[R any](a *app, r result[R], indent string) error {
	generated, err := a.fixedNow()
	if err != nil {
		return err
	}
	if generated.IsZero() {
		generated = time.Now()
	}
	e := envelope[R]{
		Schema:      "atlasctl." + strings.ReplaceAll(r.command, " ", ".") + "/v1",
		GeneratedAt: generated.UTC().Truncate(time.Second),
		Server:      r.server, Rows: r.rows, Findings: r.findings, Notices: r.notices,
	}
	if e.Rows == nil {
		e.Rows = []R{}
	}
	if e.Findings == nil {
		e.Findings = []pg.Finding{}
	}
	if e.Notices == nil {
		e.Notices = []string{}
	}
	data, err := marshalJSON(e)
	if err != nil {
		return err
	}
	if len(r.extra) > 0 {
		more, err := marshalJSON(r.extra)
		if err != nil {
			return err
		}
		data = append(append(data[:len(data)-1], ','), more[1:]...)
	}
	if indent != "" {
		var b bytes.Buffer
		if err := json.Indent(&b, data, "", indent); err != nil {
			return err
		}
		data = b.Bytes()
	}
	_, err = fmt.Fprintf(a.out, "%s\n", data)
	return err
}

// marshalJSON keeps <, > and & as they are in SQL.
func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// emitCSV writes the JSON fields of the rows, raw; what is nested stays JSON.
func emitCSV[R any](w io.Writer, rows []R) error {
	out := csv.NewWriter(w)
	fields := jsonFields(reflect.TypeFor[R]())
	head := make([]string, len(fields))
	for i, f := range fields {
		head[i] = f.name
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, row := range rows {
		record := make([]string, len(fields))
		for i, f := range fields {
			var err error
			if record[i], err = csvCell(reflect.ValueOf(row).FieldByIndex(f.index).Interface()); err != nil {
				return err
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

type jsonField struct {
	name  string
	index []int
}

func jsonFields(t reflect.Type) []jsonField {
	var fields []jsonField
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && name != "" && name != "-" {
			fields = append(fields, jsonField{name, f.Index})
		}
	}
	return fields
}

// csvCell is a value's JSON, without the quotes of a string; null is empty.
func csvCell(v any) (string, error) {
	data, err := marshalJSON(v)
	if err != nil {
		return "", err
	}
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s, nil
	}
	if string(data) == "null" {
		return "", nil
	}
	return string(data), nil
}

// visible are the columns that a format shows.
func visible[R any](columns []column[R], wide bool) []column[R] {
	return slices.DeleteFunc(slices.Clone(columns), func(c column[R]) bool { return c.wide && !wide })
}

// grid is a result as text: the heads and the cells.
func grid[R any](r result[R], wide bool) (columns []column[R], head []string, body [][]string) {
	columns = visible(r.columns, wide)
	for _, c := range columns {
		head = append(head, c.head)
	}
	for _, row := range r.rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = c.cell(row)
		}
		body = append(body, cells)
	}
	return columns, head, body
}

// emitTable prints rows for eyes. Nothing is cut: a pipe gets all there is.
func emitTable[R any](a *app, r result[R]) error {
	columns, head, body := grid(r, a.flags.output == outputWide)
	if len(body) == 0 {
		if !a.flags.quiet && r.after == nil {
			_, _ = fmt.Fprintln(a.err, "no rows")
		}
		return nil
	}
	align := make(tw.Alignment, len(columns))
	for i, c := range columns {
		align[i] = tw.AlignLeft
		if c.right {
			align[i] = tw.AlignRight
		}
	}
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithPadding(tw.Padding{Left: tw.Empty, Right: "  ", Overwrite: true}),
	)
	t.Header(head)
	if err := t.Bulk(body); err != nil {
		return err
	}
	if err := t.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(a.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// emitMarkdown writes a table that any Markdown renderer reads.
func emitMarkdown[R any](w io.Writer, r result[R]) error {
	escape := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	columns, head, body := grid(r, true)
	rule := make([]string, len(columns))
	for i, c := range columns {
		rule[i] = "---"
		if c.right {
			rule[i] = "--:"
		}
	}
	for _, line := range append([][]string{head, rule}, body...) {
		for i := range line {
			line[i] = escape.Replace(line[i])
		}
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// printFindings prints what was found, worst first as it came, with the fix.
func (a *app) printFindings(w io.Writer, findings []pg.Finding) {
	for _, f := range findings {
		if f.Severity == pg.Info && a.flags.quiet {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s %s %s: %s\n", a.paint(w, f.Severity), f.ID, f.Object, f.Message)
		if f.Fix != "" {
			_, _ = fmt.Fprintf(w, "      fix: %s\n", f.Fix)
		}
	}
}

// paint is a severity, coloured where that is wanted.
// https://no-color.org
func (a *app) paint(w io.Writer, s pg.Severity) string {
	word := strings.ToUpper(s.String())
	colour := a.flags.color == "always" ||
		a.flags.color == "auto" && terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if !colour {
		return word
	}
	codes := map[pg.Severity]string{pg.Error: "31", pg.Warn: "33", pg.Info: "36"}
	return "\x1b[" + codes[s] + "m" + word + "\x1b[0m"
}
