package passwords

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
)

// cheap makes tests fast; what is tested does not depend on the cost.
var cheap = Params{Memory: 8, Passes: 1, Threads: 1}

func newArgon2id(t testing.TB, p Params, concurrent int) *Argon2id {
	t.Helper()
	a, err := NewArgon2id(p, concurrent, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The vector is of the reference implementation's own tests.
func TestArgon2idReadsOthersHashes(t *testing.T) {
	const hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	a := newArgon2id(t, cheap, 1)
	if ok, outdated, err := a.Verify(t.Context(), hash, "password"); !ok || !outdated || err != nil {
		t.Errorf("verify = %t, outdated %t, %v; want true, outdated", ok, outdated, err)
	}
	if ok, _, err := a.Verify(t.Context(), hash, "Password"); ok || err != nil {
		t.Errorf("another password: %t, %v", ok, err)
	}
}

func TestArgon2idHashes(t *testing.T) {
	a := newArgon2id(t, cheap, 2)
	first, err := a.Hash(t.Context(), "three blind mice")
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Hash(t.Context(), "three blind mice")
	if err != nil || first == second {
		t.Errorf("one password has the hash %s twice, %v", first, err)
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("hash = %s; want a PHC string with its parameters", first)
	}
	if ok, outdated, err := a.Verify(t.Context(), first, "three blind mice"); !ok || outdated || err != nil {
		t.Errorf("verify = %t, outdated %t, %v", ok, outdated, err)
	}
	dearer := newArgon2id(t, Params{Memory: 16, Passes: 1, Threads: 1}, 1)
	if ok, outdated, err := dearer.Verify(t.Context(), first, "three blind mice"); !ok || !outdated || err != nil {
		t.Errorf("with other parameters: %t, outdated %t, %v; want true, outdated", ok, outdated, err)
	}
}

// An unknown user costs what a known one does because the dummy has today's parameters.
func TestDummyCostsWhatOthersDo(t *testing.T) {
	a := newArgon2id(t, cheap, 1)
	hash, err := a.Hash(t.Context(), "three blind mice")
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := parsePHC(hash)
	if err != nil {
		t.Fatal(err)
	}
	dummy, err := parsePHC(a.Dummy())
	if err != nil {
		t.Fatal(err)
	}
	if dummy.Params != genuine.Params || len(dummy.salt) != len(genuine.salt) || len(dummy.hash) != len(genuine.hash) {
		t.Errorf("dummy %+v; want the shape of %+v", dummy, genuine)
	}
	if other := newArgon2id(t, cheap, 1); other.Dummy() == a.Dummy() {
		t.Error("every process has the same dummy")
	}
}

func TestDefaultCost(t *testing.T) {
	if DefaultParams != (Params{Memory: 19456, Passes: 2, Threads: 1}) {
		t.Errorf("default is %+v; want 19 MiB, 2 passes, 1 thread", DefaultParams)
	}
}

func TestHashesWaitForTheirTurn(t *testing.T) {
	a := newArgon2id(t, cheap, 2)
	a.slots <- struct{}{}
	a.slots <- struct{}{} // both slots are taken
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Hash(ctx, "three blind mice"); !errors.Is(err, context.Canceled) {
		t.Errorf("with no slot free: %v; want to wait until the caller leaves", err)
	}
	<-a.slots
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := a.Hash(t.Context(), "three blind mice"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(a.slots) != 1 {
		t.Errorf("%d slots are taken afterwards; want the one that the test holds", len(a.slots))
	}
}

func TestImpossibleCost(t *testing.T) {
	for _, p := range []Params{{}, {Memory: 8, Passes: 1}, {Memory: 8, Threads: 1}, {Memory: 7, Passes: 1, Threads: 1}, {Memory: 1<<20 + 1, Passes: 1, Threads: 1}} {
		if _, err := NewArgon2id(p, 1, rand.Reader); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	if _, err := NewArgon2id(cheap, 0, rand.Reader); err == nil {
		t.Error("no hash at once was accepted")
	}
}

// BenchmarkVerify is what a login costs beside everything else.
func BenchmarkVerify(b *testing.B) {
	a := newArgon2id(b, DefaultParams, 1)
	for b.Loop() {
		if _, _, err := a.Verify(b.Context(), a.Dummy(), "three blind mice"); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=256,t=2,p=1,x$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR")
	f.Add("$argon2id$v=19$m=4294967295,t=+2,p=0$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePHC(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Errorf("%q was read as %q", text, h)
		}
		if h.check() != nil || len(h.hash) < 16 {
			t.Errorf("%q was accepted with %+v", text, h)
		}
	})
}
