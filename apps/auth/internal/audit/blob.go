package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tandemhq/tandem/pkg/store"
)

// chunkBytes is how much one document holds. In base64 and with what is around it that stays below 1 MiB.
const chunkBytes = 700 << 10

// chunk is a piece of what a request has collected or made. Its id is that of the request, the blob's name and its number.
type chunk struct {
	Request string `json:"request"`
	Data    []byte `json:"data"`
}

// blob is bytes in chunks.
type blob struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Chunks int    `json:"chunks"`
}

func chunkID(request, name string, number int) string {
	return request + "/" + name + "/" + strconv.Itoa(number)
}

// blobWriter writes a blob, chunk by chunk, over what is there under its name. The same bytes make the same chunks.
type blobWriter struct {
	ctx     context.Context
	chunks  *store.Documents[chunk]
	request string
	blob    blob
	held    []byte
}

func (s *Service) writeBlob(ctx context.Context, request, name string) *blobWriter {
	return &blobWriter{ctx: ctx, chunks: s.d.chunks, request: request, blob: blob{Name: name}}
}

// Write implements io.Writer.
func (w *blobWriter) Write(data []byte) (int, error) {
	written := len(data)
	for len(data) > 0 {
		n := min(len(data), chunkBytes-len(w.held))
		w.held, data = append(w.held, data[:n]...), data[n:]
		if len(w.held) == chunkBytes {
			if err := w.put(); err != nil {
				return written - len(data), err
			}
		}
	}
	return written, nil
}

func (w *blobWriter) put() error {
	id := chunkID(w.request, w.blob.Name, w.blob.Chunks)
	if _, err := w.chunks.PutMany(w.ctx, []store.Put[chunk]{{ID: id, Value: chunk{w.request, w.held}}}); err != nil {
		return fmt.Errorf("write a piece of a data request: %w", err)
	}
	w.blob.Chunks++
	w.blob.Bytes += int64(len(w.held))
	w.held = w.held[:0]
	return nil
}

// end writes what is left. The blob counts from then on.
func (w *blobWriter) end() (*blob, error) {
	if len(w.held) > 0 {
		if err := w.put(); err != nil {
			return nil, err
		}
	}
	return &w.blob, nil
}

// copyBlob writes a blob's bytes to w, a chunk at a time.
func (s *Service) copyBlob(ctx context.Context, w io.Writer, request string, b blob) error {
	for number := range b.Chunks {
		doc, err := s.d.chunks.Get(ctx, chunkID(request, b.Name, number))
		if err != nil {
			return fmt.Errorf("read a piece of a data request: %w", err)
		}
		if _, err := w.Write(doc.Value.Data); err != nil {
			return err
		}
	}
	return nil
}

// dropBlobs deletes all that a request has stored, but for the blob of a name.
func (s *Service) dropBlobs(ctx context.Context, request string, but *blob) error {
	keep := map[string]bool{}
	if but != nil {
		for number := range but.Chunks {
			keep[chunkID(request, but.Name, number)] = true
		}
	}
	q := store.Query{Index: byRequest, Equal: []any{request}, Limit: 20} // chunks are large
	for {
		page, err := s.d.chunks.Find(ctx, q)
		if err != nil {
			return fmt.Errorf("look for the pieces of a data request: %w", err)
		}
		for _, doc := range page.Items {
			if keep[doc.ID] {
				continue
			}
			if err := s.d.chunks.Delete(ctx, doc.ID, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("delete a piece of a data request: %w", err)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}
