package pqfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// signature begins every COPY (FORMAT binary) stream; int32 flags and int32
// length of an extension follow, both 0 since PostgreSQL 12, which dropped OIDs.
// https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
const (
	signature = "PGCOPY\n\xff\r\n\x00"
	header    = signature + "\x00\x00\x00\x00\x00\x00\x00\x00"
	trailer   = "\xff\xff"
)

// errCut is a stream that ends before its trailer: rows may be missing.
var errCut = errors.New("COPY stream ends before its trailer")

// stream cuts a COPY (FORMAT binary) stream into tuples, whatever pieces it
// comes in. The server sends one tuple a message, so nearly always none of it
// is copied.
type stream struct {
	columns int
	// each takes a tuple, and its values as slices of it, nil for NULL. Neither
	// is to be kept.
	each func(tuple []byte, values [][]byte) error

	begun, ended bool
	carry        []byte // of a tuple that is not complete
	need         int    // how long carry must at least be to get on
	values       [][]byte
}

func newStream(columns int, each func([]byte, [][]byte) error) *stream {
	return &stream{columns: columns, each: each, values: make([][]byte, columns)}
}

// Write takes the next piece. Errors: what is no such stream, and each's.
func (s *stream) Write(p []byte) (int, error) {
	in := p
	if len(s.carry) > 0 {
		s.carry = append(s.carry, p...)
		if len(s.carry) < s.need {
			return len(p), nil
		}
		in = s.carry
	}
	rest, err := s.cut(in)
	if err != nil {
		return 0, err
	}
	switch {
	case len(s.carry) == 0:
		s.carry = append(s.carry, rest...)
	case len(rest) == 0 && cap(s.carry) > maxSpare:
		s.carry = nil
	default:
		s.carry = s.carry[:copy(s.carry, rest)]
	}
	return len(p), nil
}

// maxSpare is how large a buffer may be that is kept for the next row.
const maxSpare = 4 << 20

// cut hands on the complete tuples at the head of in and returns what is left.
func (s *stream) cut(in []byte) ([]byte, error) {
	if !s.begun {
		if len(in) < len(header) {
			s.need = len(header)
			return in, nil
		}
		if string(in[:len(header)]) != header {
			return nil, errors.New("not a COPY binary stream as PostgreSQL 12 and newer send it")
		}
		s.begun, in = true, in[len(header):]
	}
	for len(in) > 0 {
		if s.ended {
			return nil, errors.New("COPY stream goes on after its trailer")
		}
		size, err := s.tuple(in)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return in, nil
		}
		if !s.ended {
			if err := s.each(in[:size], s.values); err != nil {
				return nil, err
			}
		}
		in = in[size:]
	}
	return nil, nil
}

// tuple finds the values of the tuple at the head of in and returns its size, 0
// if it is not complete. The trailer takes the place of a tuple.
func (s *stream) tuple(in []byte) (int, error) {
	if s.need = 2; len(in) < s.need {
		return 0, nil
	}
	n := int(int16(binary.BigEndian.Uint16(in)))
	if n == -1 {
		s.ended = true
		return 2, nil
	}
	if n != s.columns {
		return 0, fmt.Errorf("a tuple of the COPY stream has %d columns instead of %d", n, s.columns)
	}
	at := 2
	for i := range s.values {
		if s.need = at + 4; len(in) < s.need {
			return 0, nil
		}
		length := int(int32(binary.BigEndian.Uint32(in[at:])))
		at += 4
		if length < 0 {
			if length != -1 {
				return 0, fmt.Errorf("a value of the COPY stream has length %d", length)
			}
			s.values[i] = nil
			continue
		}
		if s.need = at + length; len(in) < s.need {
			return 0, nil
		}
		s.values[i] = in[at : at+length : at+length]
		at += length
	}
	return at, nil
}

// finish says whether the stream was whole.
func (s *stream) finish() error {
	if !s.ended || len(s.carry) > 0 {
		return errCut
	}
	return nil
}

// Summer is the checksum of a COPY (FORMAT binary) stream that is not kept.
type Summer struct {
	stream *stream
	sum    Sum
}

var _ io.Writer = (*Summer)(nil)

// NewSummer takes the stream of a COPY of [Schema.SelectList].
func NewSummer(s Schema) *Summer {
	m := new(Summer)
	m.stream = newStream(len(s.Columns), func(tuple []byte, _ [][]byte) error {
		m.sum.Add(tuple)
		return nil
	})
	return m
}

// Write takes the next piece of the stream, of any size.
func (m *Summer) Write(p []byte) (int, error) { return m.stream.Write(p) }

// Sum is the checksum, or an error if the stream was cut.
func (m *Summer) Sum() (Sum, error) { return m.sum, m.stream.finish() }
