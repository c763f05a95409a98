package inbox

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	maxMessageBytes = 25 << 20
	maxRecipients   = 100
	idleTimeout     = time.Minute
)

// Server takes mails over SMTP and keeps them.
type Server struct {
	smtp     *smtp.Server
	listener net.Listener
	done     chan error
}

// Serve listens on address, takes every mail whoever sends it, and puts it into the store. A mail is
// accepted once it is on disk.
func Serve(address string, store *Store, log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("take mails: %w", err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{store: store, log: log}, nil
	}))
	s.Domain = "localhost"
	s.MaxMessageBytes = maxMessageBytes
	s.MaxRecipients = maxRecipients
	s.ReadTimeout = idleTimeout
	s.WriteTimeout = idleTimeout
	s.EnableSMTPUTF8 = true
	s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	server := &Server{smtp: s, listener: listener, done: make(chan error, 1)}
	go func() { server.done <- s.Serve(listener) }()
	return server, nil
}

// Stop closes the port and every connection.
func (s *Server) Stop() error {
	err := s.smtp.Close()
	// It closes the listeners it knows, and knows ours only once its goroutine has begun.
	if closed := s.listener.Close(); closed != nil && !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return errors.Join(err, <-s.done)
}

// session is one connection.
type session struct {
	store *Store
	log   *slog.Logger
	from  string
	to    []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if err := s.store.Add(s.from, s.to, raw); err != nil {
		s.log.Error("a mail was refused", "error", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The mail could not be kept"}
	}
	return nil
}
