package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// inFlight parts are sent at the same time: while one waits for its answer, the
// other uses the line.
const inFlight = 2

// multipart is an open multipart upload.
type multipart struct {
	*bucket

	key, id string
	tries   int // that it took to begin
	parts   chan part
	end     func() // closes parts, once
	running sync.WaitGroup

	// ctx ends with the caller's, and with the first part that fails, which is
	// then its cause.
	ctx    context.Context //nolint:containedctx // that of the workers
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	sent  []types.CompletedPart
	begun int32 // parts handed to the workers
}

// part is a part on its way; who has it gives its buffer back.
type part struct {
	number int32 // from 1
	buffer []byte
}

// begin opens the upload. If its answer is lost it stays open: it is listed as
// unfinished, and removed like what a killed process has left.
func (u *upload) begin() (*multipart, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &u.name, Key: u.full(u.key), Metadata: map[string]string{mark: u.id},
		ServerSideEncryption: u.sse.algorithm, SSEKMSKeyId: u.sse.key,
		ChecksumAlgorithm: u.checksum(),
	}
	if !u.plain {
		in.ChecksumType = types.ChecksumTypeFullObject
	}
	out, err := u.client.CreateMultipartUpload(u.ctx, in)
	if err != nil {
		return nil, u.failed(u.ctx, "begin "+u.object(u.key), err)
	}
	m := &multipart{bucket: u.bucket, key: u.key, id: aws.ToString(out.UploadId), parts: make(chan part)}
	if results, ok := retry.GetAttemptResults(out.ResultMetadata); ok {
		m.tries = len(results.Results)
	}
	m.end = sync.OnceFunc(func() { close(m.parts) })
	m.ctx, m.cancel = context.WithCancelCause(u.ctx)
	for range inFlight {
		m.running.Go(m.work)
	}
	return m, nil
}

// send hands a part to the next worker that is free, and with it the buffer;
// after an error the caller still has it.
func (m *multipart) send(buffer []byte) error {
	if m.begun == maxParts {
		return fmt.Errorf("put %s: has more than %d parts of %s", m.object(m.key), maxParts, sized(partSize))
	}
	select {
	case m.parts <- part{m.begun + 1, buffer}:
		m.begun++
		return nil
	case <-m.ctx.Done():
		return m.cause()
	}
}

// cause is why there is no point in going on.
func (m *multipart) cause() error {
	err := context.Cause(m.ctx)
	if err != nil && err == m.ctx.Err() { //nolint:errorlint // no part failed: the caller's context ended
		return ended(m.ctx, "put "+m.object(m.key))
	}
	return err
}

func (m *multipart) work() {
	for p := range m.parts {
		if m.ctx.Err() == nil {
			if err := m.put(p); err != nil {
				m.cancel(err)
			}
		}
		m.reuse(p.buffer)
	}
}

func (m *multipart) put(p part) error {
	out, err := m.client.UploadPart(m.ctx, &s3.UploadPartInput{
		Bucket: &m.name, Key: m.full(m.key), UploadId: &m.id, PartNumber: &p.number,
		Body: bytes.NewReader(p.buffer), ContentLength: aws.Int64(int64(len(p.buffer))),
		ChecksumAlgorithm: m.checksum(),
	})
	if err != nil {
		return m.failed(m.ctx, fmt.Sprintf("put part %d of %s", p.number, m.object(m.key)), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, types.CompletedPart{ETag: out.ETag, PartNumber: &p.number, ChecksumCRC64NVME: out.ChecksumCRC64NVME})
	return nil
}

// complete waits for the parts and makes them an object, which may exist if
// asked is true.
func (m *multipart) complete(ctx context.Context, what string) (asked bool, err error) {
	m.end()
	forget := context.AfterFunc(ctx, func() { m.cancel(ended(ctx, what)) })
	m.running.Wait()
	forget()
	if err := m.cause(); err != nil {
		return false, err
	}
	if err := m.join(ctx, what, m.conditional()); err != nil {
		return true, err
	}
	m.cancel(nil)
	if m.tries > 1 {
		m.sweep(ctx)
	}
	return true, nil
}

// join makes the parts that were sent an object.
func (m *multipart) join(ctx context.Context, what string, conditional bool) error {
	slices.SortFunc(m.sent, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &m.name, Key: m.full(m.key), UploadId: &m.id, IfNoneMatch: condition(conditional),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: m.sent},
	}
	if !m.plain {
		in.ChecksumType = types.ChecksumTypeFullObject
	}
	if _, err := m.client.CompleteMultipartUpload(ctx, in); err != nil {
		return m.failed(ctx, what, err)
	}
	return nil
}

// sweep removes the uploads that were begun by tries of begin whose answers got
// lost. Whoever else has one under this key can't complete it any more.
func (m *multipart) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := m.abortAll(ctx, m.key); err != nil {
		m.log.WarnContext(ctx, "an unfinished upload may be left", "object", m.object(m.key), "error", err)
	}
}

// stop ends the workers, so that no part arrives after the upload's end.
func (m *multipart) stop() {
	m.cancel(errEnded)
	m.end()
	m.running.Wait()
}

// abortAll removes every open upload under a key.
func (b *bucket) abortAll(ctx context.Context, key string) error {
	uploads, err := b.uploads(ctx, key)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if u.key != key { // begins with it
			continue
		}
		b.log.InfoContext(ctx, "remove an unfinished upload", "object", b.object(key), "upload", u.id)
		if err := b.abort(ctx, key, u.id); err != nil {
			return err
		}
	}
	return nil
}

// abort removes an open upload. There may be none.
func (b *bucket) abort(ctx context.Context, key, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: b.full(key), UploadId: &id})
	if err != nil {
		if err := b.failed(ctx, "abort the upload of "+b.object(key), err); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
