package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// mailWithin is how long a mail may take from the event that asks for it to the inbox.
const mailWithin = 30 * time.Second

// linkToken is what the links in mails carry.
const linkToken = `#token=([A-Za-z0-9_-]+)`

// Mail waits for a mail to an address that has a subject, "" for any, was not read before, and in which pattern matches. What its
// first group finds is saved as name. Text messages are mails to a telephone number.
func (s Site) Mail(to, subject, name, pattern string) Step {
	found := regexp.MustCompile(pattern)
	return Step{
		Name: "mail: " + subject + " " + name, Method: http.MethodGet, Path: s.Devstack + "/inbox/messages?to=" + to, Want: http.StatusOK, Within: mailWithin,
		Then: func(ctx context.Context, body []byte, vars map[string]string) error {
			var list struct {
				Messages []struct{ ID, Subject string }
			}
			if err := json.Unmarshal(body, &list); err != nil {
				return err
			}
			for _, m := range list.Messages { // the latest first
				if subject != "" && m.Subject != subject || vars["read "+m.ID] != "" {
					continue
				}
				text, err := s.read(ctx, m.ID)
				if err != nil {
					return err
				}
				if parts := found.FindStringSubmatch(text); parts != nil {
					vars[name], vars["read "+m.ID] = parts[1], "yes"
					return nil
				}
			}
			return fmt.Errorf("no mail %q that was not read and has %s in it: %s", subject, pattern, body)
		},
	}
}

// read is the text and the HTML of a message in the inbox.
func (s Site) read(ctx context.Context, id string) (string, error) {
	_, body, err := Step{Method: http.MethodGet, Path: s.Devstack + "/inbox/messages/" + id, Want: http.StatusOK}.Do(ctx, s, map[string]string{})
	if err != nil {
		return "", err
	}
	var m struct{ Text, HTML string }
	err = json.Unmarshal(body, &m)
	return m.Text + m.HTML, err
}
