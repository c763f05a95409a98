package inbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNotFound says that no message has the id.
var ErrNotFound = errors.New("no such message")

const extension = ".mail"

// Store keeps each message in a file of its own: one line of JSON, the envelope, then the message as it
// came. A file appears whole or not at all, so a kill never leaves half a message.
type Store struct {
	dir   string
	keep  int
	now   func() time.Time
	newID func() string

	mu        sync.RWMutex
	summaries []Summary // oldest first
}

// StoreOptions are the parts of a store that a test controls.
type StoreOptions struct {
	// Dir is the directory of the messages; it is made when it is missing.
	Dir string
	// Keep is how many messages are kept; the oldest go first.
	Keep int
	// Now tells the time of receipt.
	Now func() time.Time
	// NewID makes ids that sort by time and are fit for file names and URLs.
	NewID func() string
}

type envelope struct {
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"`
	To         []string  `json:"to"`
}

// OpenStore reads what a directory holds.
func OpenStore(o StoreOptions) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the inbox: %w", err)
	}
	s := &Store{dir: o.Dir, keep: o.Keep, now: o.Now, newID: o.NewID}
	entries, err := os.ReadDir(o.Dir) // sorted by name, which is by time
	if err != nil {
		return nil, fmt.Errorf("open the inbox: %w", err)
	}
	for _, entry := range entries {
		id, isMessage := strings.CutSuffix(entry.Name(), extension)
		if !isMessage {
			continue
		}
		m, err := s.read(id)
		if err != nil {
			return nil, fmt.Errorf("open the inbox: %w", err)
		}
		s.summaries = append(s.summaries, m.Summary)
	}
	return s, nil
}

// Add keeps a message; once it returns, the message survives a kill of the process and of the machine.
func (s *Store) Add(from string, to []string, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := envelope{ReceivedAt: s.now().UTC(), From: from, To: to}
	m, err := open(s.newID(), e, raw)
	if err != nil {
		return err
	}
	if err := s.write(m.ID, e, raw); err != nil {
		return fmt.Errorf("keep the message: %w", err)
	}
	s.summaries = append(s.summaries, m.Summary)
	for len(s.summaries) > s.keep {
		if err := os.Remove(s.path(s.summaries[0].ID)); err != nil {
			return fmt.Errorf("remove the oldest message: %w", err)
		}
		s.summaries = s.summaries[1:]
	}
	return nil
}

// List returns the newest messages first, at most limit of them. With an address in to, only those that
// went to it, whatever its case.
func (s *Store) List(to string, limit int) []Summary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := []Summary{}
	for _, summary := range slices.Backward(s.summaries) {
		if len(found) == limit {
			break
		}
		if to == "" || slices.ContainsFunc(summary.To, func(address string) bool { return strings.EqualFold(address, to) }) {
			found = append(found, summary)
		}
	}
	return found
}

// Get returns one message, or ErrNotFound.
func (s *Store) Get(id string) (Message, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	// Only ids of the list reach the file system.
	if !slices.ContainsFunc(s.summaries, func(summary Summary) bool { return summary.ID == id }) {
		return Message{}, ErrNotFound
	}
	return s.read(id)
}

// Clear removes every message.
func (s *Store) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.summaries) > 0 {
		if err := os.Remove(s.path(s.summaries[0].ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the inbox: %w", err)
		}
		s.summaries = s.summaries[1:]
	}
	return nil
}

func (s *Store) read(id string) (Message, error) {
	content, err := os.ReadFile(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Message{}, ErrNotFound
	}
	if err != nil {
		return Message{}, fmt.Errorf("read message %s: %w", id, err)
	}
	line, raw, _ := bytes.Cut(content, []byte("\n"))
	var e envelope
	if err := json.Unmarshal(line, &e); err != nil {
		return Message{}, fmt.Errorf("read message %s: %w", id, err)
	}
	return open(id, e, raw)
}

// open is a message with its envelope. A message that cannot be parsed shows as plain text: the inbox is
// where one looks for what went wrong.
func open(id string, e envelope, raw []byte) (Message, error) {
	m, err := parse(raw)
	if err != nil {
		m = Message{Text: decodeCharset("", raw), Headers: map[string][]string{}, Attachments: []Attachment{}}
	}
	m.ID, m.ReceivedAt, m.To = id, e.ReceivedAt, e.To
	if m.From == "" {
		m.From = e.From
	}
	return m, nil
}

func (s *Store) write(id string, e envelope, raw []byte) error {
	head, err := json.Marshal(e)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(s.dir, ".incoming-*")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	_, err = w.Write(append(head, '\n'))
	if err == nil {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), s.path(id))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncDir(s.dir)
}

// syncDir makes a rename survive a power failure.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, id+extension) }
