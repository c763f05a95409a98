package sandbox

import (
	"errors"
	"net/http"
	"sync"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// sizes are those of businesses that somebody has made larger or smaller. It is safe for concurrent use.
type sizes struct {
	mu    sync.Mutex
	given map[string]shop.Size
	// begun are the businesses that vendors have told of.
	begun map[string]bool
}

func newSizes() *sizes { return &sizes{given: map[string]shop.Size{}, begun: map[string]bool{}} }

// of is the size of a business, which stays from now on; false where it is as large as they are by themselves.
func (s *sizes) of(name string) (size shop.Size, given bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[name] = true
	size, given = s.given[name]
	return size, given
}

var errBegun = errors.New("the business has the size that vendors have told of; another name is another business")

// put answers PUT /sandbox/businesses/{name}/size.
func (s *sizes) put(name string, r *http.Request) (int, any, error) {
	var size shop.Size
	if err := vendor.Decode(r, &size); err != nil {
		return 0, nil, err
	}
	if err := size.Validate(); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun[name] && s.given[name] != size {
		return 0, nil, errBegun
	}
	s.given[name] = size
	return http.StatusOK, size, nil
}
