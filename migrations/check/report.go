package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/migrations/check/source"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// follow is the severity of what only follows from something else.
const follow = pg.Info

// report adds a finding about a statement.
func (c *checker) report(st *statement, id, message string) *Finding {
	return c.add(c.finding(st, ruleOf(id), message))
}

// finding is one about a statement, silenced if a comment at it says so.
func (c *checker) finding(st *statement, r Rule, message string) Finding {
	f := Finding{
		File: st.script.source.Path, Line: st.Line, EndLine: st.EndLine, Statement: st.Text,
		Finding: pg.Finding{ID: r.ID, Severity: r.Severity, Object: fmt.Sprintf("%s:%d", st.script.source.Path, st.Line), Message: message, Fix: r.Fix},
	}
	f.Evidence = map[string]any{"file": f.File, "line": f.Line, "statement": f.Statement, "locks": []string{}}
	if e := st.effect; e != nil {
		f.Evidence["locks"] = describe(e.locks)
		if len(e.scanned) > 0 {
			f.Evidence["scanned"] = named(e.scanned)
		}
		if len(e.rewritten) > 0 {
			f.Evidence["rewritten"] = named(e.rewritten)
		}
		f.Evidence["seconds"], f.Evidence["locked_seconds"] = e.seconds, e.locked
	}
	for i := range st.Allows {
		if a := &st.Allows[i]; a.ID == r.ID {
			c.used[a] = true
			f.Allowed = a.Reason
			if a.Reason == "" {
				f.Allowed = "no reason given" // which is a finding of its own
			}
		}
	}
	return f
}

// add adds a finding once, also if both ways up have it.
func (c *checker) add(f Finding) *Finding {
	for i := range c.result.Findings {
		if have := &c.result.Findings[i]; have.ID == f.ID && have.Object == f.Object && have.Message == f.Message {
			return have
		}
	}
	c.result.Findings = append(c.result.Findings, f)
	return &c.result.Findings[len(c.result.Findings)-1]
}

// has says whether there is a finding of a rule about a statement.
func (c *checker) has(st *statement, id string) bool {
	return slices.ContainsFunc(c.result.Findings, func(f Finding) bool {
		return f.ID == id && f.File == st.script.source.Path && f.Line >= st.Line && f.Line <= st.EndLine
	})
}

// aboutFile is a finding without a statement.
func aboutFile(id, file string, line int, message string) Finding {
	r := ruleOf(id)
	object := file
	if line > 0 {
		object = fmt.Sprintf("%s:%d", file, line)
	}
	return Finding{
		File: file, Line: line, EndLine: line,
		Finding: pg.Finding{
			ID: id, Severity: r.Severity, Object: object, Message: message, Fix: r.Fix,
			Evidence: map[string]any{"file": file, "line": line, "statement": "", "locks": []string{}},
		},
	}
}

func (c *checker) findingsOf(file string) []Finding {
	var of []Finding
	for _, f := range c.result.Findings {
		if f.File == file {
			of = append(of, f)
		}
	}
	return of
}

