package runs

import (
	"fmt"
	"log/slog"
)

// chatter gives the workflow client's lines to our log. They are about its connection, which it mends itself, so nothing
// of it is worth more than a debug line but what it calls an error.
type chatter struct{ log *slog.Logger }

func (c chatter) Debug(v ...any)            { c.log.Debug(fmt.Sprint(v...)) }
func (c chatter) Debugf(f string, v ...any) { c.log.Debug(fmt.Sprintf(f, v...)) }
func (c chatter) Info(v ...any)             { c.Debug(v...) }
func (c chatter) Infof(f string, v ...any)  { c.Debugf(f, v...) }
func (c chatter) Warn(v ...any)             { c.Debug(v...) }
func (c chatter) Warnf(f string, v ...any)  { c.Debugf(f, v...) }
func (c chatter) Error(v ...any)            { c.log.Warn("workflows: " + fmt.Sprint(v...)) }
func (c chatter) Errorf(f string, v ...any) { c.log.Warn("workflows: " + fmt.Sprintf(f, v...)) }
