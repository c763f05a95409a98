package inbox

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

const (
	maxTextBytes = 4 << 10
	// smsSender is who text messages come from, as the list shows it.
	smsSender = "SMS"
)

// telephone is a number in E.164 form.
var telephone = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// takeSMS keeps a text message: a plain body, and the telephone number in the header "To", as Dapr's HTTP
// binding sends it.
func (h *handler) takeSMS(w http.ResponseWriter, r *http.Request) {
	to := r.Header.Get("To")
	if !telephone.MatchString(to) {
		h.problem(w, http.StatusBadRequest, "The header To is a telephone number such as +441632960000.")
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTextBytes))
	if err != nil {
		h.problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("A text message has at most %d bytes.", maxTextBytes))
		return
	}
	if err := h.store.Add(smsSender, []string{to}, asMail(to, string(text))); err != nil {
		h.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// asMail is a text message in the form of all other messages (RFC 5322), so that it is kept, listed and
// shown like them. Its subject is what it says.
func asMail(to, text string) []byte {
	subject := mime.QEncoding.Encode("utf-8", strings.Join(strings.Fields(text), " "))
	return fmt.Appendf(nil, "From: %s\r\nTo: %s\r\nSubject: %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s",
		smsSender, to, subject, text)
}
