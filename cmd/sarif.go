package cmd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sourceURL   = "https://github.com/atlasctl/atlasctl"
	manualURL   = sourceURL + "/blob/main/docs/migrate-check.md"
)

// The part of SARIF 2.1.0 that GitHub's code scanning reads, and no more. What
// it wants to be there, and not to be empty, is always written.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string      `json:"id"`
		ShortDescription     sarifText   `json:"shortDescription"`
		FullDescription      sarifText   `json:"fullDescription"`
		HelpURI              string      `json:"helpUri"`
		Help                 sarifText   `json:"help"`
		DefaultConfiguration sarifConfig `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		Message             sarifText          `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		PartialFingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions        []sarifSuppression `json:"suppressions"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
		EndLine   int `json:"endLine,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// writeSARIF writes findings for code scanning. An empty list of results closes
// the alerts of the last run, so it is written too.
func writeSARIF(w io.Writer, version string, rules []check.Rule, findings []check.Finding) error {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "atlasctl", Version: version, InformationURI: sourceURL, Rules: []sarifRule{}}},
		Results: []sarifResult{},
	}
	index := map[string]int{}
	for i, r := range rules {
		index[r.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(r))
	}
	seen := map[string]int{}
	for _, f := range findings {
		i, ok := index[f.ID]
		if !ok {
			return fmt.Errorf("write SARIF: %s is no rule", f.ID)
		}
		run.Results = append(run.Results, sarifResultOf(f, i, seen))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifRuleOf(r check.Rule) sarifRule {
	uri := manualURL + "#" + strings.ToLower(r.ID)
	text, markdown := r.Why, r.Why
	if r.Fix != "" {
		text += "\n\nfix: " + r.Fix
		markdown += "\n\n**Fix:** " + r.Fix
	}
	return sarifRule{
		ID: r.ID, ShortDescription: sarifText{Text: r.Title}, FullDescription: sarifText{Text: r.Why},
		HelpURI: uri, Help: sarifText{Text: text, Markdown: markdown + "\n\n[" + r.ID + "](" + uri + ")"},
		DefaultConfiguration: sarifConfig{sarifLevel(r.Severity)},
	}
}

func sarifResultOf(f check.Finding, rule int, seen map[string]int) sarifResult {
	// GitHub shows nothing without a file and a line.
	location := sarifPhysical{sarifArtifact{"."}, sarifRegion{StartLine: 1}}
	if f.File != "" {
		location.ArtifactLocation.URI = (&url.URL{Path: f.File}).String()
	}
	if f.Line > 0 {
		location.Region = sarifRegion{StartLine: f.Line, EndLine: f.EndLine}
	}
	r := sarifResult{
		RuleID: f.ID, RuleIndex: rule, Level: sarifLevel(f.Severity), Message: sarifText{Text: withFix(f)},
		Locations:           []sarifLocation{{location}},
		PartialFingerprints: fingerprints(f, seen),
		// Either all results of a run have this or none; empty says that it counts.
		Suppressions: []sarifSuppression{},
	}
	if f.IsAllowed() {
		r.Suppressions = append(r.Suppressions, sarifSuppression{Kind: "inSource", Justification: f.Allowed})
	}
	return r
}

// fingerprints say that two findings of two runs are the same, also when lines
// were added above. seen counts the findings that differ in nothing else.
//
// GitHub goes by primaryLocationLineHash alone. upload-sarif computes it from
// the file, and warns about each other value that it finds there. Only where
// there is no file it can't, so there, and nowhere else, it is ours.
// https://github.com/github/codeql-action/blob/main/src/fingerprints.ts
func fingerprints(f check.Finding, seen map[string]int) map[string]string {
	name, what := "atlasctlStatementHash/v1", strings.Join(strings.Fields(f.Statement), " ")
	if f.File == "" {
		name, what = "primaryLocationLineHash", f.Object // in a file, the object is the line
	}
	same := strings.Join([]string{f.ID, f.File, what}, "\x00")
	seen[same]++
	sum := sha256.Sum256([]byte(same + "\x00" + strconv.Itoa(seen[same])))
	return map[string]string{name: hex.EncodeToString(sum[:])}
}

func sarifLevel(s pg.Severity) string {
	switch s {
	case pg.Error:
		return "error"
	case pg.Warn:
		return "warning"
	default:
		return "note"
	}
}

// withFix is what a finding says, for where its place is said elsewhere.
func withFix(f check.Finding) string {
	if f.Fix == "" {
		return f.Message
	}
	return f.Message + "\nfix: " + f.Fix
}
