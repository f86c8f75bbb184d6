package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// cleanupTimeout bounds what is still done after the caller's context ended.
const cleanupTimeout = 30 * time.Second

// probeKey is a key that nobody else uses.
func probeKey() string { return "atlasctl-probe-" + rand.Text() }

// rehearse does once with a small object what is done with every other one:
// put, refuse a second, stat, list, get, remove. It leaves nothing behind.
func rehearse(ctx context.Context, s Store) (err error) {
	key, content := probeKey(), []byte("atlasctl was here, and did not clean up\n")
	removed := false
	defer func() {
		if removed {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if e := s.Remove(ctx, key); e != nil && err == nil {
			err = e
		}
	}()

	if err := put(ctx, s, key, content); err != nil {
		return err
	}
	if err := put(ctx, s, key, content); err == nil {
		return fmt.Errorf("put %s of %s a second time: it was overwritten", key, s)
	} else if !errors.Is(err, ErrExists) {
		return err
	}
	info, err := s.Stat(ctx, key)
	if err != nil {
		return err
	}
	if info.Bytes != int64(len(content)) {
		return fmt.Errorf("stat %s of %s: has %d bytes of %d", key, s, info.Bytes, len(content))
	}
	listed := 0
	for info, err := range s.List(ctx, key) {
		if err != nil {
			return err
		}
		if info.Key == key && !info.Unfinished {
			listed++
		}
	}
	if listed != 1 {
		return fmt.Errorf("list %s: shows an object %d times that was just put and can be read", s, listed)
	}
	got, err := read(ctx, s, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, content) {
		return fmt.Errorf("get %s of %s: is not what was put", key, s)
	}
	if err := s.Remove(ctx, key); err != nil {
		return err
	}
	removed = true
	if _, err := s.Stat(ctx, key); err == nil {
		return fmt.Errorf("remove %s of %s: it is still there", key, s)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func put(ctx context.Context, s Store, key string, content []byte) error {
	o, err := s.Create(ctx, key)
	if err != nil {
		return err
	}
	if _, err := o.Write(content); err != nil {
		return leaving(err, o.Abort())
	}
	return o.Commit(ctx)
}

func read(ctx context.Context, s Store, key string) ([]byte, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
