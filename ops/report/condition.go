package report

import (
	"regexp"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// usage is what a condition does with a partition key, in the order in which
// it explains a scan of all partitions.
type usage int

const (
	usageNone    usage = iota
	usageWeak          // IS NOT NULL, <>, a column of the same row
	usageWrapped       // inside a function, a cast or an expression
	usageBound         // compared with something known before the first row
	usageOr            // the same, as one side of an OR
	usageRow           // in a row comparison, (key, id) < ($1, $2)
	usageRuntime       // compared with something known only during execution
)

// The server prints conditions with every operator in parentheses and, under
// VERBOSE, every column with its alias, so looking at the innermost
// parentheses around a column is enough.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/ruleutils.c (get_oper_expr)
var (
	stringLiteral = regexp.MustCompile(`'(?:[^']|'')*'`)
	runtimeParam  = regexp.MustCompile(`\$\d|InitPlan|SubPlan`)
	columnRef     = regexp.MustCompile(`("(?:[^"]|"")+"|[\p{L}_][\p{L}\d_$]*)\.("(?:[^"]|"")+"|[\p{L}_][\p{L}\d_$]*)\(?`)
	aliasSuffix   = regexp.MustCompile(`_\d+$`)
)

// keyUsage finds what a condition does with a column of the alias.
func keyUsage(cond, alias, key string) usage {
	cond = stringLiteral.ReplaceAllString(cond, "''")
	var most usage
	for _, at := range columnRefs(cond, alias, key) {
		most = max(most, usageAt(cond, at[0], at[1], alias))
	}
	return most
}

// columnRefs finds alias.column, with both names quoted or not.
func columnRefs(cond, alias, column string) (at [][]int) {
	for _, m := range columnRef.FindAllStringSubmatchIndex(cond, -1) {
		if unquoted(cond[m[2]:m[3]]) == alias && unquoted(cond[m[4]:m[5]]) == column {
			at = append(at, []int{m[2], m[5]})
		}
	}
	return at
}

func unquoted(ident string) string {
	if !strings.HasPrefix(ident, `"`) {
		return ident
	}
	return strings.ReplaceAll(ident[1:len(ident)-1], `""`, `"`)
}

// usageAt looks at the reference in cond[from:to].
func usageAt(cond string, from, to int, alias string) usage {
	open, closing := enclosing(cond, from, to)
	if open < 0 {
		return usageWeak
	}
	switch name := wordBefore(cond, open); {
	case strings.EqualFold(name, "ROW"):
		return usageRow
	case name != "":
		return usageWrapped
	}
	left, right := strings.Fields(cond[open+1:from]), strings.Fields(cond[to:closing])
	var operator string
	var other []string
	switch {
	case len(left) == 0 && len(right) == 0:
		if strings.HasPrefix(cond[closing+1:], "::") {
			return usageWrapped
		}
		return usageWeak
	case len(left) == 0:
		operator, other = right[0], right[1:]
	case len(right) == 0:
		operator, other = left[len(left)-1], left[:len(left)-1]
	}
	switch operator {
	case "=", "<", "<=", ">", ">=":
	case "<>", "IS":
		return usageWeak
	default:
		return usageWrapped
	}
	return comparedWith(cond, open, closing, strings.Join(other, " "), alias)
}

func comparedWith(cond string, open, closing int, other, alias string) usage {
	if runtimeParam.MatchString(other) {
		return usageRuntime
	}
	for _, m := range columnRef.FindAllStringSubmatch(other, -1) {
		switch {
		case strings.HasSuffix(m[0], "("): // a function with its schema
		case unquoted(m[1]) == alias:
			return usageWeak
		default:
			return usageRuntime
		}
	}
	for open, closing = enclosing(cond, open, closing+1); open >= 0; open, closing = enclosing(cond, open, closing+1) {
		if strings.Contains(outermost(cond[open+1:closing]), " OR ") {
			return usageOr
		}
	}
	return usageBound
}

// enclosing finds the innermost parentheses around s[from:to], or -1.
func enclosing(s string, from, to int) (open, closing int) {
	open, closing = unmatched(s, from-1, -1, '(', ')'), unmatched(s, to, 1, ')', '(')
	if closing < 0 {
		return -1, -1
	}
	return open, closing
}

// unmatched finds a parenthesis without its counterpart between it and from.
func unmatched(s string, from, step int, paren, counterpart byte) int {
	depth := 0
	for i := from; i >= 0 && i < len(s); i += step {
		switch s[i] {
		case counterpart:
			depth++
		case paren:
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// wordBefore is the name that ends right before s[at], if any: a function's.
func wordBefore(s string, at int) string {
	i := strings.LastIndexFunc(s[:at], func(r rune) bool { return strings.ContainsRune(" (),=<>+-*/|", r) })
	return s[i+1 : at]
}

// outermost is s without what is in parentheses.
func outermost(s string) string {
	var b strings.Builder
	depth := 0
	for _, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// keyOf finds the strongest usage of any of the keys by a scan of a leaf.
func keyOf(scan *node, keys []string) (key string, most usage) {
	for _, k := range keys {
		for _, c := range scan.conditions() {
			if u := keyUsage(c, scan.Alias, k); u > most {
				key, most = k, u
			}
		}
	}
	return key, most
}

// mentions says whether a condition above the scan names the key. There the
// columns of an Append carry the alias of one of its children.
func mentions(cond string, scan *node, key string) bool {
	cond = stringLiteral.ReplaceAllString(cond, "''")
	base := aliasSuffix.ReplaceAllString(scan.Alias, "")
	return slices.ContainsFunc(columnRef.FindAllStringSubmatch(cond, -1), func(m []string) bool {
		return unquoted(m[2]) == key && aliasSuffix.ReplaceAllString(unquoted(m[1]), "") == base
	})
}

// equalities are the columns, other than the keys, that the scan compares for
// equality with something known before it starts.
func equalities(scan *node, keys []string) (columns []string) {
	for _, cond := range scan.conditions() {
		cond = stringLiteral.ReplaceAllString(cond, "''")
		for _, m := range columnRef.FindAllStringSubmatchIndex(cond, -1) {
			column := unquoted(cond[m[4]:m[5]])
			if unquoted(cond[m[2]:m[3]]) != scan.Alias || slices.Contains(keys, column) || slices.Contains(columns, column) {
				continue
			}
			rest := cond[m[5]:]
			if !strings.HasPrefix(rest, " = ") || strings.HasPrefix(rest, " = ANY ") {
				continue // an index gives the rows of one value in order, not those of several
			}
			if u := usageAt(cond, m[2], m[5], scan.Alias); u == usageBound || u == usageRuntime {
				columns = append(columns, column)
			}
		}
	}
	return columns
}

// ident quotes where it has to be, for reading.
func ident(name string) string { return pg.Name{Table: name}.String() }

// mentionsAny says whether a condition names a column like this of any alias.
func mentionsAny(cond, column string) bool {
	cond = stringLiteral.ReplaceAllString(cond, "''")
	return slices.ContainsFunc(columnRef.FindAllStringSubmatch(cond, -1), func(m []string) bool {
		return unquoted(m[2]) == column
	})
}
