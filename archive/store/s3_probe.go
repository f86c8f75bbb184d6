package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Probe finds out what a condition on put and on complete does, by trying, and
// then goes through everything once.
func (b *bucket) Probe(ctx context.Context) (Capabilities, error) {
	what := "probe " + b.String()
	q := b.quick()
	support, err := q.tryCondition(ctx)
	if err != nil {
		return Capabilities{}, fmt.Errorf("%s: %w", what, err)
	}
	b.support.Store(support) // q's as well
	if err := rehearse(ctx, q); err != nil {
		return Capabilities{}, fmt.Errorf("%s: %w", what, err)
	}
	return Capabilities{PutIfAbsent: support}, nil
}

// tryCondition puts twice under one key in one request, and again in parts.
func (b *bucket) tryCondition(ctx context.Context) (_ Support, err error) {
	key := probeKey()
	defer func() {
		if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDenied) {
			return // as the removal would be
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if e := b.Remove(ctx, key); e != nil && err == nil {
			err = e
		}
	}()

	support := Usable
	if err = b.putPlainly(ctx, key); err == nil {
		err = b.putPlainly(ctx, key)
	}
	switch {
	case err == nil:
		support = Ignored
	case isAbsent(err):
		support = Absent
	case !errors.Is(err, ErrExists):
		return "", err
	}
	return b.tryParts(ctx, key, support)
}

// putPlainly puts with the condition, and takes the answer as it is.
func (b *bucket) putPlainly(ctx context.Context, key string) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.full(key), Body: bytes.NewReader(nil), IfNoneMatch: condition(true),
		ServerSideEncryption: b.sse.algorithm, SSEKMSKeyId: b.sse.key, ChecksumAlgorithm: b.checksum(),
	})
	if err != nil {
		return b.failed(ctx, "put "+b.object(key), err)
	}
	return nil
}

// tryParts completes an upload under a key that is taken, with the condition if
// put has it. Some servers have it on put only.
func (b *bucket) tryParts(ctx context.Context, key string, support Support) (Support, error) {
	u := &upload{bucket: b, ctx: ctx, key: key, id: rand.Text()}
	m, err := u.begin()
	if err != nil {
		return "", err
	}
	u.multi = m
	if err = m.put(part{number: 1, buffer: []byte("a part\n")}); err == nil {
		err = m.join(ctx, "put "+b.object(key)+" in parts", support == Usable)
	}
	left := u.discard()
	switch {
	case err == nil && support == Usable:
		return Ignored, left
	case err == nil, errors.Is(err, ErrExists) && support == Usable:
		return support, left
	case isAbsent(err) && support == Usable:
		return Absent, left
	}
	return "", leaving(err, left)
}

// isAbsent says that the server doesn't know the condition.
func isAbsent(err error) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && e.ErrorCode() == "NotImplemented"
}
