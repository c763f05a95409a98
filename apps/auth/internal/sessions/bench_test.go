package sessions

import (
	"fmt"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// BenchmarkSessions refreshes one session, which is read and written, among few others and among many.
func BenchmarkSessions(b *testing.B) {
	w, s := open(b)
	token := begin(b, s, "ada").RefreshToken
	const page = 1000
	// The others' sessions come in the order of the indexes, five of a user and 200 of an organization: SQLite stores them with
	// fewer pages touched.
	for among, n := 1000, 0; among <= 1_000_000; among *= 1000 {
		for ; n < among; n += page {
			puts := make([]store.Put[session], page)
			for i := range puts {
				now := store.At(w.Now())
				puts[i] = store.Put[session]{ID: fmt.Sprintf("other%d", n+i), Value: session{
					User: fmt.Sprintf("user-%06d", (n+i)/5), Organization: fmt.Sprintf("org-%04d", (n+i)/200), Device: "d",
					CreatedAt: now, LastSeenAt: now, ExpiresAt: store.At(now.Add(time.Hour)), Life: time.Hour, DeleteAfter: store.At(now.Add(24 * time.Hour)),
					Family: make([]byte, 32), Current: make([]byte, 32), RotatedAt: now,
				}}
			}
			if _, err := s.sessions.PutMany(b.Context(), puts); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("Among%d", among), func(b *testing.B) {
			for b.Loop() {
				token = rotate(b, s, token).RefreshToken
			}
		})
	}
}
