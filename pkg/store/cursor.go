package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// A cursor is base64url of a checksum and a JSON array: the values of the ordering fields, then the id. The checksum covers
// the query, so that a cursor of another query, organization or collection is refused like a damaged one. It is no secret:
// a forged cursor could only choose where in the same query's answer to begin.
const checksumSize = 12

func (p plan) cursor(s *schema, org string, last record) (string, error) {
	values := make([]any, 0, len(p.order)+1)
	for _, f := range p.order {
		v, err := f.of(last)
		if err != nil {
			return "", fmt.Errorf("field %s of document %s: %w", f.path, last.id, err)
		}
		values = append(values, v)
	}
	payload, err := json.Marshal(append(values, last.id))
	if err != nil {
		return "", fmt.Errorf("encode cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(p.checksum(s, org, payload), payload...)), nil
}

func (p plan) parseCursor(s *schema, org, cursor string) (position, error) {
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	// Base64 has several spellings of one value; only the one that was handed out counts.
	if err != nil || len(data) < checksumSize || base64.RawURLEncoding.EncodeToString(data) != cursor {
		return position{}, ErrBadCursor
	}
	sum, payload := data[:checksumSize], data[checksumSize:]
	if !bytes.Equal(sum, p.checksum(s, org, payload)) {
		return position{}, ErrBadCursor
	}
	return p.parsePosition(payload)
}

func (p plan) parsePosition(payload []byte) (position, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(payload, &parts); err != nil || len(parts) != len(p.order)+1 {
		return position{}, ErrBadCursor
	}
	var pos position
	for i, f := range p.order {
		v, err := parseScalar(parts[i])
		if err != nil || !f.kind.fits(v) {
			return position{}, ErrBadCursor
		}
		pos.values = append(pos.values, v)
	}
	if err := json.Unmarshal(parts[len(p.order)], &pos.id); err != nil || checkID("document", pos.id) != nil {
		return position{}, ErrBadCursor
	}
	return pos, nil
}

func (p plan) checksum(s *schema, org string, payload []byte) []byte {
	hash := sha256.New()
	name := ""
	if p.index != nil {
		name = p.index.physical
	}
	fmt.Fprintf(hash, "%q %q %q %t", s.name, org, name, p.descending)
	for _, c := range p.where() {
		fmt.Fprintf(hash, " %d %T %q", c.op, c.value, fmt.Sprint(c.value))
	}
	hash.Write(payload)
	return hash.Sum(nil)[:checksumSize]
}
