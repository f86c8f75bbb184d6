package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// partSize times the 10,000 parts that an upload can have is 156 GiB.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	partSize = 16 << 20
	maxParts = 10_000

	// mark is the metadata by which an object is known to be that of one call of
	// Create.
	mark = "atlasctl-object"
)

// buffer makes room for a part. What one object needs is kept for the next: the
// collector would let twice as much pile up.
func (b *bucket) buffer() []byte {
	select {
	case buffer := <-b.buffers:
		return buffer[:0]
	default:
		return make([]byte, 0, partSize)
	}
}

// reuse takes a buffer back.
func (b *bucket) reuse(buffer []byte) {
	select {
	case b.buffers <- buffer:
	default: // more than one object is being written
	}
}

// upload is an object that is being written to a bucket: in one request if it
// fits into one part, otherwise as a multipart upload.
type upload struct {
	*bucket

	ctx context.Context //nolint:containedctx // Create's; Write and Abort take none
	key string
	id  string // the mark

	mu     sync.Mutex
	filled []byte     // of the part that comes next; nil after Commit and Abort
	bytes  int64      // handed to Write
	multi  *multipart // nil until the first part is full
	err    error      // of a Write, whose object can't become complete any more
}

func (b *bucket) Create(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, "create "+b.object(key))
	}
	return &upload{bucket: b, ctx: ctx, key: key, id: rand.Text(), filled: b.buffer()}, nil
}

func (u *upload) Write(p []byte) (n int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.filled == nil {
		return 0, errEnded
	}
	for u.err == nil && n < len(p) {
		if len(u.filled) == partSize {
			u.err = u.flush()
			continue
		}
		k := min(len(p)-n, partSize-len(u.filled))
		u.filled = append(u.filled, p[n:n+k]...)
		n += k
		u.bytes += int64(k)
	}
	return n, u.err
}

// flush sends the part that has been filled, and waits for no more than that
// another is done.
func (u *upload) flush() error {
	if u.multi == nil {
		m, err := u.begin()
		if err != nil {
			return err
		}
		u.multi = m
	}
	if err := u.multi.send(u.filled); err != nil {
		return err
	}
	u.filled = u.bucket.buffer()
	return nil
}

// Commit finds out what became of the object if the answer doesn't say.
func (u *upload) Commit(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.filled == nil {
		return errEnded
	}
	what := "put " + u.object(u.key)
	err := u.err
	asked := false // for something that may have been done
	if err == nil {
		err = u.refuse(ctx, what)
	}
	if err == nil {
		asked, err = u.finish(ctx, what)
	}
	if err != nil && asked {
		err = u.settle(ctx, what, err)
	}
	if err != nil {
		err = leaving(err, u.discard())
	}
	u.release()
	return err
}

// refuse looks for an object under the key where the storage would not.
func (u *upload) refuse(ctx context.Context, what string) error {
	if u.conditional() {
		return nil
	}
	if _, err := u.Stat(ctx, u.key); err == nil {
		return taken(what)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// finish sends what is left. The object may exist if asked is true.
func (u *upload) finish(ctx context.Context, what string) (asked bool, err error) {
	if u.multi != nil {
		if len(u.filled) > 0 {
			if err := u.flush(); err != nil {
				return false, err
			}
		}
		return u.multi.complete(ctx, what)
	}
	in := &s3.PutObjectInput{
		Bucket: &u.name, Key: u.full(u.key), Body: bytes.NewReader(u.filled), ContentLength: &u.bytes,
		IfNoneMatch: condition(u.conditional()), Metadata: map[string]string{mark: u.id},
		ServerSideEncryption: u.sse.algorithm, SSEKMSKeyId: u.sse.key,
		ChecksumAlgorithm: u.checksum(),
	}
	if _, err := u.client.PutObject(ctx, in); err != nil {
		return true, u.failed(ctx, what, err)
	}
	return true, nil
}

// conditional says whether the storage refuses a second object under a key.
func (b *bucket) conditional() bool { return b.support.Load() == Usable }

// condition is that of put-if-absent.
func condition(conditional bool) *string {
	if !conditional {
		return nil
	}
	return aws.String("*")
}

// checksum is of the whole object, however many parts it has, so that it can be
// compared with that of a downloaded file.
func (b *bucket) checksum() types.ChecksumAlgorithm {
	if b.plain {
		return ""
	}
	return types.ChecksumAlgorithmCrc64nvme
}

// settle says what a failed request to create the object has done: it may have
// been carried out and its answer lost, and a second try then finds the key
// taken by the first.
func (u *upload) settle(ctx context.Context, what string, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	out, err := u.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &u.name, Key: u.full(u.key)})
	switch {
	case err != nil:
		if err := u.bucket.failed(ctx, what, err); !errors.Is(err, fs.ErrNotExist) && !errors.Is(failed, ErrExists) {
			u.log.WarnContext(ctx, "it is not known whether an object was put", "object", u.object(u.key), "error", err)
		}
		return failed
	case out.Metadata[mark] == u.id && aws.ToInt64(out.ContentLength) == u.bytes:
		u.log.InfoContext(ctx, "an object was put though its answer was lost", "object", u.object(u.key))
		if u.multi != nil { // of which nothing is left
			u.multi.stop()
			u.multi = nil
		}
		return nil
	}
	return taken(what)
}

func (u *upload) Abort() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.filled == nil {
		return nil
	}
	err := u.discard()
	u.release()
	return err
}

// discard leaves nothing in the bucket.
func (u *upload) discard() error {
	if u.multi == nil {
		return nil
	}
	u.multi.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), cleanupTimeout)
	defer cancel()
	return u.abort(ctx, u.key, u.multi.id)
}

// release gives the buffer back.
func (u *upload) release() {
	u.reuse(u.filled)
	u.filled = nil
}
