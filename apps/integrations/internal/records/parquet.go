package records

import (
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tandemhq/tandem/pkg/store"
)

// parquetFile writes records of one type as Apache Parquet. A column is a field, under its name in JSON.
type parquetFile[T any] struct {
	out *parquet.GenericWriter[any]
	row reflect.Value // of the struct that is written
}

var timeType, optionalTime = reflect.TypeFor[store.Time](), reflect.TypeFor[*store.Time]()

func newParquet[T any](to io.Writer) *parquetFile[T] {
	row := reflect.New(rowOf(reflect.TypeFor[T]()))
	return &parquetFile[T]{
		parquet.NewGenericWriter[any](to, parquet.SchemaOf(row.Interface()), parquet.Compression(&parquet.Zstd)), row,
	}
}

// rowOf is a record's type as Parquet's writer wants it: times as the standard library has them, names in tags.
func rowOf(record reflect.Type) reflect.Type {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(record) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind, tag := f.Type, name
		switch {
		case kind == timeType:
			kind, tag = reflect.TypeFor[time.Time](), name+",timestamp(microsecond)"
		case kind == optionalTime:
			kind, tag = reflect.TypeFor[*time.Time](), name+",optional,timestamp(microsecond)"
		case kind.Kind() == reflect.Pointer:
			tag = name + ",optional"
		case kind.Kind() == reflect.Slice:
			tag = name + ",list"
		}
		fields = append(fields, reflect.StructField{Name: f.Name, Type: kind, Tag: reflect.StructTag(`parquet:"` + tag + `"`)})
	}
	return reflect.StructOf(fields)
}

func (p *parquetFile[T]) Write(record T) error {
	from, to := reflect.ValueOf(record), p.row.Elem()
	for i := range to.NumField() {
		value := from.FieldByName(to.Type().Field(i).Name)
		switch at := value.Interface().(type) {
		case store.Time:
			value = reflect.ValueOf(at.Time)
		case *store.Time:
			var t *time.Time
			if at != nil {
				t = &at.Time
			}
			value = reflect.ValueOf(t)
		}
		to.Field(i).Set(value)
	}
	_, err := p.out.Write([]any{p.row.Interface()})
	return err
}

// Flush ends a row group.
func (p *parquetFile[T]) Flush() error { return p.out.Flush() }

// Close writes what the file says of itself.
func (p *parquetFile[T]) Close() error { return p.out.Close() }
