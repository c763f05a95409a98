package store

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// layout is part of every physical index name: a change of how indexes are stored rebuilds them all.
const layout = "1"

var (
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)
	fieldPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// kind is what a field may hold besides null.
type kind byte

const (
	kindAny kind = iota // the Go type does not say
	kindString
	kindInt
	kindFloat
	kindBool
	kindTime
)

func (k kind) String() string {
	return [...]string{"any scalar", "string", "integer", "float", "boolean", "time"}[k]
}

type field struct {
	path string
	kind kind
}

// own tells that the field is the store's, and none of the value: see UpdatedAt.
func (f field) own() bool { return f.path == UpdatedAt }

func (f field) parts() []string { return strings.Split(f.path, ".") }

type index struct {
	name     string
	physical string // name and a hash of everything that shapes the stored index
	fields   []field
	include  []field
	unique   bool
}

// schema is a Def checked against the Go type of its values.
type schema struct {
	name    string
	tenant  bool
	indexes []*index
	owner   string // Def.Owner

	migrations []Migration
	value      reflect.Type
}

func newSchema(def Def, tenant bool, value reflect.Type) (*schema, error) {
	s := &schema{name: def.Name, tenant: tenant, owner: def.Owner, migrations: def.Migrations, value: value}
	if !namePattern.MatchString(def.Name) {
		return nil, fmt.Errorf("collection name %q: want 1 to 60 letters, digits, _ or -", def.Name)
	}
	for _, declared := range def.Indexes {
		ix, err := s.newIndex(declared)
		if err != nil {
			return nil, fmt.Errorf("collection %s, index %q: %w", def.Name, declared.Name, err)
		}
		for _, other := range s.indexes {
			if slices.Equal(other.fields, ix.fields) && slices.Equal(other.include, ix.include) {
				return nil, fmt.Errorf("collection %s: indexes %q and %q are the same", def.Name, other.name, ix.name)
			}
		}
		s.indexes = append(s.indexes, ix)
	}
	if s.owner != "" && (tenant || s.index(s.owner) == nil) {
		return nil, fmt.Errorf("collection %s: owner %q: want an index of a System collection", def.Name, s.owner)
	}
	return s, nil
}

func (s *schema) newIndex(declared Index) (*index, error) {
	switch {
	case !namePattern.MatchString(declared.Name):
		return nil, errors.New("want a name of 1 to 60 letters, digits, _ or -")
	case s.index(declared.Name) != nil:
		return nil, errors.New("declared twice")
	case len(declared.Fields) == 0:
		return nil, errors.New("has no fields")
	}
	ix := &index{name: declared.Name, unique: declared.Unique}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %t", layout, declared.Unique)
	for i, path := range slices.Concat(declared.Fields, declared.Include) {
		f, err := s.indexed(path, declared.Unique || i >= len(declared.Fields))
		if err != nil {
			return nil, err
		}
		if i < len(declared.Fields) {
			ix.fields = append(ix.fields, f)
		} else {
			ix.include = append(ix.include, f)
		}
		fmt.Fprintf(hash, " %t %s %d", i < len(declared.Fields), path, f.kind)
	}
	ix.physical = declared.Name + "-" + hex.EncodeToString(hash.Sum(nil)[:4])
	return ix, nil
}

// indexed is a field of an index; one of values only where valueOnly.
func (s *schema) indexed(path string, valueOnly bool) (field, error) {
	if path != UpdatedAt {
		return s.field(path)
	}
	if valueOnly {
		return field{}, fmt.Errorf("field %s only orders", path)
	}
	return field{path: path, kind: kindTime}, nil
}

func (s *schema) index(name string) *index {
	for _, ix := range s.indexes {
		if ix.name == name {
			return ix
		}
	}
	return nil
}

// byPhysical is the index whose stored name occurs in a backend's error message.
func (s *schema) byPhysical(message string) string {
	for _, ix := range s.indexes {
		if strings.Contains(message, ix.physical) {
			return ix.name
		}
	}
	return ""
}

// same tells whether two schemas store alike, so that both may be open on one database.
func (s *schema) same(o *schema) bool {
	return s.tenant == o.tenant && s.owner == o.owner && s.version() == o.version() && slices.EqualFunc(s.indexes, o.indexes, func(a, b *index) bool { return a.physical == b.physical })
}

// field resolves a dotted JSON name in the Go type of the values, so that a misspelled one is an error at start.
func (s *schema) field(path string) (field, error) {
	if !fieldPattern.MatchString(path) {
		return field{}, fmt.Errorf("field %q is no dotted JSON name", path)
	}
	t := s.value
	for _, part := range strings.Split(path, ".") {
		var err error
		if t, err = member(t, part); err != nil {
			return field{}, fmt.Errorf("field %q: %w", path, err)
		}
		if t == nil {
			return field{path: path, kind: kindAny}, nil
		}
	}
	k, err := kindOf(t)
	if err != nil {
		return field{}, fmt.Errorf("field %q: %w", path, err)
	}
	return field{path: path, kind: k}, nil
}

// member is the type of a JSON object's member, nil where only the value at run time tells.
func member(t reflect.Type, name string) (reflect.Type, error) {
	t = deref(t)
	switch {
	case t.Kind() == reflect.Interface, implements[json.Marshaler](t):
		return nil, nil
	case t.Kind() == reflect.Map:
		return t.Elem(), nil
	case t.Kind() == reflect.Struct:
		if m := structMember(t, name); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("%s has no JSON member %q", t, name)
	}
	return nil, fmt.Errorf("%s has no members", t)
}

func structMember(t reflect.Type, name string) reflect.Type {
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch inner := deref(f.Type); {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && tag == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		case tag == name, tag == "" && f.Name == name:
			return f.Type
		}
	}
	for _, e := range embedded {
		if m := structMember(e, name); m != nil {
			return m
		}
	}
	return nil
}

func kindOf(t reflect.Type) (kind, error) {
	t = deref(t)
	switch {
	case t == reflect.TypeFor[Time]():
		return kindTime, nil
	case t == reflect.TypeFor[time.Time]():
		return 0, errors.New("a time.Time does not sort as JSON: use store.Time")
	case t.Kind() == reflect.Interface, implements[json.Marshaler](t):
		return kindAny, nil
	case implements[encoding.TextMarshaler](t):
		return kindString, nil
	}
	switch t.Kind() {
	case reflect.String:
		return kindString, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return kindInt, nil
	case reflect.Float32, reflect.Float64:
		return kindFloat, nil
	case reflect.Bool:
		return kindBool, nil
	}
	return 0, fmt.Errorf("%s does not order", t)
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}
