package cmd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// json PATH VALUE compares one value in the last stdout; json -keys PATH NAME...
// wants these members and no others, json -has PATH NAME... these at least, json
// -len PATH N so many elements. A path is "rows.0.state"; "." is the whole.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "json [-keys|-has|-len] path value...")
	if !strings.HasPrefix(args[0], "-") {
		got := render(lookup(ts, args[0]))
		if want := strings.Join(args[1:], " "); (got == want) == neg {
			ts.Fatalf("%s is %s, want %s", args[0], got, wanted(neg, want))
		}
		return
	}
	if neg {
		ts.Fatalf("json %s can't be negated", args[0])
	}
	value, names := lookup(ts, args[1]), args[2:]
	switch args[0] {
	case "-keys", "-has":
		members := keys(ts, args[1], value)
		for _, name := range names {
			if !slices.Contains(members, name) {
				ts.Fatalf("%s has no %s, only %s", args[1], name, strings.Join(members, ", "))
			}
		}
		if args[0] == "-keys" && len(members) != len(names) {
			ts.Fatalf("%s has %s, want only %s", args[1], strings.Join(members, ", "), strings.Join(names, ", "))
		}
	case "-len":
		list, ok := value.([]any)
		if !ok || len(names) != 1 || strconv.Itoa(len(list)) != names[0] {
			ts.Fatalf("%s has %d elements, want %s", args[1], len(list), strings.Join(names, " "))
		}
	default:
		ts.Fatalf("json: unknown flag %s", args[0])
	}
}

// let NAME PATH keeps one value of the last stdout as $NAME.
func cmdLet(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "let name path")
	if neg {
		ts.Fatalf("let can't be negated")
	}
	ts.Setenv(args[0], render(lookup(ts, args[1])))
}

func wanted(neg bool, value string) string {
	if neg {
		return "anything but " + value
	}
	return value
}

// lookup follows a path through the last stdout.
func lookup(ts *testscript.TestScript, path string) any {
	var value any
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		ts.Fatalf("stdout is not JSON: %v", err)
	}
	if decoder.More() {
		ts.Fatalf("stdout has more than one JSON value")
	}
	if path == "." {
		return value
	}
	at := ""
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			member, ok := v[part]
			if !ok {
				ts.Fatalf("%q has no member %s, only %s", at, part, strings.Join(keys(ts, at, v), ", "))
			}
			value = member
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				ts.Fatalf("%q has %d elements, no %s", at, len(v), part)
			}
			value = v[i]
		default:
			ts.Fatalf("%q is no object or array", at)
		}
		at += "." + part
	}
	return value
}

// render is a value as a script writes it: strings bare, the rest as JSON.
func render(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func keys(ts *testscript.TestScript, path string, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		ts.Fatalf("%s is no object", path)
	}
	return slices.Sorted(maps.Keys(object))
}

// finding ID SEVERITY [OBJECT] wants one in the last JSON output. ! finding ID
// wants none.
func cmdFinding(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "finding id [severity [object]]")
	list, ok := lookup(ts, "findings").([]any)
	if !ok {
		ts.Fatalf("findings is no array")
	}
	var seen []string
	for i := range list {
		at := fmt.Sprintf("findings.%d.", i)
		found := []string{render(lookup(ts, at+"id")), render(lookup(ts, at+"severity")), render(lookup(ts, at+"object"))}
		seen = append(seen, strings.Join(found, " "))
		if slices.Equal(found[:len(args)], args) {
			if neg {
				ts.Fatalf("there is %s", seen[len(seen)-1])
			}
			return
		}
	}
	if !neg {
		ts.Fatalf("no %s among\n\t%s", strings.Join(args, " "), strings.Join(seen, "\n\t"))
	}
}

func writeFile(ts *testscript.TestScript, name, text string) {
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
}
