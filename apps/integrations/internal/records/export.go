package records

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
)

// flushEvery is how many records are written before the client gets to see them; of Parquet, how many are a row group.
const (
	flushEvery = 500
	rowGroup   = 50_000
)

// Format is the form of an export.
type Format string

const (
	// NDJSON is a record a line (https://github.com/ndjson/ndjson-spec), as the records are read otherwise.
	NDJSON Format = "ndjson"
	// Parquet is Apache Parquet, with the same names of columns, times as timestamps of microseconds in UTC, compressed by Zstandard.
	Parquet Format = "parquet"
)

// ExportInput selects records and their form.
type ExportInput struct {
	From         string `query:"from" maxLength:"40" doc:"First instant (RFC 3339) or day (UTC); from the first record without it" example:"1997-01-01"`
	To           string `query:"to" maxLength:"40" doc:"Instant (RFC 3339) or day (UTC) before which the records are; to the last without it" example:"1998-07-01T00:00:00Z"`
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Records of this connection only"`
	Format       Format `query:"format" enum:"ndjson,parquet" default:"ndjson" doc:"Form of the export" example:"parquet"`
}

// writer writes records of one kind.
type writer[T any] interface {
	Write(T) error
	// Flush passes on what it can; Close ends the file.
	Flush() error
	Close() error
}

// Export writes all records of a kind and a range as they are read, oldest first, in memory that does not grow with them: of all
// connections, or of one.
func (k *Kind[T]) Export(ctx context.Context, organization, connection string, r Range, f Format, to io.Writer) error {
	var out writer[T] = lines[T]{json.NewEncoder(to)}
	every := flushEvery
	if f == Parquet {
		out, every = newParquet[T](to), rowGroup
	}
	n := 0
	err := k.documents.In(organization).Each(ctx, k.within(connection, r, "", 0), func(doc store.Doc[T]) error {
		if n++; n%every == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
			group.Flush(to)
		}
		return out.Write(doc.Value)
	})
	if err != nil {
		return fmt.Errorf("export %s: %w", k.name, err)
	}
	return out.Close()
}

// lines writes NDJSON.
type lines[T any] struct{ *json.Encoder }

func (l lines[T]) Write(record T) error { return l.Encode(record) }
func (lines[T]) Flush() error           { return nil }
func (lines[T]) Close() error           { return nil }

func (k *Kind[T]) download(ctx context.Context, in *ExportInput) (*huma.StreamResponse, error) {
	span, err := ParseRange(in.From, in.To)
	if err != nil {
		return nil, err
	}
	media := "application/x-ndjson"
	if in.Format == Parquet {
		media = "application/vnd.apache.parquet"
	}
	organization := identity.Organization(ctx)
	return group.Download(media, k.name+"."+string(in.Format), 0, func(ctx context.Context, to io.Writer) error {
		return k.Export(ctx, organization, in.ConnectionID, span, in.Format, to)
	}), nil
}
