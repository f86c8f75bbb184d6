//go:build !unix

package pg

import "errors"

// DiskFree is not known here.
func DiskFree(string) (int64, error) { return 0, errors.ErrUnsupported }
