package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// credentialsError is about credentials that were not to be had.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "find credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// named marks the errors of a provider, which look like any other otherwise.
func named(p aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := p.Retrieve(ctx)
		if err != nil {
			return c, &credentialsError{err}
		}
		return c, nil
	})
}

// answer is a server's error.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
type answer struct {
	status        int
	code, message string
	header        http.Header
}

func (a answer) String() string {
	s := fmt.Sprintf("%s (HTTP %d", a.code, a.status)
	if a.message != "" && a.message != a.code {
		s = fmt.Sprintf("%s: %s (HTTP %d", a.code, a.message, a.status)
	}
	if id := a.header.Get("X-Amz-Request-Id"); id != "" {
		s += ", request " + id
	}
	return s + ")"
}

// failed classifies what the client says about a call; what names the call and
// the object.
func (b *bucket) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ended(ctx, what)
	}
	tries := ""
	if e, ok := errors.AsType[*retry.MaxAttemptsError](err); ok {
		tries = fmt.Sprintf(", after %d tries", e.Attempt)
	}
	if e, ok := errors.AsType[*credentialsError](err); ok {
		return noCredentials(what, e)
	}
	if a, ok := answerIn(err); ok {
		if a.missing() {
			return missing(what)
		}
		if a.code == "PreconditionFailed" {
			return taken(what)
		}
		text, hint, class := b.meaning(operation(err), a)
		f := &failure{class, what + ": " + text + tries, err}
		if hint == "" {
			return f
		}
		return pg.WithHint(f, hint)
	}
	cause, ok := unanswered(err)
	if ok {
		return pg.WithHint(&failure{ErrUnreachable, fmt.Sprintf("%s: no answer: %v%s", what, cause, tries), err},
			"check the endpoint, the network and the server, then run again")
	}
	return &failure{nil, fmt.Sprintf("%s: %v", what, innermost(err)), err}
}

func answerIn(err error) (answer, bool) {
	var a answer
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.HTTPResponse() != nil {
		a.status, a.header = e.HTTPStatusCode(), e.HTTPResponse().Header
	}
	e, ok := errors.AsType[smithy.APIError](err)
	if ok {
		a.code, a.message = e.ErrorCode(), e.ErrorMessage()
	} else if a.status >= http.StatusMultipleChoices { // an answer that is not S3's, as a proxy's
		a.code, ok = http.StatusText(a.status), true
	}
	return a, ok
}

// missing: there is no such object or upload.
func (a answer) missing() bool {
	return a.code == "NoSuchKey" || a.code == "NotFound" || a.code == "NoSuchUpload"
}

// meaning is what an answer to a call says in words, what to do, and the class
// of the error, nil for one that calls for no remedy of its own.
func (b *bucket) meaning(operation string, a answer) (text, hint string, class error) {
	switch a.code {
	case "NoSuchBucket":
		return "there is no bucket " + b.name, "create the bucket, or correct the destination, the endpoint or the account", ErrNoBucket
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return a.String(), "renew the credentials (aws sso login, or a new AWS_SESSION_TOKEN), then run again", ErrExpired
	case "RequestTimeTooSkewed":
		return a.String() + clocks(a), "set this machine's clock (NTP), then run again", ErrClock
	case "XMinioStorageFull", "QuotaExceeded", "InsufficientStorage":
		return a.String(), "make room on the server or raise the quota, then run again", ErrNoSpace
	case "NotImplemented":
		return a.String(), "the server lacks something that S3 has; if that is checksums, ask for them only when required", nil
	case "SignatureDoesNotMatch":
		return a.String(), "the secret key is not that of the access key: check AWS_SECRET_ACCESS_KEY, or the profile", ErrDenied
	case "InvalidAccessKeyId":
		return a.String(), "the access key is not known there: check AWS_ACCESS_KEY_ID, or the profile, and the endpoint", ErrDenied
	}
	if region, ok := b.otherRegion(a); ok {
		if region == "" {
			return fmt.Sprintf("the bucket is not in region %s: %s", b.region, a), "give the region of the bucket", ErrRegion
		}
		return fmt.Sprintf("the bucket is in region %s, not %s", region, b.region), "give the region " + region + " (AWS_REGION=" + region + ")", ErrRegion
	}
	_, throttled := retry.DefaultThrottleErrorCodes[a.code]
	switch {
	case throttled, a.status == http.StatusServiceUnavailable, a.status == http.StatusTooManyRequests:
		return a.String(), "run again later, when the server has less to do", ErrBusy
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return a.String(), "let the user of these credentials do " + action(operation) + " in bucket " + b.name, ErrDenied
	case a.status == http.StatusInsufficientStorage:
		return a.String(), "make room on the server or raise the quota, then run again", ErrNoSpace
	case a.code == "RequestTimeout": // HTTP 400: the data came too slowly
		return a.String(), "check the network, then run again", ErrUnreachable
	case a.status >= http.StatusInternalServerError:
		return "the server is broken: " + a.String(), "look at the server, then run again", ErrUnreachable
	}
	return a.String(), "", nil
}

// actions are the permissions that calls need, if they aren't called the same.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var actions = map[string]string{
	"HeadObject":              "s3:GetObject and s3:ListBucket",
	"ListObjectsV2":           "s3:ListBucket",
	"ListMultipartUploads":    "s3:ListBucketMultipartUploads",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
}

func action(operation string) string {
	if a, ok := actions[operation]; ok {
		return a
	}
	return "s3:" + operation
}

func operation(err error) string {
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		return e.OperationName
	}
	return ""
}

var expecting = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// otherRegion says whether an answer is about the region, and which is right
// if it tells.
func (b *bucket) otherRegion(a answer) (string, bool) {
	region := a.header.Get("X-Amz-Bucket-Region")
	if m := expecting.FindStringSubmatch(a.message); region == "" && m != nil {
		region = m[1]
	}
	redirected := slices.Contains([]int{http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}, a.status)
	// An answer to HEAD has no body: 400 and the header is all there is.
	elsewhere := a.status == http.StatusBadRequest && region != "" && region != b.region
	return region, redirected || elsewhere
}

// clocks is what the two clocks show.
func clocks(a answer) string {
	here := time.Now().UTC().Format(time.RFC3339)
	there, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return ": it is " + here + " here"
	}
	return ": it is " + here + " here and " + there.UTC().Format(time.RFC3339) + " there"
}

func noCredentials(what string, err *credentialsError) error {
	if _, ok := errors.AsType[*ssocreds.InvalidTokenError](err); ok {
		return pg.WithHint(&failure{ErrExpired, what + ": the SSO session has expired or is not there", err}, "run aws sso login, then run again")
	}
	if a, ok := answerIn(err.err); ok && (a.code == "ExpiredToken" || a.code == "ExpiredTokenException") {
		return pg.WithHint(&failure{ErrExpired, what + ": find credentials: " + a.String(), err}, "renew the credentials, then run again")
	}
	return pg.WithHint(&failure{ErrDenied, fmt.Sprintf("%s: there are no credentials: %v", what, innermost(err)), err},
		"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role")
}

// unanswered is why there was no answer, or only the beginning of one.
func unanswered(err error) (error, bool) {
	if e, ok := errors.AsType[*url.Error](err); ok { // says the whole URL
		return e.Err, true
	}
	if e, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return e.Err, true
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e, true
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the connection was closed in the middle"), true
	}
	return nil, false
}

// innermost takes off what the client has wrapped around an error: the call,
// which is said already.
func innermost(err error) error {
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		return e.Err
	}
	return err
}