// conclude puts findings in order and counts them per file.
func (c *checker) conclude() {
	order := map[string]int{}
	for i, f := range c.o.Set.Files {
		order[f.Path] = i + 1
		order[f.Down.Path] = i + 1
	}
	sortFindings(c.result.Findings, order)
	for i := range c.result.Files {
		f := &c.result.Files[i]
		f.Found = c.findingsOf(f.File)
		f.Findings = 0
		for _, one := range f.Found {
			if !one.IsAllowed() {
				f.Findings++
			}
		}
	}
	for _, t := range sortedKeys(c.unfilled) {
		c.result.Notices = append(c.result.Notices, "no rows could be made up for "+t+", so a scan of it doesn't show: give it some with --seed")
	}
	for _, sql := range sortedKeys(c.seedDone) {
		if !c.seedDone[sql] {
			c.result.Notices = append(c.result.Notices, "a statement of the seed has never worked: "+firstLine(sql))
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func describe(locks []lock) []string {
	all := make([]string, 0, len(locks))
	for _, l := range locks {
		all = append(all, l.Mode+" on "+l.Relation.String())
	}
	slices.Sort(all)
	return all
}

func named(relations []*relation) []string {
	all := make([]string, len(relations))
	for i, r := range relations {
		all[i] = r.String()
	}
	slices.Sort(all)
	return all
}

// problemRules are the rules that the reader of a directory knows.
var problemRules = map[source.ProblemKind]string{
	source.DuplicateVersion: "ATL-MIG-052", source.MissingDown: "ATL-MIG-054", source.TransactionControl: "ATL-MIG-057", source.LooseAllow: "ATL-MIG-061",
}

// problems are what was found before anything ran.
func (c *checker) problems() {
	released := map[string]bool{}
	for _, f := range c.o.Set.Files {
		if c.isReleased(f) {
			released[f.Up.Path], released[f.Down.Path] = true, true
		}
	}
	for _, p := range c.o.Set.Problems {
		if released[p.File] {
			continue
		}
		id, ok := problemRules[p.Kind]
		if !ok {
			id = "ATL-MIG-056"
		}
		if c.o.ForwardOnly && p.Kind == source.MissingDown {
			continue
		}
		f := aboutFile(id, p.File, p.Line, p.Message)
		if p.Detail != "" {
			f.Fix = p.Detail
		}
		if p.Kind == source.TransactionControl && c.o.Set.Layout == source.Plain {
			if c.isOwn(p.File) {
				continue
			}
			f.Severity = pg.Warn // whoever runs them may begin none
		}
		c.silence(&f)
		c.add(f)
	}
}

// isOwn says whether a file begins and ends its transactions itself.
func (c *checker) isOwn(path string) bool {
	return slices.ContainsFunc(c.o.Set.Files, func(f *source.File) bool {
		return f.Up.Path == path && c.parsed(f).own || f.Down.Path == path && parseScript(f, &f.Down, c.o.Set.Layout).own
	})
}

// silence looks for a comment that allows a finding about a place in a file:
// at the statement there or, for the whole file, at its first.
func (c *checker) silence(f *Finding) {
	for _, file := range c.o.Set.Files {
		if file.Path != f.File {
			continue
		}
		for _, s := range []*source.Script{&file.Up, &file.Down} {
			for _, chunk := range s.Chunks {
				for _, st := range chunk.Statements {
					for i := range st.Allows {
						a := &st.Allows[i]
						if a.ID == f.ID && (f.Line <= st.EndLine && f.Line >= a.Line || f.Line <= 1) {
							c.used[a] = true
							f.Allowed = a.Reason
						}
					}
				}
			}
		}
	}
}

// allows finds comments that silence nothing.
func (c *checker) allows() {
	for _, file := range c.o.Set.Files {
		if c.isReleased(file) {
			continue
		}
		for _, s := range []*source.Script{&file.Up, &file.Down} {
			for _, chunk := range s.Chunks {
				for _, st := range chunk.Statements {
					for i := range st.Allows {
						if a := &st.Allows[i]; !c.used[a] {
							c.add(aboutFile("ATL-MIG-061", s.Path, a.Line, "atlasctl:allow "+a.ID+" silences nothing: the statement has no such finding"))
						}
					}
				}
			}
		}
	}
}

// makes are the names that a script would make, as PostgreSQL words them when
// they are missing.
func (s *script) makes() []string {
	var all []string
	for _, st := range s.statements {
		n := st.tree.node
		switch st.tree.Kind {
		case "CreateStmt", "CreateTableAsStmt", "ViewStmt", "CreateSeqStmt":
			for _, field := range []string{"relation", "view", "sequence"} {
				if r := relationName(n.at(field)); r.Name != "" {
					all = append(all, r.Name)
				}
			}
			if r := relationName(n.at("into", "rel")); r.Name != "" {
				all = append(all, r.Name)
			}
		case "CreateFunctionStmt":
			all = append(all, qualified(n.names("funcname")).Name)
		case "CreateEnumStmt", "CompositeTypeStmt", "CreateRangeStmt":
			all = append(all, qualified(n.names("typeName")).Name, relationName(n.at("typevar")).Name)
		case "CreateDomainStmt":
			all = append(all, qualified(n.names("domainname")).Name)
		case "CreateSchemaStmt":
			all = append(all, n.str("schemaname"))
		case "CreateExtensionStmt":
			all = append(all, n.str("extname"))
		case "CreateRoleStmt":
			all = append(all, n.str("role"))
		case "AlterTableStmt":
			for _, cmd := range n.list("cmds") {
				all = append(all, cmd.at("def", "ColumnDef").str("colname"))
			}
		case "IndexStmt":
			all = append(all, n.str("idxname"))
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// missing are the SQLSTATEs that say that something does not exist.
var missing = []string{"42P01", "42883", "3F000", "42704", "42703", "42P02"}

var quotedName = regexp.MustCompile(`"([^"]+)"|function ([\w.]+)\(`)

// followsFrom says which failed file would have made what is missing.
func (c *checker) followsFrom(pe *pgconn.PgError) (file string, ok bool) {
	if !slices.Contains(missing, pe.Code) {
		return "", false
	}
	for _, m := range quotedName.FindAllStringSubmatch(pe.Message, -1) {
		for p := range strings.SplitSeq(m[1]+m[2], ".") {
			if file, ok = c.failed[p]; ok {
				return file, true
			}
		}
	}
	return "", false
}

// newlinesBefore counts the lines before a character, from 1, of a text.
func newlinesBefore(text string, position int) int {
	n, i := 0, 0
	for _, r := range text {
		if i++; i >= position {
			break
		}
		if r == '\n' {
			n++
		}
	}
	return n
}
