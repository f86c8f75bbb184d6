package facts

import (
	"slices"
	"strings"
)

const withGrantOption = " WITH GRANT OPTION"

// grants turns the privileges that one grantee has on one object into others. No
// fact stands for those that it has by itself.
func grants(from, to *fact) []string {
	f := to
	if f == nil {
		f = from
	}
	if f.make == nil {
		return nil // by another role than the owner, in whose name we don't grant
	}
	on, grantee, standard, head, columns := f.make[0], f.make[1], f.make[2], f.make[3], f.make[4]
	have, want := standard, standard
	if from != nil {
		have = from.value
	}
	if to != nil {
		want = to.value
	}
	had, wanted := privileges(have), privileges(want)
	var revoke, revokeOption, grant, grantOption []string
	for _, p := range wanted {
		name, option := strings.CutSuffix(p, withGrantOption)
		switch {
		case slices.Contains(had, p):
		case option:
			grantOption = append(grantOption, name+columns)
		case slices.Contains(had, p+withGrantOption):
			revokeOption = append(revokeOption, name+columns)
		default:
			grant = append(grant, name+columns)
		}
	}
	for _, p := range had {
		if name, _ := strings.CutSuffix(p, withGrantOption); !slices.Contains(wanted, name) && !slices.Contains(wanted, name+withGrantOption) {
			revoke = append(revoke, name+columns)
		}
	}
	var sql []string
	add := func(privileges []string, before, after string) {
		if privileges != nil {
			sql = append(sql, head+before+strings.Join(privileges, ", ")+" "+on+after)
		}
	}
	add(revoke, "REVOKE ", " FROM "+grantee)
	add(revokeOption, "REVOKE GRANT OPTION FOR ", " FROM "+grantee)
	add(grant, "GRANT ", " TO "+grantee)
	add(grantOption, "GRANT ", " TO "+grantee+withGrantOption)
	return sql
}

func privileges(value string) []string {
	if value == "none" {
		return nil
	}
	return strings.Split(value, ", ")
}
