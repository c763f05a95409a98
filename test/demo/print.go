package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
)

const (
	maxString = 36  // characters of a string in an answer; long enough for an id, too short for a token
	maxAnswer = 200 // characters of an answer
)

// printExchange prints a request with the answer that a step was content with. Took includes the waiting
// for it, where the step waits.
func printExchange(w io.Writer, step scenario.Step, resp *http.Response, body []byte, took time.Duration) error {
	fmt.Fprintf(w, "  %s %s\n", step.Method, resp.Request.URL.RequestURI())
	if step.Body != nil {
		// As the step has it, with names in place of what is secret.
		sent, err := json.Marshal(step.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "    > %s\n", abridge(sent))
	}
	by := resp.Header.Get(call.HeaderServedBy)
	if by == "" {
		return fmt.Errorf("%s %s: the answer does not say who gave it", step.Method, step.Path)
	}
	_, err := fmt.Fprintf(w, "    < %s by %s after %s\n    < %s\n\n", resp.Status, by, measure.Duration(took), abridge(body))
	return err
}

// abridge writes JSON on one line: names without quotes, long strings cut, and of a list the first element only.
func abridge(body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var b strings.Builder
	if err := abridgeValue(decoder, &b); err != nil {
		return cut(string(body), maxAnswer)
	}
	return cut(b.String(), maxAnswer)
}

func abridgeValue(d *json.Decoder, b *strings.Builder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			err = abridgeList(d, b)
		} else {
			err = abridgeObject(d, b)
		}
		if err != nil {
			return err
		}
		_, err = d.Token() // the closing one
		return err
	case string:
		text, err := json.Marshal(cut(token, maxString))
		b.Write(text)
		return err
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, token)
	}
	return nil
}

func abridgeObject(d *json.Decoder, b *strings.Builder) error {
	b.WriteString("{")
	for n := 0; d.More(); n++ {
		if n > 0 {
			b.WriteString(", ")
		}
		name, err := d.Token()
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%s: ", name)
		if err := abridgeValue(d, b); err != nil {
			return err
		}
	}
	b.WriteString("}")
	return nil
}

func abridgeList(d *json.Decoder, b *strings.Builder) error {
	b.WriteString("[")
	var rest strings.Builder
	n := 0
	for ; d.More(); n++ {
		into := b
		if n > 0 {
			into = &rest
		}
		if err := abridgeValue(d, into); err != nil {
			return err
		}
	}
	if n > 1 {
		fmt.Fprintf(b, ", … %d more", n-1)
	}
	b.WriteString("]")
	return nil
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
