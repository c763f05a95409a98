package organizations

import (
	"hash/maphash"
	"sync"
)

// turns lets those of one process who want to change the same document do so one after the other: they would find each other's
// versions and begin again. Between processes the versions decide.
type turns struct {
	once sync.Once
	seed maphash.Seed
	of   [64]sync.Mutex
}

// take waits for name's turn and gives what ends it.
func (t *turns) take(name string) (done func()) {
	t.once.Do(func() { t.seed = maphash.MakeSeed() })
	m := &t.of[maphash.String(t.seed, name)%uint64(len(t.of))]
	m.Lock()
	return m.Unlock
}
