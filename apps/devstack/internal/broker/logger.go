package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// logger hands the server's warnings and errors to slog. Notices are the banner: they are left out.
type logger struct {
	log *slog.Logger

	mu      sync.Mutex
	failure string
}

// last is the reason the server gave for not starting.
func (l *logger) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == "" {
		return nil
	}
	return errors.New(l.failure)
}

func (l *logger) fail(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = fmt.Sprintf(format, v...)
	l.log.Error("nats", "error", l.failure)
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("nats", "warning", fmt.Sprintf(format, v...))
}
func (l *logger) Fatalf(format string, v ...any) { l.fail(format, v...) }
func (l *logger) Errorf(format string, v ...any) { l.fail(format, v...) }
func (l *logger) Debugf(string, ...any)          {}
func (l *logger) Tracef(string, ...any)          {}
