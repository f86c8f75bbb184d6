package store

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/archive/store/s3test"
)

// What AWS answers, word for word; a proxy says it in place of the server.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s, direct, p, g := proxied(t)
	there := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		fault s3test.Fault
		class error
		says  []string
	}{
		"denied": {
			s3test.Fault{Status: 403, Body: s3test.Error("AccessDenied", "User: arn:aws:iam::1:user/x is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::b/k\" because no identity-based policy allows the s3:PutObject action")},
			ErrDenied,
			[]string{"AccessDenied", "not authorized", "s3:PutObject in bucket " + s3test.Bucket, "HTTP 403"},
		},
		"denied, not by S3": {
			s3test.Fault{Status: 403, Body: "<html>go away</html>"}, ErrDenied, []string{"Forbidden"},
		},
		"region": {
			s3test.Fault{
				Status: 400, Header: http.Header{"X-Amz-Bucket-Region": {"eu-central-1"}},
				Body: s3test.Error("AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'"),
			},
			ErrRegion,
			[]string{"is in region eu-central-1, not us-east-1", "AWS_REGION=eu-central-1"},
		},
		"region, in the text only": {
			s3test.Fault{Status: 400, Body: s3test.Error("AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'")},
			ErrRegion,
			[]string{"is in region eu-central-1, not us-east-1"},
		},
		"redirect": {
			s3test.Fault{
				Status: 301, Header: http.Header{"X-Amz-Bucket-Region": {"eu-west-2"}},
				Body: s3test.Error("PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."),
			},
			ErrRegion,
			[]string{"eu-west-2"},
		},
		"expired": {
			s3test.Fault{Status: 400, Body: s3test.Error("ExpiredToken", "The provided token has expired.")},
			ErrExpired,
			[]string{"The provided token has expired", "aws sso login"},
		},
		"clock": {
			s3test.Fault{
				Status: 403, Header: http.Header{"Date": {there.Format(http.TimeFormat)}},
				Body: s3test.Error("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
			},
			ErrClock,
			[]string{"here and 2026-01-02T03:04:05Z there", time.Now().UTC().Format("2006-01-02T"), "NTP"},
		},
		"busy": {
			s3test.SlowDown(0), ErrBusy, []string{"SlowDown", "run again later"},
		},
		"busy, not S3": {
			s3test.Fault{Status: 429, Body: ""}, ErrBusy, []string{"Too Many Requests"},
		},
		"broken": {
			s3test.Fault{Status: 500, Body: s3test.Error("InternalError", "We encountered an internal error. Please try again.")},
			ErrUnreachable,
			[]string{"InternalError", "after 2 tries"},
		},
		"broken, not S3": {
			s3test.Fault{Status: 502, Body: "<html>bad gateway</html>"}, ErrUnreachable, []string{"Bad Gateway", "after 2 tries"},
		},
		"no space": {
			s3test.Fault{Status: 507, Body: s3test.Error("XMinioStorageFull", "Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed.")},
			ErrNoSpace,
			[]string{"XMinioStorageFull", "make room"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.fault.Call = "PutObject"
			p.Prepare(tc.fault)
			expect(t, put(t.Context(), s, "key", noise(1, 1000)), tc.class, s, append(tc.says, "key")...)
			if p.Happened() == 0 {
				t.Error("nothing happened")
			}
		})
	}
	empty(t, direct, g)
}

// An answer to HEAD has no body.
func TestAnswersWithoutBody(t *testing.T) {
	t.Parallel()
	s, _, p, _ := proxied(t)
	p.Prepare(s3test.Fault{Call: "HeadObject", Status: 400, Header: http.Header{"X-Amz-Bucket-Region": {"eu-central-1"}}})
	_, err := s.Stat(t.Context(), "key")
	expect(t, err, ErrRegion, s, "eu-central-1")
	p.Prepare(s3test.Fault{Call: "HeadObject", Status: 403})
	_, err = s.Stat(t.Context(), "key")
	expect(t, err, ErrDenied, s, "s3:ListBucket")
}

func TestNoBucket(t *testing.T) {
	t.Parallel()
	g := s3test.Server(t)
	s := open(t, "s3://none-of-this-name/p", Options{Endpoint: g.Endpoint})
	_, err := s.Probe(t.Context())
	expect(t, err, ErrNoBucket, s, "no bucket none-of-this-name", "create the bucket")
	expect(t, put(t.Context(), s, "key", nil), ErrNoBucket, s)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, endpoint := range map[string]string{"refused": "http://127.0.0.1:1", "no such host": "http://" + strings.Repeat("x", 64) + ".invalid"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "s3://bucket/p", Options{Endpoint: endpoint, PathStyle: true})
			_, err := s.Probe(t.Context())
			expect(t, err, ErrUnreachable, s, "no answer", name)
		})
	}
}

// Real refusals, which need other credentials than those of all tests.
func TestCredentials(t *testing.T) { // not parallel: sets variables
	g := s3test.Server(t)
	probe := func(t *testing.T) (Store, error) {
		s := open(t, g.Destination(), Options{Endpoint: g.Endpoint})
		_, err := s.Probe(t.Context())
		return s, err
	}
	t.Run("wrong secret", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		s, err := probe(t)
		expect(t, err, ErrDenied, s, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY")
	})
	t.Run("wrong key", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
		s, err := probe(t)
		expect(t, err, ErrDenied, s, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID")
	})
	t.Run("none", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		s, err := probe(t)
		expect(t, err, ErrDenied, s, "no credentials", "AWS_PROFILE")
	})
}

// A probe that can't clean up says so, and which call it was.
func TestProbeFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	g := s3test.Server(t)
	for _, call := range []string{"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "GetObject", "HeadObject", "ListObjectsV2", "ListMultipartUploads", "DeleteObject"} {
		t.Run(call, func(t *testing.T) {
			p := g.Proxy(t)
			s := open(t, g.Destination(), Options{Endpoint: p.Endpoint})
			p.Prepare(s3test.Fault{Call: call, Status: 403, Body: s3test.Error("AccessDenied", "Access Denied")})
			_, err := s.Probe(t.Context())
			expect(t, err, ErrDenied, s, action(call))
		})
	}
}
