package connector

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Class is what to do about a vendor's error.
type Class string

const (
	// Throttled says that the vendor wants fewer requests. Wait, then go on; it is no failure.
	Throttled Class = "throttled"
	// Transient says that it may work the next time, a limited number of times.
	Transient Class = "transient"
	// TooLarge says that the vendor never answers a request of this size. Ask for less.
	TooLarge Class = "too_large"
	// Unauthorized says that the credentials are refused. A person must connect again.
	Unauthorized Class = "unauthorized"
	// Permanent says that it will be the same however often it is tried.
	Permanent Class = "permanent"
)

// Codes of errors beyond their class, for people and programs.
const (
	CodeCredentialsRefused = "credentials_refused"
	CodePermissionMissing  = "vendor_permission_missing"
	CodeAccountUnavailable = "vendor_account_unavailable"
	CodeThrottled          = "vendor_throttled"
	CodeUnavailable        = "vendor_unavailable"
	CodeBadAnswer          = "vendor_answer_invalid"
	CodeRefused            = "vendor_refused"
	CodeExists             = "vendor_has_it"
	CodeInputRefused       = "vendor_input_refused"
	CodeMissing            = "vendor_lacks_it"
)

// Error is a vendor's error in shared terms.
type Error struct {
	Class Class
	// Code is one of the Code… constants.
	Code string
	// Message is for people: one sentence without secrets and without the vendor's own text.
	Message string
	// Wait is how long the vendor wants to be left alone; zero when it did not say.
	Wait time.Duration
	// Cause is for the log.
	Cause error
}

// Error is the message with its cause, for logs.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Classify is err as an *Error. One that is none did not come from the vendor and is transient.
func Classify(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: Transient, Code: CodeUnavailable, Message: "the vendor could not be asked", Cause: err}
}

// Recover is deferred where a vendor is asked in a goroutine: it makes a panic an error, which would end the process there.
func Recover(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// BadAnswer says that an answer which came whole cannot be understood.
func BadAnswer(format string, args ...any) *Error {
	return &Error{Class: Permanent, Code: CodeBadAnswer, Message: "the vendor's answer cannot be understood", Cause: fmt.Errorf(format, args...)}
}

// Exists says that a vendor has already what was to be entered.
func Exists(cause error) *Error {
	return &Error{Class: Permanent, Code: CodeExists, Message: "the vendor has somebody of that address already", Cause: cause}
}

// OfInput is an error of something that was to be entered or asked for: a request that is refused has then something in it that somebody
// said.
func OfInput(err error) error {
	if e := Classify(err); err != nil && e.Code == CodeRefused {
		return InputRefused("the vendor does not accept this", err)
	}
	return err
}

// InputRefused says that a vendor does not take what somebody said, in a sentence for people.
func InputRefused(message string, cause error) error {
	return &Error{Class: Permanent, Code: CodeInputRefused, Message: message, Cause: cause}
}

// OfObject is OfInput for a request about one thing by its id: what is not found is then this, not the account.
func OfObject(err error) error {
	if e := Classify(err); err != nil && e.Code == CodeAccountUnavailable {
		return &Error{Class: Permanent, Code: CodeMissing, Message: "the vendor does not have this, or not any more", Cause: err}
	}
	return OfInput(err)
}
