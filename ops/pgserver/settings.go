package pgserver

import (
	"fmt"
	"maps"
	"slices"
)

// defaults are the settings of every server; Options.Settings goes over them.
//
// synchronous_commit stays on: without fsync it costs one write to the page
// cache, and it is what lets commits survive Crash.
var defaults = map[string]string{
	"fsync":                     "off",
	"full_page_writes":          "off",
	"max_connections":           "100",
	"max_prepared_transactions": "10",
	"shared_buffers":            "128MB",
	"wal_level":                 "logical",
	"timezone":                  "UTC",
	"log_timezone":              "UTC",
}

// reserved settings are the ones that URL and the log depend on.
var reserved = []string{
	"data_directory", "hba_file", "listen_addresses", "logging_collector", "port", "unix_socket_directories",
}

// settingArgs returns `-c name=value` for the defaults and what goes over them.
func settingArgs(over map[string]string) ([]string, error) {
	all := maps.Clone(defaults)
	for name, value := range over {
		if slices.Contains(reserved, name) {
			return nil, fmt.Errorf("setting %s is not the caller's", name)
		}
		all[name] = value
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args, nil
}
