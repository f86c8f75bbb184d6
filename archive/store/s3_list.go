package store

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// openUpload is a multipart upload that is neither complete nor aborted.
type openUpload struct {
	key, id string
	begun   time.Time
}

// uploads are the open uploads under a prefix in order of their keys. There
// are few: whoever began one and is alive completes or aborts it.
func (b *bucket) uploads(ctx context.Context, prefix string) ([]openUpload, error) {
	var all []openUpload
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: b.full(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.failed(ctx, "list unfinished uploads to "+b.object(prefix), err)
		}
		for _, u := range page.Uploads {
			all = append(all, openUpload{b.short(u.Key), aws.ToString(u.UploadId), aws.ToTime(u.Initiated)})
		}
	}
	slices.SortStableFunc(all, func(x, y openUpload) int {
		return cmp.Or(strings.Compare(x.key, y.key), x.begun.Compare(y.begun))
	})
	return all, nil
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		uploads, err := b.uploads(ctx, prefix)
		if err != nil {
			yield(Info{}, err)
			return
		}
		// before yields the uploads whose keys come before a key.
		before := func(key string) bool {
			for len(uploads) > 0 && uploads[0].key < key {
				if !yield(Info{Key: uploads[0].key, Unfinished: true, Modified: uploads[0].begun}, nil) {
					return false
				}
				uploads = uploads[1:]
			}
			return true
		}
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.full(prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Info{}, b.failed(ctx, "list "+b.object(prefix), err))
				return
			}
			for _, o := range page.Contents {
				key := b.short(o.Key)
				if !before(key) {
					return
				}
				if checkKey(key) != nil {
					continue // not one of ours; consoles make objects like "folder/"
				}
				if !yield(Info{Key: key, Bytes: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
		before("\U0010FFFF") // sorts after every key
	}
}
