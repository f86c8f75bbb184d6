package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// How long a bucket is waited for. The pauses between the tries double, from a
// second if the server is too busy and else from 50 ms, up to 20 s: ten tries
// take a minute or two when it is busy, some ten seconds when nobody is there.
// AWS_MAX_ATTEMPTS and AWS_RETRY_MODE say otherwise. A probe, for which somebody
// waits, gives up sooner.
const (
	attempts      = 10
	probeAttempts = 4
	dialTimeout   = 10 * time.Second
	// answerTimeout is from the end of a request to the beginning of its answer.
	answerTimeout = 2 * time.Minute
)

// bucket is a [Store]. The object under a key is prefix/key.
type bucket struct {
	client *s3.Client
	name   string
	prefix string // "", or ends with '/'
	region string
	sse    sse
	log    *slog.Logger

	plain   bool          // no checksums
	support *atomic.Value // Support
	buffers chan []byte   // parts that were sent, for the next ones
}

// sse is the encryption that is asked for; its zero value is what the bucket
// does by itself.
type sse struct {
	algorithm types.ServerSideEncryption
	key       *string
}

func parseSSE(s string) (sse, error) {
	key, isKey := strings.CutPrefix(s, "aws:kms:")
	switch {
	case s == "", s == string(types.ServerSideEncryptionAes256), s == string(types.ServerSideEncryptionAwsKms):
		return sse{algorithm: types.ServerSideEncryption(s)}, nil
	case isKey && key != "":
		return sse{types.ServerSideEncryptionAwsKms, &key}, nil
	}
	return sse{}, pg.Usagef("server-side encryption %q: not AES256, aws:kms, or aws:kms: and a key", s)
}

// bucketName is what S3 allows; other servers allow no more.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func openBucket(ctx context.Context, rest string, o Options) (Store, error) {
	name, prefix, _ := strings.Cut(rest, "/")
	if strings.Contains(name, "@") {
		return nil, pg.WithHint(pg.Usagef("destination s3://…: has a user before the bucket"),
			"credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the machine's role")
	}
	if !bucketName.MatchString(name) {
		return nil, pg.Usagef("destination s3://%.70s: %q can't be the name of a bucket", name, name)
	}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		if err := checkKey(prefix); err != nil {
			return nil, fmt.Errorf("destination s3://%s: %w", name, err)
		}
		prefix += "/"
	}
	encryption, err := parseSSE(o.SSE)
	if err != nil {
		return nil, err
	}
	client, err := newClient(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("destination s3://%s: %w", name, err)
	}
	b := &bucket{
		client: client, name: name, prefix: prefix, region: client.Options().Region, sse: encryption, log: o.Log,
		plain:   client.Options().RequestChecksumCalculation == aws.RequestChecksumCalculationWhenRequired,
		support: new(atomic.Value), buffers: make(chan []byte, inFlight+1),
	}
	b.support.Store(Usable) // until a probe knows better
	return b, nil
}

func newClient(ctx context.Context, o Options) (*s3.Client, error) {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = answerTimeout
	}).WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(transport),
		config.WithLogger(logging.LoggerFunc(func(level logging.Classification, format string, args ...any) {
			o.Log.DebugContext(context.WithoutCancel(ctx), "s3: "+fmt.Sprintf(format, args...), "sdk_level", string(level))
		})),
	}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	if o.ChecksumWhenRequired {
		options = append(options,
			config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
			config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, pg.Usagef("read the AWS configuration: %w", err)
	}
	if cfg.RetryMaxAttempts == 0 {
		cfg.RetryMaxAttempts = attempts
	}
	cfg.Credentials = named(cfg.Credentials)
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.User != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, pg.Usagef("the endpoint is not http(s)://server[:port]") // not printed: it may hold a password
		}
	}
	client := s3.NewFromConfig(cfg, func(s *s3.Options) {
		if o.Endpoint != "" {
			s.BaseEndpoint = &o.Endpoint
		}
		s.UsePathStyle = o.PathStyle
		if s.BaseEndpoint != nil && s.Region == "" {
			s.Region = "us-east-1" // what servers that have no regions are called
		}
	})
	if client.Options().Region == "" {
		return nil, pg.WithHint(pg.Usagef("the region is not known"), "give it, or set AWS_REGION")
	}
	return client, nil
}

func (b *bucket) String() string {
	return strings.TrimSuffix("s3://"+b.name+"/"+b.prefix, "/")
}

// object is an object's name for people.
func (b *bucket) object(key string) string { return b.String() + "/" + key }

// full is a key in the bucket, and short the way back.
func (b *bucket) full(key string) *string { return aws.String(b.prefix + key) }

func (b *bucket) short(key *string) string { return strings.TrimPrefix(aws.ToString(key), b.prefix) }

func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	what := "get " + b.object(key)
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.full(key)})
	if err != nil {
		return nil, b.failed(ctx, what, err)
	}
	return &body{ReadCloser: out.Body, failed: func(err error) error { return b.failed(ctx, what, err) }}, nil
}

// body is an object that is being read.
type body struct {
	io.ReadCloser

	failed func(error) error
}

func (r *body) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract
		err = r.failed(err)
	}
	return n, err
}

func (b *bucket) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: b.full(key)})
	if err != nil {
		return Info{}, b.failed(ctx, "stat "+b.object(key), err)
	}
	return Info{Key: key, Bytes: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// Remove leaves a delete marker where the bucket keeps versions.
func (b *bucket) Remove(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	what := "remove " + b.object(key)
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: b.full(key)}); err != nil {
		return b.failed(ctx, what, err)
	}
	return b.abortAll(ctx, key)
}

// Free: a bucket has no end.
func (*bucket) Free(context.Context) (int64, bool, error) { return 0, false, nil }

// quick is the same bucket for somebody who waits.
func (b *bucket) quick() *bucket {
	q := *b
	options := b.client.Options()
	options.RetryMaxAttempts = min(options.RetryMaxAttempts, probeAttempts)
	q.client = s3.New(options)
	return &q
}
