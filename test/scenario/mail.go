package scenario

import (
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

// Mail waits for the latest mail to an address with a subject that was not read before, and saves what the first group of
// pattern finds in it as name.
func (s Site) Mail(to, subject, name, pattern string) []Step {
	found := regexp.MustCompile(pattern)
	return []Step{
		{
			Name: "mail: " + subject, Method: http.MethodGet, Path: s.Devstack + "/inbox/messages?to=" + to, Want: http.StatusOK, Within: mailWithin,
			Then: func(body []byte, vars map[string]string) error {
				var list struct {
					Messages []struct{ ID, Subject string } `json:"messages"`
				}
				if err := json.Unmarshal(body, &list); err != nil {
					return err
				}
				for _, m := range list.Messages { // the latest first
					if m.Subject == subject && vars["read "+m.ID] == "" {
						vars["mail"], vars["read "+m.ID] = m.ID, "yes"
						return nil
					}
				}
				return fmt.Errorf("no new mail %q in %s", subject, body)
			},
		},
		{
			Name: "its " + name, Method: http.MethodGet, Path: s.Devstack + "/inbox/messages/${mail}", Want: http.StatusOK,
			Then: func(body []byte, vars map[string]string) error {
				var m struct {
					HTML string `json:"html"`
				}
				if err := json.Unmarshal(body, &m); err != nil {
					return err
				}
				parts := found.FindStringSubmatch(m.HTML)
				if parts == nil {
					return fmt.Errorf("no %s in %s", name, m.HTML)
				}
				vars[name] = parts[1]
				return nil
			},
		},
	}
}
