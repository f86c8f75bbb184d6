// Package store knows where archive files lie: in a directory, or in a bucket
// of S3-compatible storage.
//
// In reading order: store.go is what a [Store] promises and how one is opened,
// key.go what a key is, errors.go the ways in which a store fails, probe.go the
// rehearsal before anything is started. dir.go, dir_object.go and dir_list.go
// are the directory; s3.go, s3_object.go, s3_multipart.go, s3_list.go and
// s3_probe.go the bucket, s3_errors.go what its answers mean.
//
// Invariants:
//
//   - What is not committed is not visible under its key. What is committed is
//     durable: in a directory synced, with every directory made for it.
//   - An object is never overwritten or changed. Where the storage itself can't
//     promise that ([Capabilities]), keys that are never used twice have to.
//   - An object that was begun and neither committed nor aborted, because the
//     process died, is listed as unfinished and can be removed.
//   - An answer that got lost is asked for again: [Object.Commit] fails with
//     [ErrExists] only if the object is another's.
//   - No error, and no name of a destination, holds a secret.
//
// Memory: an object written to a bucket needs three parts of 16 MiB, which its
// store keeps for the next one.
package store
